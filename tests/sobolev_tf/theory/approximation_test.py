"""Theorems 1 and 2."""

import math

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from sobolev_tf.derivatives.nested_tapes import derivatives
from sobolev_tf.theory import approximation


def line_errors(network, f, df, x):
  value, slope = derivatives(network, tf.constant(x[:, np.newaxis]))
  return np.abs(value - f(x)).max(), np.abs(slope[:, 0] - df(x)).max()


@hypothesis.settings(max_examples=20, deadline=None)
@hypothesis.given(
  frequency=st.floats(0.2, 3),
  low=st.floats(-3, 0),
  length=st.floats(0.5, 4),
  eps=st.floats(3e-3, 1),
)
def test_a_c1_function_is_within_eps_in_value_and_derivative(
  frequency, low, length, eps
):
  def f(x):
    return np.sin(frequency * x)

  def df(x):
    return frequency * np.cos(frequency * x)

  network = approximation.approximate(f, df, low, low + length, eps)
  # Other points than the construction looks at; curvature bounds the rest.
  x = np.linspace(low, low + length, 997)
  assert max(line_errors(network, f, df, x)) <= 1.05 * eps
  # No more than the bound max|f''| length / (2 eps), and two ends.
  assert network.num_units <= frequency**2 * length / (2 * eps) + 4


def test_half_the_eps_takes_twice_the_units():
  counts = [
    approximation.approximate(np.sin, np.cos, -2, 2, eps).num_units
    for eps in (0.02, 0.01, 0.005)
  ]
  np.testing.assert_allclose(np.diff(np.log2(counts)), 1, atol=0.03)


@pytest.mark.parametrize("eps", [0.4, 0.05, 0.003])
def test_the_sigmoid_is_within_eps_on_the_whole_line(eps):
  network = approximation.approximate_sigmoid(eps)
  x = np.concatenate([np.linspace(-30, 30, 9973), [-1e6, 1e6]])
  both = line_errors(
    network, approximation.sigmoid, approximation.sigmoid_derivative, x
  )
  assert max(both) <= eps


@pytest.mark.parametrize("eps", [0.3, 0.01])
def test_the_limits_of_the_sigmoid_are_within_half_of_eps(eps):
  network = approximation.approximate_sigmoid(eps)
  ends = network(tf.constant([[-100.0], [100.0]])).numpy()
  np.testing.assert_array_less(np.abs(ends - [0, 1]), eps / 2)


def test_the_sigmoid_network_is_continuous_where_it_becomes_constant():
  network = approximation.approximate_sigmoid(0.3)
  kink = -network.biases.numpy()[0]
  around = network(np.array([[kink - 1e-9], [kink + 1e-9]])).numpy()
  assert abs(around[1] - around[0]) < 1e-8


@hypothesis.settings(max_examples=12, deadline=None)
@hypothesis.given(
  d=st.integers(1, 8), eps=st.floats(0.03, 1), seed=st.integers(0, 999)
)
def test_a_sigmoid_network_becomes_a_relu_network_within_eps(d, eps, seed):
  rng = np.random.default_rng(seed)
  sigmoids = approximation.SigmoidNetwork(
    2 * rng.normal(size=[d, 3]), rng.normal(size=3), rng.normal(size=3)
  )
  relus = approximation.relu_from_sigmoids(sigmoids, eps)
  x = tf.constant(3 * rng.normal(size=[200, d]))
  (f, df), (h, dh) = derivatives(sigmoids, x), derivatives(relus, x)
  assert np.abs(f - h).max() <= eps
  assert np.linalg.norm(df - dh, axis=1).max() <= eps


def test_a_function_with_a_false_derivative_is_refused(monkeypatch):
  assert approximation._MOST_PIECES == 2**20
  monkeypatch.setattr(approximation, "_MOST_PIECES", 2**12)
  with pytest.raises(ValueError, match="more than 4096 pieces"):
    approximation.approximate(np.abs, np.sign, -1.0, 1.3, 1e-2)
  with pytest.raises(ValueError, match="eps must be positive"):
    approximation.approximate(np.sin, np.cos, 0, 1, 0)
  with pytest.raises(ValueError, match="increasing"):
    approximation.relu_interpolant([0, 0, 1], [1, 2, 3])


@pytest.mark.parametrize("shift, length", [(0.5, 6.0), (-0.2, 1.0)])
def test_the_contradiction_bound_of_a_constant_shift_is_known(shift, length):
  bound = approximation.contradiction_bound(
    np.cos, lambda x: np.cos(x) + shift, 0.0, length
  )
  assert bound == pytest.approx(abs(shift) * length / (length + 2), abs=1e-12)


def test_consistent_labels_have_no_contradiction_bound():
  assert approximation.contradiction_bound(np.cos, np.cos, -3, 3) == 0


def test_the_best_function_reaches_the_contradiction_bound():
  # e = f - h falls from -b to b at the slope that leaves b in the derivative.
  bound = approximation.contradiction_bound(
    np.cos, lambda x: np.cos(x) + 0.5, -1.0, 1.0
  )
  x = np.linspace(-1, 1, 101)
  h, dh = np.sin(x) + bound * x, np.cos(x) + bound
  achieved = max(
    np.abs(np.sin(x) - h).max(), np.abs(np.cos(x) + 0.5 - dh).max()
  )
  assert achieved == pytest.approx(bound, abs=1e-12)


def test_training_stays_above_the_bound_unless_labels_agree():
  def contradicting(x):
    return np.cos(x) + 0.5

  interval = (-math.pi, math.pi)
  bound = approximation.contradiction_bound(np.cos, contradicting, *interval)
  error = approximation.best_trained_error(
    np.sin, contradicting, *interval, hidden_size=16, num_steps=600
  )
  assert bound <= error < 2 * bound
  agreeing = approximation.best_trained_error(
    np.sin, np.cos, *interval, hidden_size=16, num_steps=600
  )
  assert agreeing < bound / 3
