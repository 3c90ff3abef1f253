"""Future work of the paper, 2: second-order matching of a curvature signal.

The function is an energy, -ln p(x). Its curvature is an uncertainty: at a mode
the second derivative along an axis is the precision 1 / sigma^2. Someone who
knows the precisions along the axes but no mixed derivatives can supply just
those, and NaN for the rest.
"""

import numpy as np
import tensorflow as tf

from sobolev_tf.derivatives.nested_tapes import derivatives
from sobolev_tf.theory import training
from sobolev_tf.training.losses import sobolev_loss

_MEANS = np.array([[-1.0, -0.5], [1.0, 0.7]])
_DEVIATIONS = np.array([[0.9, 0.7], [0.6, 1.0]])


def mixture_energy(x: tf.Tensor) -> tf.Tensor:
  """-ln of a mixture of two Gaussians, up to a constant: `[B, 2]` to `[B]`."""
  means = tf.constant(_MEANS, x.dtype)
  deviations = tf.constant(_DEVIATIONS, x.dtype)
  z = (x[:, tf.newaxis] - means) / deviations  # [B, 2 modes, 2]
  log_density = -0.5 * tf.reduce_sum(z * z, axis=2)
  log_density -= tf.reduce_sum(tf.math.log(deviations), axis=1)
  return -tf.reduce_logsumexp(log_density, axis=1)


def curvature_errors(
  num_points: int = 12, num_steps: int = 1500, seed: int = 0
) -> dict[int, float]:
  """Learns the energy from values, gradients and precisions along the axes.

  Args:
    num_points: training points, uniform on [-2, 2]^2.
    num_steps: updates.
    seed: of the points and the networks.

  Returns:
    dict from the order of the labels, 0, 1 or 2, to the mean squared error at
    1,000 new points, relative to the energy's variance there.
  """
  x, x_test = (
    tf.random.stateless_uniform([num, 2], [seed, draw], -2, 2)
    for num, draw in ((num_points, 10), (1000, 11))
  )
  value, gradient, hessian = derivatives(mixture_energy, x, 2)
  known = tf.eye(2, batch_shape=[num_points]) > 0
  labels = (value, gradient, tf.where(known, hessian, np.nan))
  y_test = mixture_energy(x_test)
  errors = {}
  for order in range(3):
    network = training.SmoothMLP([2, 32, 32, 1], seed)

    def objective(network=network, order=order):
      predicted = derivatives(lambda z: network(z)[:, 0], x, order)
      return tf.reduce_mean(sobolev_loss(predicted, labels[: order + 1]).loss)

    training.minimise(objective, network.trainable_variables, num_steps)
    error = tf.reduce_mean(tf.square(network(x_test)[:, 0] - y_test))
    errors[order] = float(error / tf.math.reduce_variance(y_test))
  return errors
