"""What a configuration of Table 1 is made of: segments, estimators, optimizer.

Each function makes its variables at once, in whatever scope it is called, so
that mirrored replicas and parameter servers build the same things.
"""

import keras
import tensorflow as tf

from sobolev_tf.networks.cifar10 import cifar10_segments, scaled_channels
from sobolev_tf.networks.resnet import resnet50_segments
from sobolev_tf.networks.synthetic_gradient_modules import (
  AveragingClassPredictor,
  ClassPredictor,
  GradientPredictor,
)
from sobolev_tf.synthetic_gradients import (
  DirectEstimator,
  LocalLoss,
  LossCritic,
  ZeroEstimator,
)

# What a loss critic is supervised with: value, gradient, labels (Table 1).
SUPERVISION = {
  "vfbn": (False, True, False),
  "critic": (True, False, False),
  "sobolev": (True, True, False),
  "sobolev_labels": (True, True, True),
}
# The last one is no row of the paper: local losses (Belilovsky et al. 2020).
METHODS = ("backprop", "noprop", "direct", *SUPERVISION, "local")
# Classified by ResNet-50 (SM §4.3); the others by the network of SM §4.2.
RESNET_DATASETS = ("imagenet", "games", "grey_games")
_SG_CHANNELS = 128  # SM §4.2, and of the direct estimator everywhere
_RESNET_SG_CHANNELS = 64  # SM §4.3
# Layers are numbered for their seeds; the main network has fewer than this.
_FIRST_SG_LAYER = 100


def build_segments(config, num_classes):
  """The main network's segments, from below.

  Args:
    config: settings with the fields of `config.Config`.
    num_classes: size of the output.

  Raises:
    ValueError: the network does not have that many borders.
  """
  build = cifar10_segments
  if config.dataset in RESNET_DATASETS:
    build = resnet50_segments
  return build(
    config.num_modules if config.method != "backprop" else 0,
    config.width,
    num_classes,
    config.seed,
  )


def border_shapes(segments, image_shape):
  """Shapes `[H, W, C]` of the activations at the borders, from below.

  The call makes the variables of the segments.
  """
  x = tf.zeros([1, *image_shape])
  shapes = []
  for segment in segments:
    x = segment(x, False)
    shapes.append(x.shape[1:])
  return shapes[:-1]


def build_estimators(config, shapes, num_classes):
  """An estimator for each border, with its variables.

  Args:
    config: settings with the fields of `config.Config`.
    shapes: of the activations, as `border_shapes` returns them.
    num_classes: number of classes.
  """
  estimators = []
  for border, shape in enumerate(shapes):
    estimator = build_estimator(
      config,
      shape[-1],
      num_classes,
      (config.seed, _FIRST_SG_LAYER + 10 * border),
    )
    estimator(tf.zeros([1, *shape]), tf.zeros([1, num_classes]))
    estimators.append(estimator)
  return estimators


def build_estimator(config, num_channels, num_classes, seed):
  """An estimator of Table 1 for activations of `num_channels` channels.

  The paper has no direct estimator for ImageNet; it is CIFAR-10's there too,
  and its label maps make it as costly as ResNet-50 itself at 1000 classes.
  """
  if config.method == "noprop":
    return ZeroEstimator()
  channels = scaled_channels(_SG_CHANNELS, config.width)
  if config.method == "direct":
    return DirectEstimator(
      GradientPredictor(num_channels, channels, seed),
      loss=config.estimator_loss,
    )
  if config.dataset in RESNET_DATASETS:
    channels = scaled_channels(_RESNET_SG_CHANNELS, config.width)
    predictor = AveragingClassPredictor(num_classes, channels, seed)
  else:
    predictor = ClassPredictor(num_classes, channels, seed)
  if config.method == "local":  # the same head, trained on the labels
    return LocalLoss(predictor)
  return LossCritic(
    predictor,
    *SUPERVISION[config.method],
    loss=config.estimator_loss,
    weights=(1.0, 1.0, config.label_weight),
    balance=config.balance_terms,
  )


def build_main_optimizer(config):
  """SGD with momentum and the three drops of its learning rate."""
  return keras.optimizers.SGD(build_schedule(config), momentum=config.momentum)


def build_schedule(config):
  """The main network's learning rate: a tenth after each of three drops.

  Returns:
    A schedule of the number of updates made so far: after 40,000 updates the
    next one, number 40,001, is the first with the lower rate.
  """
  drops = [round(share * config.num_steps) for share in config.drops]
  rates = [config.learning_rate * 0.1**n for n in range(len(drops) + 1)]
  # Keras keeps the old rate at the boundary itself.
  return keras.optimizers.schedules.PiecewiseConstantDecay(
    [drop - 1 for drop in drops], rates
  )
