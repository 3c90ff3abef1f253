"""Curvature that is supplied."""

import numpy as np
import tensorflow as tf

from sobolev_tf.derivatives.nested_tapes import derivatives
from sobolev_tf.theory import (
  second_order,
)


def test_each_order_of_labels_improves_the_energy():
  errors = second_order.curvature_errors(num_steps=800, seed=0)
  assert errors[2] < 0.7 * errors[1] < 0.49 * errors[0]


def test_the_energys_curvature_at_a_lone_mode_is_the_precision():
  # 3 deviations from the other mode, its share is small but not nothing.
  x = tf.constant([[1.0, 0.7]], tf.float64)
  *_, hessian = derivatives(second_order.mixture_energy, x, 2)
  np.testing.assert_allclose(
    np.diag(hessian[0]), 1 / np.array([0.6, 1.0]) ** 2, rtol=0.25
  )
