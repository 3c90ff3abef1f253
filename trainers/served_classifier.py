"""What a parameter-server run trains: the decoupled classifier of Table 1.

Another experiment would be another class with the same methods: what is served,
what a worker computes on a share, what the chief tests and saves.
"""

import tensorflow as tf

from sobolev_tf.optimizers import SharedAdam, SharedMomentum
from sobolev_tf.synthetic_gradients import DecoupledNetwork, is_decayed
from sobolev_tf.synthetic_gradients.decoupled import MEASURES
from trainers import decoupled_networks as networks
from trainers.decoupled_learner import Learner


class ServedClassifier:
  """A decoupled network on servers, and its copy on the chief.

  Attributes:
    network: the `DecoupledNetwork` on the servers.
    main_optimizer: of its main variables, on the servers.
    estimator_optimizer: of its estimators' variables, on the servers.
    local: the chief's `Learner`.
  """

  def __init__(self, config, data):
    """Makes nothing yet.

    Args:
      config: settings with the fields of `parameter_server.Config`.
      data: the data set.
    """
    self._config, self._data = config, data
    self._size = config.batch_size // config.num_replicas
    self._schedule = networks.build_schedule(config)
    self.network = self.main_optimizer = self.estimator_optimizer = None
    self.local = None

  def build_local(self):
    """Makes the chief's copy; call it where no strategy is in scope."""
    self.local = Learner(
      self._config,
      tf.distribute.get_strategy(),
      self._data.image_shape,
      self._data.num_classes,
    )

  def build_served(self):
    """Makes the variables on the servers; call it in the strategy's scope."""
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
  def share_shapes(self):
    """Shapes of the two arrays of a share."""
    data = self._data
    return [self._size, *data.image_shape], [self._size, data.num_classes]

  @property
  def measure_names(self):
    """Names of the measures that `gradients` may return."""
    borders = range(1, len(self.network.estimators) + 1)
    return [f"{name}_{border}" for border in borders for name in MEASURES]

  def gradients(self, x, y, measure):
    """What a worker computes on a share: `StepGradients`."""
    return self.network.gradients(x, y, measure)

  def rate(self, step):
    """Learning rate of the main variables at a step."""
    return float(self._schedule(step))

  def decay(self, variable):
    """Weight of the L2 term of a main variable."""
    return self._config.l2 if is_decayed(variable) else 0.0

  def pairs(self):
    """The same variables (on the chief, on the servers)."""
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
    """What a checkpoint holds of the chief's copy, which is at `step`."""
    parts = self.local.trackables()
    parts["main_optimizer"].iterations.assign(step)
    return parts

  def test(self):
    """Tests the chief's copy: dict of the final numbers."""
    return self.local.evaluate(self._data.test_batches())

  def look(self, step):
    """Further numbers of the chief's copy, to be logged."""
    x, y = self._data.training_batch(step, self._size)
    seed = tf.constant([self._config.seed, step])
    return self.local.asymmetries(x, y, seed)
