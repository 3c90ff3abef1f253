"""ResNet-50 in segments: the classifier of the ImageNet experiment (SM §4.3).

The same function as Sonnet's own `snt.nets.ResNet50`, put together from the
same public block groups, so that synthetic gradients can stand between them.
"""

from collections.abc import Sequence

import sonnet as snt
import tensorflow as tf

from sobolev_tf.networks.cifar10 import scaled_channels
from sobolev_tf.networks.initialisers import FanInNormal

# (channels, blocks, stride) of the four groups of bottleneck blocks.
GROUPS = ((256, 3, 1), (512, 4, 2), (1024, 6, 2), (2048, 3, 2))
# Groups below each split, by the number of splits (SM §4.3).
BORDERS = {0: (), 1: (2,), 3: (1, 2, 3)}

_STEM_CHANNELS = 64
_NORM = {"decay_rate": 0.9, "eps": 1e-5}  # Sonnet's own for this network


class ResNetSegment(snt.Module):
  """A stretch of ResNet-50: perhaps the stem, block groups, perhaps the top.

  Sonnet's groups make their own BatchNorm, which knows one device. Each
  replica therefore normalises by the statistics of its own share of the batch,
  as each of the paper's 34 workers will have done, and moves statistics of its
  own; the first replica's are the ones that inference uses.
  """

  def __init__(
    self,
    num_inputs: int,
    groups: Sequence,
    stem: bool,
    num_classes: int | None = None,
    seed: tuple[int, int] = (0, 0),
    name: str | None = None,
  ):
    """Builds the layers and their variables.

    Args:
      num_inputs: channels of the input.
      groups: sequence of (channels, blocks, stride).
      stem: None, or the kernels of the 7x7 convolution at the network's
        bottom, which comes with a max pool.
      num_classes: None, or the size of the linear layer at the top, after a
        global average. It starts at zero, as Sonnet's does.
      seed: pair of integers, the seed of the weights and the number of the
        first convolution.
      name: module name.
    """
    super().__init__(name=name)
    with tf.variable_creator_scope(_make_statistics_local):
      self.stem = self.stem_norm = self.output = None
      if stem is not None:
        # Sonnet's padding is even on both sides, TensorFlow's is not.
        self.stem = snt.Conv2D(
          stem, 7, 2, with_bias=False, padding=snt.pad.same
        )
        self.stem_norm = snt.BatchNorm(True, True, **_NORM)
      self.groups = [
        snt.nets.resnet.BlockGroup(channels, blocks, stride, _NORM)
        for channels, blocks, stride in groups
      ]
      if num_classes is not None:
        zeros = snt.initializers.Zeros()
        self.output = snt.Linear(num_classes, w_init=zeros)
      self(tf.zeros([1, 8, 8, num_inputs]), False)
    # Sonnet's groups draw from the global generator; these draws follow the
    # same rule and depend on the seed alone.
    seed, number = seed
    for kernel in self._kernels():
      draw = FanInNormal(seed, number)
      kernel.assign(draw(kernel.shape, kernel.dtype))
      number += 1
    self.next_seed = number

  def __call__(self, x: tf.Tensor, is_training: bool) -> tf.Tensor:
    """Maps `[B, H, W, C]` to activations, or to logits `[B, num_classes]`."""
    if self.stem is not None:
      x = tf.nn.relu(self.stem_norm(self.stem(x), is_training))
      x = tf.nn.max_pool2d(x, ksize=3, strides=2, padding="SAME")
    for group in self.groups:
      x = group(x, is_training)
    if self.output is None:
      return x
    return self.output(tf.reduce_mean(x, axis=[1, 2]))

  def _kernels(self):
    """The convolutions' kernels, from below."""
    parts = [self.stem, *self.groups] if self.stem is not None else self.groups
    return [
      variable
      for part in parts
      for variable in part.trainable_variables
      if variable.shape.rank == 4
    ]


def resnet50_segments(
  num_modules: int = 1,
  width: float = 1.0,
  num_classes: int = 1000,
  seed: int = 0,
) -> list[ResNetSegment]:
  """Builds the network as a list of segments, all variables included.

  Args:
    num_modules: number of splits: 0; 1, after the second block group; 3, after
      each of the first three.
    width: factor on the number of channels, for small machines.
    num_classes: size of the output.
    seed: of the initial weights, which do not depend on the splits.

  Returns:
    List of `num_modules + 1` modules, called as `segment(x, is_training)`.

  Raises:
    ValueError: the network has no so many splits.
  """
  if num_modules not in BORDERS:
    raise ValueError(
      "ResNet-50 is split at 0, 1 or 3 places, but num_modules is "
      f"{num_modules}."
    )
  # A bottleneck has a quarter of its group's channels.
  groups = [
    (4 * scaled_channels(channels // 4, width), blocks, stride)
    for channels, blocks, stride in GROUPS
  ]
  starts = (0, *BORDERS[num_modules], len(groups))
  stem = scaled_channels(_STEM_CHANNELS, width)
  segments, num_inputs, number = [], 3, 0
  for low, high in zip(starts[:-1], starts[1:], strict=True):
    segment = ResNetSegment(
      num_inputs,
      groups[low:high],
      stem if low == 0 else None,
      num_classes if high == len(groups) else None,
      (seed, number),
    )
    segments.append(segment)
    num_inputs, number = groups[high - 1][0], segment.next_seed
  return segments


def _make_statistics_local(make, **settings):
  """Gives each replica moving statistics of its own: a variable creator.

  Without it Sonnet's BatchNorm cannot be trained under MirroredStrategy: a
  mirrored variable refuses an update that differs between replicas.
  """
  if settings.get("trainable") is False:  # None means that it is
    settings["synchronization"] = tf.VariableSynchronization.ON_READ
    settings["aggregation"] = tf.VariableAggregation.ONLY_FIRST_REPLICA
  return make(**settings)
