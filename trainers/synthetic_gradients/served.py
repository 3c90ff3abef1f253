"""What a parameter-server run trains: the decoupled classifier of Table 1.

An L2 term needs no worker: the servers add it.
"""

import dataclasses

import tensorflow as tf

from sobolev_tf.synthetic_gradients import DecoupledNetwork, is_decayed
from sobolev_tf.synthetic_gradients.decoupled import MEASURES
from sobolev_tf.training.optimizers import SharedAdam, SharedMomentum
from trainers.lifecycle.command_line import CommandError, setting
from trainers.lifecycle.served import (
  Served,
  Share,
  main_updates_setting,
  num_replicas_setting,
  specs,
)
from trainers.synthetic_gradients import config as table1_config
from trainers.synthetic_gradients import networks
from trainers.synthetic_gradients.learner import SyntheticGradientLearner


@dataclasses.dataclass(frozen=True)
class Config(table1_config.Config):
  """Settings of one run: those of one machine, and three that differ."""

  num_replicas: int = num_replicas_setting(10, "SM §4.2")
  estimator_updates: str = setting(
    "hogwild",
    "every worker updates the estimators by itself; there is no other way here",
    "SM §4",
    choices=("hogwild",),
  )
  main_updates: str = main_updates_setting()


def _preset(base):
  """Settings of one machine as those of a cluster, of two workers at least."""
  changes = {"num_replicas": max(base.num_replicas, 2)}
  return Config(**{**dataclasses.asdict(base), **changes})


class ServedClassifier(Served):
  """A decoupled network on servers, and its copy on the chief; see `Served`.

  Attributes:
    network: the `DecoupledNetwork` on the servers.
    main_optimizer: of its main variables, on the servers.
    estimator_optimizer: of its estimators' variables, on the servers.
    local: the chief's `SyntheticGradientLearner`.
  """

  config_class = Config
  presets = {
    name: _preset(base) for name, base in table1_config.PRESETS.items()
  }
  share_dtypes = (tf.float32, tf.float32)
  columns = staticmethod(table1_config.columns)
  describe = staticmethod(table1_config.describe)

  def __init__(self, config):
    """Opens the data and checks that the network fits.

    Args:
      config: a `Config`.

    Raises:
      CommandError: the data are missing, or data or network do not fit.
    """
    try:
      self._data = table1_config.build_data(config)
      # Not kept: what is made before the chief connects is lost to it.
      networks.build_segments(config, self._data.num_classes)
    except ValueError as error:
      raise CommandError(str(error)) from error
    self._config = config
    self._size = config.batch_size // config.num_replicas
    self.network = self.main_optimizer = self.estimator_optimizer = None
    self.local = None

  def draw(self, index):
    """The arrays of a share: pictures and one-hot labels.

    Raises:
      CommandError: the data set is smaller than a share.
    """
    try:
      return self._data.training_batch(index, self._size)
    except ValueError as error:
      raise CommandError(str(error)) from error

  def build_local(self):
    self.local = SyntheticGradientLearner(
      self._config,
      tf.distribute.get_strategy(),
      self._data.image_shape,
      self._data.num_classes,
    )

  def build_served(self):
    config, num_classes = self._config, self._data.num_classes
    segments = networks.build_segments(config, num_classes)
    shapes = networks.border_shapes(segments, self._data.image_shape)
    estimators = networks.build_estimators(config, shapes, num_classes)
    # The L2 term needs no worker: the servers add it.
    self.network = DecoupledNetwork(segments, estimators, config.targets)
    self.estimator_optimizer = SharedAdam(config.estimator_learning_rate)
    self.estimator_optimizer.build(self.network.estimator_variables)
    self.main_optimizer = SharedMomentum(momentum=config.momentum)
    self.main_optimizer.build(self.network.main_variables)

  @property
  def main_variables(self):
    return self.network.main_variables

  @property
  def variables(self):
    return self.network.variables

  @property
  def share_specs(self):
    shapes = self._data.image_shape, [self._data.num_classes]
    return specs(self._size, shapes, self.share_dtypes)

  @property
  def measure_names(self):
    borders = range(1, len(self.network.estimators) + 1)
    return [f"{name}_{border}" for border in borders for name in MEASURES]

  def work(self, x, y, index, measure):
    """What a worker computes on a share, and its update of the estimators."""
    del index  # nothing here is random
    found = self.network.gradients(x, y, measure)
    update = self.estimator_optimizer.apply(
      found.estimators, self.network.estimator_variables
    )
    return Share(found.main, [update], found.loss, found.measures)

  def apply_main(self, gradients, rate):
    """Updates the main variables with their L2 term; returns an operation."""
    decayed = []
    for variable, gradient in zip(self.main_variables, gradients, strict=True):
      if self._config.l2 and is_decayed(variable):
        with tf.device(variable.device):
          gradient += self._config.l2 * variable.read_value()
      decayed.append(gradient)
    return self.main_optimizer.apply(decayed, self.main_variables, rate)

  def rate(self, step):
    return float(networks.build_schedule(self._config)(step))

  def pairs(self):
    parts = self.local.trackables()
    adam, sgd = parts["estimator_optimizer"], parts["main_optimizer"]
    mine = self.estimator_optimizer
    # Keras has no slots where there is no momentum.
    slots = self.main_optimizer.slots[0] if sgd.momentums else []
    return [
      *zip(self.local.network.variables, self.network.variables, strict=True),
      *zip(sgd.momentums, slots, strict=True),
      (adam.iterations, mine.iterations),
      *zip(adam.slots[0], mine.slots[0], strict=True),
      *zip(adam.slots[1], mine.slots[1], strict=True),
    ]

  def trackables(self, step):
    parts = self.local.trackables()
    parts["main_optimizer"].iterations.assign(step)
    return parts

  def test(self, step):
    """Tests the chief's copy; the row holds the estimators' asymmetry."""
    result = self.local.evaluate(self._data.test_batches())
    x, y = self._data.training_batch(step, self._size)
    seed = tf.constant([self._config.seed, step])
    return result, {**result, **self.local.asymmetries(x, y, seed)}

  def conclude(self, this_run, result):
    """What a finished run leaves besides; returns its numbers."""
    del this_run
    return result
