"""L-BFGS on functions whose minimum is known."""

import numpy as np
import pytest
import scipy.optimize
import tensorflow as tf

from sobolev_tf.training import lbfgs


def _rosenbrock(x):
  with tf.GradientTape() as tape:
    tape.watch(x)
    value = tf.reduce_sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)
  return value, tape.gradient(value, x)


def _minimise(function, start, iterations=500, tolerance=0.0):
  state = lbfgs.start(tf.constant(start, tf.float64))
  run = tf.function(
    lambda s: lbfgs.iterate(
      function, s, tf.constant(iterations), tf.constant(tolerance, tf.float64)
    )
  )
  return run(state)


def test_finds_rosenbrocks_minimum_in_about_as_many_evaluations_as_scipy():
  start = np.zeros(20)
  state = _minimise(_rosenbrock, start)
  np.testing.assert_allclose(state.position, np.ones(20), atol=1e-10)
  theirs = scipy.optimize.minimize(
    lambda x: [a.numpy() for a in _rosenbrock(tf.constant(x))],
    start,
    jac=True,
    method="L-BFGS-B",
    options={"maxcor": 20, "ftol": 0, "gtol": 1e-9},
  )
  assert int(state.evaluations) <= 1.5 * theirs.nfev


def test_two_short_calls_are_one_long_call():
  once = _minimise(_rosenbrock, np.zeros(5), 14)
  run = tf.function(
    lambda s: lbfgs.iterate(
      _rosenbrock, s, tf.constant(7), tf.constant(0.0, tf.float64)
    )
  )
  twice = run(run(lbfgs.start(tf.zeros([5], tf.float64))))
  for a, b in zip(once, twice, strict=True):
    np.testing.assert_array_equal(a, b)


def test_never_accepts_a_point_where_the_loss_is_not_finite():
  # log x - x has its minimum's basin beside a region without values.
  def function(x):
    with tf.GradientTape() as tape:
      tape.watch(x)
      value = tf.reduce_sum(x - 3 * tf.math.log(x))
    return value, tape.gradient(value, x)

  state = _minimise(function, [40.0, 1e-3])
  np.testing.assert_allclose(state.position, [3.0, 3.0], rtol=1e-8)


@pytest.mark.parametrize("start", [[-1.0], [np.nan]])
def test_a_start_without_a_finite_loss_is_stuck_at_infinity(start):
  def function(x):
    return tf.reduce_sum(tf.sqrt(x)), 0.5 / tf.sqrt(x)

  state = _minimise(function, start)
  assert int(state.status) == lbfgs.STUCK
  assert not np.isfinite(state.loss)
  np.testing.assert_array_equal(state.position, start)


def test_a_small_enough_gain_ends_it():
  exact = _minimise(_rosenbrock, np.zeros(20))
  early = _minimise(_rosenbrock, np.zeros(20), tolerance=1e-2)
  assert int(early.status) == lbfgs.CONVERGED
  assert int(early.iterations) < int(exact.iterations)


def test_a_minimum_at_the_start_is_left_alone():
  state = _minimise(_rosenbrock, np.ones(4))
  assert int(state.status) == lbfgs.CONVERGED
  np.testing.assert_array_equal(state.position, np.ones(4))
