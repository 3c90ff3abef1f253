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
  differentiate: typing.Callable | None = None,
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
    differentiate: None, or a function of an update's index to the loss and the
      gradients to apply, which is asked instead of `loss`.

  Returns:
    The index after the last update that was made, `first + count` if all were
    finite, and the last loss, finite or not.
  """
  values = sources(variables)

  def of_loss(index):
    with tf.GradientTape() as tape:
      last = loss(index)
    return last, tape.gradient(last, values)

  differentiate = differentiate or of_loss

  def unfinished(index, last, finite):
    del last
    return finite & (index < first + count)

  def update(index, last, finite):
    last, gradients = differentiate(index)
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
