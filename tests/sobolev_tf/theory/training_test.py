"""What the theory's experiments train with."""

import numpy as np
import pytest
import tensorflow as tf

from sobolev_tf.theory import (
  training,
)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_the_minimiser_reaches_the_minimum_and_reports_the_way(dtype):
  variable = tf.Variable([3.0, -1.0], dtype=dtype)
  losses = training.minimise(
    lambda: tf.reduce_sum((variable - 1) ** 2), [variable], 300, 0.1
  )
  assert losses.shape == (300,) and losses[0] == 8 and losses[-1] < 1e-3
  np.testing.assert_allclose(variable, 1, atol=0.05)


def test_the_smooth_network_is_a_function_of_its_seed():
  x = tf.ones([2, 3])
  first, again, other = (training.SmoothMLP([3, 8, 1], s)(x) for s in (0, 0, 1))
  np.testing.assert_array_equal(first, again)
  assert np.abs(first - other).max() > 1e-3
