"""The training loss of a model on data that stays in memory."""

import typing

import keras
import tensorflow as tf

from sobolev_tf.derivatives.compiled import compiled
from sobolev_tf.derivatives.dense_networks import dense_network_of


class ResidentLoss:
  """What `SobolevModel` minimises, on examples that are scaled once.

  Attributes:
    size: N, the number of examples.
    variables: the model's trainable variables.
    l2: scalar `tf.Variable`, multiplies the sum of squares of all trainable
      variables of rank 2 and more, which is added to the loss.
    sample_weight: None, or `tf.Variable` `[N]`.
  """

  def __init__(
    self,
    model: keras.Model,
    x: typing.Any,
    y: dict,
    sample_weight: typing.Any = None,
    l2: float = 0.0,
  ):
    """Brings the examples into scaled units.

    Args:
      model: a compiled `SobolevModel`, built and adapted.
      x: `[N, *in]`.
      y: labels as in `fit`.
      sample_weight: None, or `[N]`.
      l2: at least 0.

    Raises:
      ValueError: labels are missing or shaped wrongly.
    """
    dtype = model.compute_dtype
    x = tf.convert_to_tensor(x)
    y = keras.tree.map_structure(tf.convert_to_tensor, y)
    self.model = model
    self.examples = model.objective.examples(x, y, model.scaling, dtype)
    self.size = x.shape[0]
    self.variables = model.trainable_variables
    self.l2 = tf.Variable(l2, dtype=dtype, trainable=False)
    self._is_regularised = l2 > 0
    self.sample_weight = sample_weight
    if sample_weight is not None:
      self.sample_weight = tf.Variable(
        sample_weight, dtype=dtype, trainable=False
      )
    self._network = dense_network_of(model.network)
    self._compiled_measure = compiled(self._measure)

  def __call__(
    self, step: typing.Any, rows: tf.Tensor | None = None
  ) -> tf.Tensor:
    """The mean loss over all examples, or over some, with regularisation.

    Args:
      step: integer, of the directions and the schedules of weights.
      rows: None, or `[B]` indices.
    """
    losses, _ = self._compare(step, rows, training=True)
    return tf.reduce_mean(losses) + self._penalty(losses.dtype)

  def parts(self, step: typing.Any, rows: typing.Any = None) -> tuple:
    """The loss in parts that are differentiated apart from each other.

    Args:
      step: as in `__call__`.
      rows: as in `__call__`.

    Returns:
      The loss of `__call__`, the mean loss of each order without its weight,
      None for an order without labels, and the regularisation.
    """
    losses, comparison = self._compare(step, rows, training=True)
    weight = self.sample_weight
    if weight is not None and rows is not None:
      weight = tf.gather(weight, rows)
    by_order = self.model.objective.losses_by_order(
      comparison, self.model.scaling, step, weight
    )
    penalty = self._penalty(losses.dtype)
    means = [
      None if part is None else tf.reduce_mean(part) for part in by_order
    ]
    return tf.reduce_mean(losses) + penalty, means, penalty

  def residuals(self, step: typing.Any) -> tf.Tensor:
    """One vector whose squares add up to the loss; for losses "l2" alone."""
    _, comparison = self._compare(step, None, training=True)
    weights = tf.ones([self.size], self.l2.dtype)
    if self.sample_weight is not None:
      weights = tf.convert_to_tensor(self.sample_weight)
    root = tf.sqrt(weights / self.size)
    parts = [
      residual * tf.reshape(root, [-1] + [1] * (residual.shape.rank - 1))
      for residual in self.model.objective.residuals(
        comparison, self.model.scaling, step
      )
    ]
    if self._is_regularised:
      parts += [
        tf.sqrt(self.l2) * v for v in self.variables if len(v.shape) > 1
      ]
    return tf.concat([tf.reshape(part, [-1]) for part in parts], axis=0)

  def measure(self) -> dict:
    """Loss and mean squared errors over all examples, as `evaluate` has them.

    Returns:
      Dict of scalars: "loss", "value_mse", "d1_mse", ...
    """
    return self._compiled_measure()

  def _measure(self):
    losses, comparison = self._compare(0, None, training=False)
    logs = {"loss": tf.reduce_mean(losses) + self._penalty(losses.dtype)}
    for name, errors, known in comparison.errors():
      count = tf.reduce_sum(tf.cast(known, errors.dtype))
      total = tf.reduce_sum(tf.square(errors))
      # NaN where no label is known: 0 would be a perfect score.
      logs[f"{name}_mse"] = total / count
    return logs

  def _compare(self, step, rows, training):
    examples, weight = self.examples, self.sample_weight
    if rows is not None:
      examples = tf.nest.map_structure(lambda a: tf.gather(a, rows), examples)
      weight = None if weight is None else tf.gather(weight, rows)
    network = self._network
    if network is None:
      network = lambda z: self.model.evaluate_network(z, training)  # noqa: E731
    return self.model.objective.on_examples(
      network,
      examples,
      self.model.scaling,
      step,
      sample_weight=weight,
      training=training,
    )

  def _kernels(self):
    return [v for v in self.variables if len(v.shape) > 1]

  def _penalty(self, dtype):
    squares = [tf.reduce_sum(tf.square(kernel)) for kernel in self._kernels()]
    own = [tf.cast(tf.reduce_sum(loss), dtype) for loss in self.model.losses]
    return tf.cast(self.l2 * tf.add_n(squares), dtype) + sum(own)
