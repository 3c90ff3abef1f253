"""Internal activations, supplied curvature, black boxes through time."""

import numpy as np
import pytest
import tensorflow as tf

from sobolev_tf.derivatives.nested_tapes import derivatives
from sobolev_tf.theory import (
  internal_activations,
  second_order,
  temporal_model,
  training,
)


def test_derivatives_at_internal_activations_teach_a_sub_network():
  errors = internal_activations.sub_network_errors(num_steps=800, seed=1)
  assert errors["+ dy/dh"] < 0.5 * errors["values"] < 0.2


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


def test_finite_differences_of_the_simulator_improve_generation():
  ends = [
    temporal_model.rollout_errors(
      temporal_model.train_step_model(weight, num_steps=800, seed=2),
      horizon=15,
    )[-1]
    for weight in (0, 1)
  ]
  assert ends[1] < 0.6 * ends[0]


def test_the_simulator_loses_energy_and_rests_at_zero():
  start = np.array([[1.0, 0.0], [0.0, 0.0]])
  states = temporal_model.generate(temporal_model.pendulum_step, start, 200)
  assert states.shape == (201, 2, 2)
  assert np.abs(states[-30:, 0]).max() < 0.1
  np.testing.assert_array_equal(states[:, 1], 0)


def test_noise_is_fixed_by_its_seed():
  runs = [
    temporal_model.generate(lambda s: s, np.zeros([2, 2]), 5, 0.1, seed)
    for seed in (0, 0, 1)
  ]
  np.testing.assert_array_equal(runs[0], runs[1])
  assert np.abs(runs[0] - runs[2]).max() > 0.01


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
