"""Remark 2: where attention transfer and Sobolev training part (SM §5).

The counterexample, trained: g(x|theta) = theta, L(p) = p^2, and a teacher
theta_f > 0. The transfer loss pulls a student that equals the teacher away to
0; the Sobolev loss on L∘f leaves it where it is.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from sobolev_tf.derivatives.nested_tapes import derivatives
from sobolev_tf.distillation.objective import attention_transfer_loss
from sobolev_tf.training.losses import sobolev_loss

LOSSES = ("transfer", "sobolev")


def constant_model_loss(theta: tf.Tensor | float) -> Callable:
  """Returns L∘g for L(p) = p^2 and g(x|theta) = theta, `[B, d]` to `[B]`."""
  # Adding 0 x changes nothing; it gives the constant its gradient, zero.
  return lambda x: tf.square(theta + 0.0 * tf.reduce_sum(x, axis=1))


def objective(
  loss: str,
  theta: tf.Tensor,
  teacher_theta: float,
  x: tf.Tensor,
  alpha: float = 1.0,
) -> tf.Tensor:
  """Mean transfer or Sobolev loss of a student.

  Args:
    loss: `"transfer"` (Eq. 3) or `"sobolev"` (on L∘f).
    theta: the student, a scalar tensor.
    teacher_theta: the teacher, a number.
    x: inputs `[B, d]`.
    alpha: weight of the gradients' distance.

  Returns:
    Scalar tensor.
  """
  teacher = constant_model_loss(tf.constant(teacher_theta, x.dtype))
  target = [tf.stop_gradient(term) for term in derivatives(teacher, x)]
  predicted = derivatives(constant_model_loss(theta), x)
  if loss == "transfer":
    return tf.reduce_mean(
      attention_transfer_loss(predicted, target[1], alpha).loss
    )
  if loss == "sobolev":
    return tf.reduce_mean(
      sobolev_loss(predicted, target, (1, alpha), loss=("l1", "norm")).loss
    )
  raise ValueError(
    f"loss must be one of {', '.join(LOSSES)}, but it is {loss!r}."
  )


def descend(
  loss: str,
  start: float,
  teacher_theta: float = 1.0,
  num_steps: int = 200,
  step_size: float = 0.05,
) -> np.ndarray:
  """Follows the gradient of a loss and returns the way.

  Args:
    loss: as in `objective`.
    start: theta at the start.
    teacher_theta: the true theta_f, positive.
    num_steps: updates; step t has the size `step_size / sqrt(t)`, because the
      Sobolev loss here is an absolute value and fixed steps would circle.
    step_size: of the first step.

  Returns:
    theta before, between and after the updates, numpy `[num_steps + 1]`.
  """
  x = tf.constant(np.linspace(-1, 1, 8)[:, np.newaxis])
  theta = tf.Variable(start, dtype=tf.float64)

  @tf.function
  def gradient():
    with tf.GradientTape() as tape:
      value = objective(loss, theta, teacher_theta, x)
    return tape.gradient(value, theta)

  path = [theta.numpy()]
  for step in range(1, num_steps + 1):
    theta.assign_sub(step_size / step**0.5 * gradient())
    path.append(theta.numpy())
  return np.array(path)
