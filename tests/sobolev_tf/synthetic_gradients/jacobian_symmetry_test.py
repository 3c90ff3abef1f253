"""Proposition 4 as a measure."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from sobolev_tf.networks.synthetic_gradient_modules import (
  ClassPredictor,
  GradientPredictor,
)
from sobolev_tf.synthetic_gradients import DirectEstimator, LossCritic
from sobolev_tf.synthetic_gradients.jacobian_symmetry import jacobian_asymmetry


def normal(shape, seed):
  return tf.random.stateless_normal(shape, [seed, 0], dtype=tf.float64)


def gradient_field(function):
  def field(h):
    with tf.GradientTape() as tape:
      tape.watch(h)
      value = function(h)
    return tape.gradient(value, h)

  return field


@hypothesis.settings(max_examples=10, deadline=None)
@hypothesis.given(size=st.integers(2, 12), seed=st.integers(0, 999))
def test_the_estimate_of_a_linear_field_tends_to_the_frobenius_ratio(
  size, seed
):
  matrix = normal([size, size], seed)
  exact = np.linalg.norm(matrix - tf.transpose(matrix)) / np.linalg.norm(matrix)
  estimate = jacobian_asymmetry(
    lambda h: tf.matmul(h, matrix), normal([400, size], 1), 0, 10
  )
  assert estimate.shape == [400]
  # 4,000 directions; the mean over examples is of squares, as the norm is.
  assert np.sqrt(np.mean(estimate**2)) == pytest.approx(exact, rel=0.12)


def test_gradients_of_scalar_functions_are_symmetric_to_rounding():
  w, kernel = normal([6, 6], 1), normal([3, 3, 2, 2], 2)
  dense = gradient_field(lambda h: tf.reduce_sum(tf.tanh(h @ w), axis=1))
  conv = gradient_field(
    lambda h: tf.reduce_sum(tf.sin(tf.nn.conv2d(h, kernel, 1, "SAME")))
  )
  for field, shape in ((dense, [5, 6]), (conv, [3, 5, 5, 2])):
    asymmetry = jacobian_asymmetry(field, normal(shape, 3), 0, 3)
    assert asymmetry.shape == shape[:1]
    assert np.max(asymmetry) < 1e-13


def test_critics_are_symmetric_and_the_direct_estimator_is_not():
  """Proposition 4, on the modules of Table 1 at a tiny border."""
  h, y = normal([2, 4, 4, 3], 1), tf.one_hot([0, 2], 3, dtype=tf.float64)
  direct = GradientPredictor(3, channels=4)
  direct(h, y)
  direct.output.w.assign(normal(direct.output.w.shape, 2))  # it starts at zero

  def asymmetry(estimator):
    return jacobian_asymmetry(lambda z: estimator(z, y).gradient, h, 0)

  assert np.max(asymmetry(LossCritic(ClassPredictor(3, channels=4)))) < 1e-12
  assert np.min(asymmetry(DirectEstimator(direct))) > 0.1


def test_random_linear_and_convolutional_fields_are_asymmetric():
  w, kernel = normal([20, 20], 1), normal([3, 3, 4, 4], 2)
  linear = jacobian_asymmetry(lambda h: h @ w, normal([4, 20], 3), 0)
  conv = jacobian_asymmetry(
    lambda h: tf.nn.conv2d(h, kernel, 1, "SAME"), normal([4, 6, 6, 4], 3), 0
  )
  # Independent entries: |J - J^T|^2 is about 2 |J|^2.
  np.testing.assert_allclose(linear, 2**0.5, atol=0.2)
  np.testing.assert_allclose(conv, 2**0.5, atol=0.2)


def test_an_antisymmetric_field_measures_2_and_a_constant_jacobian_of_0_is_0():
  turn = tf.constant([[0.0, 1.0], [-1.0, 0.0]], tf.float64)
  h = normal([3, 2], 0)
  np.testing.assert_allclose(jacobian_asymmetry(lambda x: x @ turn, h, 0), 2)
  np.testing.assert_array_equal(
    jacobian_asymmetry(lambda x: 0 * x, h, 0), np.zeros(3)
  )


def test_one_direction_is_enough_where_every_direction_says_the_same():
  # J = [[0, 1], [0, 0]]: |J - J^T| / |J| is the root of 2. J v and J^T v have
  # different lengths in nearly every direction; both count.
  step = tf.constant([[0.0, 0.0], [1.0, 0.0]], tf.float64)
  asymmetry = jacobian_asymmetry(lambda x: x @ step, normal([5, 2], 0), 0, 1)
  np.testing.assert_allclose(asymmetry, 2**0.5, rtol=1e-12)


def test_each_example_has_its_own_asymmetry():
  turn = tf.constant([[0.0, 1.0], [-1.0, 0.0]], tf.float64)
  h = tf.constant([[0.0, 0.0], [1.0, 0.0]], tf.float64)
  # The second example alone is turned; its share is switched on by a mask.
  mask = tf.constant([[0.0], [1.0]], tf.float64)
  asymmetry = jacobian_asymmetry(lambda x: x + mask * (x @ turn), h, 0, 16)
  assert asymmetry[0] == 0
  # J = I + R with R antisymmetric: |2R| / |I + R| = sqrt(8) / 2.
  np.testing.assert_allclose(asymmetry[1], 2**0.5, rtol=1e-12)


def test_the_measure_runs_in_a_graph_and_is_fixed_by_its_seed():
  w, h = normal([5, 5], 1), normal([4, 5], 2)

  def measure(seed):
    return jacobian_asymmetry(lambda x: tf.tanh(x @ w), h, seed, 2)

  graph = tf.function(measure)(tf.constant(3))
  np.testing.assert_allclose(graph, measure(3), rtol=1e-12)
  assert np.abs(measure(4) - measure(3)).max() > 1e-6


def test_fields_that_cannot_be_measured_are_refused():
  h = normal([3, 4], 0)
  with pytest.raises(ValueError, match="must have the shape of h"):
    jacobian_asymmetry(lambda x: x[:, :2], h, 0)
  with pytest.raises(ValueError, match="does not depend on h"):
    jacobian_asymmetry(lambda x: tf.ones([3, 4], tf.float64), h, 0)
  with pytest.raises(ValueError, match="num_projections"):
    jacobian_asymmetry(lambda x: x, h, 0, num_projections=0)
