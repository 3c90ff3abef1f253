"""A decoupled classifier with its optimizers, on one replica or several.

The main network is mirrored: its gradients are averaged over the joined batch
of all replicas. The estimators are either mirrored too ("sync"), or one shared
copy outside the strategy's scope, which every replica updates by itself
("hogwild", SM §4).
"""

import numpy as np
import tensorflow as tf

from sobolev_tf.synthetic_gradients import DecoupledNetwork, ZeroEstimator
from sobolev_tf.synthetic_gradients.jacobian_symmetry import jacobian_asymmetry
from sobolev_tf.training.optimizers import SharedAdam
from trainers.lifecycle.guard import Guard, size_of
from trainers.synthetic_gradients import networks

# The asymmetry is estimated on few examples: it costs two passes through the
# estimator for each direction.
_ASYMMETRY_EXAMPLES = 8
_ASYMMETRY_DIRECTIONS = 4


class SyntheticGradientLearner:
  """Network, estimators, optimizers and the compiled steps.

  Attributes:
    network: a `DecoupledNetwork`.
    strategy: where it lives.
  """

  def __init__(self, config, strategy, image_shape, num_classes):
    """Builds everything, all variables included.

    Args:
      config: settings with the fields of `config.Config`.
      strategy: a `tf.distribute.Strategy`.
      image_shape: of one picture.
      num_classes: number of classes.

    Raises:
      ValueError: the network does not have that many borders.
    """
    self.strategy = strategy
    self._is_shared = config.estimator_updates == "hogwild"
    with strategy.scope():
      segments = networks.build_segments(config, num_classes)
      shapes = networks.border_shapes(segments, image_shape)
    scope = _no_scope() if self._is_shared else strategy.scope()
    with scope:
      estimators = networks.build_estimators(config, shapes, num_classes)
      self._estimator_optimizer = SharedAdam(config.estimator_learning_rate)
      self._estimator_optimizer.build(
        [v for e in estimators for v in e.trainable_variables]
      )
    self.network = DecoupledNetwork(
      segments, estimators, config.targets, config.l2
    )
    with strategy.scope():
      self._main_optimizer = networks.build_main_optimizer(config)
      self._main_optimizer.build(self.network.main_variables)
    self._guard = Guard()
    trainable = {id(v) for v in self.network.trainable_variables}
    # The forward pass itself updates these: BatchNorm's statistics.
    self._moving = [v for v in self.network.variables if id(v) not in trainable]

  def trackables(self):
    """What a checkpoint holds."""
    return {
      "network": self.network,
      "main_optimizer": self._main_optimizer,
      "estimator_optimizer": self._estimator_optimizer,
    }

  @property
  def variables(self):
    """Every variable of `trackables`."""
    return [
      *self.network.variables,
      *self._main_optimizer.variables,
      *self._estimator_optimizer.variables,
    ]

  def train_step(self, x, y, measure=False):
    """Makes one update of everything.

    Args:
      x: pictures `[B, ...]` for all replicas together; each takes an equal
        share.
      y: one-hot labels `[B, classes]`.
      measure: whether to return all measures of the estimators.

    Returns:
      dict of scalar tensors: `loss`, the measures that are known, and
      `is_made`, whether the guard admitted the update.
    """
    count = self.strategy.num_replicas_in_sync
    if count == 1:
      return self._step(x, y, measure)
    size = len(x) // count

    def share(context):
      first = context.replica_id_in_sync_group * size
      return x[first : first + size], y[first : first + size]

    values = self.strategy.experimental_distribute_values_from_function(share)
    return self._step(*values, measure)

  @tf.function(autograph=False)
  def _step(self, x, y, measure):
    run = self.strategy.run
    before = run(lambda: [v.read_value() for v in self._moving])
    found, size = run(self._differentiate, args=(x, y, measure))
    is_made = self._guard.admits(self._reduce("SUM", size))
    # Every replica has its gradients by now, as on machines of their own.
    tf.cond(
      is_made,
      lambda: _none(run(self._update, args=(found.main, found.estimators))),
      lambda: _none(run(self._put_back, args=(before,))),
    )
    numbers = {"loss": found.loss, **found.measures}
    means = {name: self._reduce("MEAN", v) for name, v in numbers.items()}
    return {**means, "is_made": is_made}

  def _reduce(self, kind, value):
    return self.strategy.reduce(kind, value, axis=None)

  def _differentiate(self, x, y, measure):
    found = self.network.gradients(x, y, measure)
    return found, size_of(found.loss, [*found.main, *found.estimators])

  def _update(self, main, estimators):
    context = tf.distribute.get_replica_context()
    count = context.num_replicas_in_sync
    # The optimizer sums the gradients of the replicas; their mean is wanted.
    self._main_optimizer.apply(
      [gradient / count for gradient in main], self.network.main_variables
    )
    if estimators and count > 1 and not self._is_shared:
      estimators = context.all_reduce("MEAN", estimators)
    self._estimator_optimizer.apply(
      estimators, self.network.estimator_variables
    )

  def _put_back(self, values):
    for variable, value in zip(self._moving, values, strict=True):
      variable.assign(value)

  @tf.function(reduce_retracing=True, autograph=False)
  def _predict(self, x):
    return self.network(x, False)

  def evaluate(self, batches):
    """Test accuracies (shares of 1) and mean log loss, in inference mode.

    "top5" counts a picture whose class is among the five most probable.

    Args:
      batches: iterable of (x, y), y `[B]` of integers.
    """
    correct, among_five, loss, count = 0, 0, 0.0, 0
    for x, y in batches:
      logits = self._predict(tf.constant(x))
      losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
      best = tf.math.top_k(logits, min(5, logits.shape[1])).indices.numpy()
      correct += int(np.sum(best[:, 0] == y))
      among_five += int(np.sum(best == y[:, np.newaxis]))
      loss += float(tf.reduce_sum(losses))
      count += len(y)
    return {
      "test_accuracy": correct / count,
      "test_top5_accuracy": among_five / count,
      "test_loss": loss / count,
    }

  def asymmetries(self, x, y, seed):
    """How far each estimator is from a true gradient field (Proposition 4).

    Args:
      x: pictures; a few are taken.
      y: one-hot labels.
      seed: of the random directions.

    Returns:
      dict with `asymmetry_K` for each border from below.
    """
    if not self.network.estimators:
      return {}
    x, y = x[:_ASYMMETRY_EXAMPLES], y[:_ASYMMETRY_EXAMPLES]
    values = self._asymmetries(tf.constant(x), tf.constant(y), seed)
    return {
      f"asymmetry_{border}": float(value)
      for border, value in enumerate(values, start=1)
    }

  @tf.function(autograph=False)
  def _asymmetries(self, x, y, seed):
    values = []
    for estimator, h in zip(
      self.network.estimators, self.network.activations(x)[:-1], strict=True
    ):
      if isinstance(estimator, ZeroEstimator):
        values.append(tf.zeros([]))  # a constant has a symmetric Jacobian
        continue
      values.append(
        tf.reduce_mean(
          jacobian_asymmetry(
            lambda z, ask=estimator: ask(z, y).gradient,
            h,
            seed,
            num_projections=_ASYMMETRY_DIRECTIONS,
          )
        )
      )
    return values


def _none(result):
  """What branches of a `tf.cond` return that are there for their effect."""
  del result
  return ()


def _no_scope():
  return tf.distribute.get_strategy().scope()
