"""Many optimizer updates inside one compiled call."""

import typing

import keras
import tensorflow as tf


def make_updates(
  loss: typing.Callable,
  variables: typing.Sequence,
  optimizer: keras.optimizers.Optimizer,
  first: tf.Tensor,
  count: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
  """Makes up to `count` updates; belongs inside a `tf.function`.

  An update whose loss or gradient is not finite is not made: variables and
  optimizer stay as they were before it, and the call ends there.

  Args:
    loss: function of an update's index, an int32 scalar, to the loss to
      minimise, a scalar. Batches, directions and rates that are functions of
      the index are drawn in it.
    variables: list of `tf.Variable` or Keras variables.
    optimizer: a Keras optimizer that is built for them.
    first: int32 scalar, the index of the first update.
    count: int32 scalar.

  Returns:
    The index after the last update that was made, `first + count` if all were
    finite, and the last loss, finite or not.
  """
  values = sources(variables)

  def unfinished(index, last, finite):
    del last
    return finite & (index < first + count)

  def update(index, last, finite):
    with tf.GradientTape() as tape:
      last = loss(index)
    gradients = tape.gradient(last, values)
    finite = tf.math.is_finite(last) & _all_finite(gradients)
    tf.cond(
      finite,
      lambda: _apply(optimizer, gradients, variables),
      lambda: tf.constant(False),
    )
    return index + tf.cast(finite, tf.int32), last, finite

  last = tf.zeros([], values[0].dtype)
  index, last, _ = tf.while_loop(
    unfinished, update, (first, last, tf.constant(True))
  )
  return index, last


def sources(variables: typing.Sequence) -> list:
  """What a tape differentiates with respect to: Keras hides its variables."""
  return [v.value if isinstance(v, keras.Variable) else v for v in variables]


def _apply(optimizer, gradients, variables):
  optimizer.apply(gradients, variables)
  return tf.constant(True)


def _all_finite(gradients):
  """Whether every number is finite; a sum of squares costs less than a test."""
  squares = [tf.reduce_sum(tf.square(g)) for g in gradients if g is not None]
  return tf.math.is_finite(tf.add_n(squares))
