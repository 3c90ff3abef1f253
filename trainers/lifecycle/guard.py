"""Keeps numbers that are not finite out of the variables.

One place decides whether an update is made, inside the compiled step: where
the loss or a gradient is not finite, the variables stay as they were, and so
they do in every later step until the run has been told.
"""

import tensorflow as tf


class Guard:
  """Lets updates through up to the first that is not finite."""

  def __init__(self):
    """Makes the counter; call it outside a strategy's scope."""
    # A counter and no flag: threads that share it cannot undo each other.
    self._refused = tf.Variable(0, trainable=False, dtype=tf.int64)

  def open(self):
    """Lets updates through again: the variables are those of another run."""
    self._refused.assign(0)

  def admits(self, size):
    """Whether a step may change variables.

    Args:
      size: scalar of `size_of`, or the sum of those of all replicas.

    Returns:
      Scalar bool tensor: False if the size is not finite, or was not in an
      earlier step.
    """
    is_bad = tf.logical_not(tf.math.is_finite(size))
    return self._refused.assign_add(tf.cast(is_bad, tf.int64)) == 0


def update_if(is_made, update):
  """Makes an update where a scalar bool tensor says so.

  Compiled steps take it for a plain `if`, which would need AutoGraph: turning
  all that a step calls into a graph by its source takes seconds.
  """

  def make():
    update()
    return is_made

  tf.cond(is_made, make, lambda: is_made)


def size_of(loss, gradients):
  """A number that is finite where an update may be made.

  The gradients' squares have to be finite, because optimizers sum them.

  Args:
    loss: scalar, or one number per network.
    gradients: list of tensors.

  Returns:
    Scalar tensor.
  """
  size = tf.reduce_sum(tf.abs(loss))
  return size + tf.linalg.global_norm(gradients) if gradients else size
