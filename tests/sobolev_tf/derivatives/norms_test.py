"""Sobolev norms against integrals that are known in closed form."""

import math

import numpy as np
import pytest
import tensorflow as tf

from sobolev_tf.derivatives.norms import sobolev_distance, sobolev_norm

# The mean over a full period of an even grid is exact for these functions.
_GRID = (np.arange(200) + 0.5) / 200 * 2 * math.pi


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_sine_has_mean_square_one_half_in_every_order(order):
  norm = sobolev_norm(tf.sin, _GRID, order)
  np.testing.assert_allclose(norm, ((order + 1) / 2) ** 0.5, rtol=1e-12)


def test_other_exponents_have_their_closed_form():
  # Mean of sin^4 is 3/8 and of |sin| is 2/pi.
  norm = sobolev_norm(tf.sin, _GRID, 1, p=4)
  np.testing.assert_allclose(norm, 0.75**0.25, rtol=1e-12)
  norm = sobolev_norm(tf.sin, _GRID, 1, p=1)
  np.testing.assert_allclose(norm, 4 / math.pi, rtol=1e-4)


def test_infinity_gives_the_largest_magnitude_of_any_order():
  norm = sobolev_norm(lambda x: tf.sin(3 * x), _GRID, 2, p=math.inf)
  np.testing.assert_allclose(norm, 9, rtol=1e-3)


def test_components_are_summed_and_not_averaged():
  x = np.random.default_rng(0).normal(size=[50, 3])
  matrix = np.arange(6.0).reshape(3, 2)
  norm = sobolev_norm(lambda z: z @ matrix, x, 1)
  wanted = np.mean(np.sum((x @ matrix) ** 2, 1)) + np.sum(matrix**2)
  np.testing.assert_allclose(norm, wanted**0.5, rtol=1e-12)


@pytest.mark.parametrize("p", [1, 2, 3.5, math.inf])
def test_distance_is_a_metric_on_these_functions(p):
  f, g, h = tf.sin, tf.cos, tf.tanh
  fg = sobolev_distance(f, g, _GRID, 1, p)
  assert sobolev_distance(f, f, _GRID, 1, p) == 0
  np.testing.assert_allclose(fg, sobolev_distance(g, f, _GRID, 1, p))
  through = sobolev_distance(f, h, _GRID, 1, p) + sobolev_distance(
    h, g, _GRID, 1, p
  )
  assert 0 < fg < through


def test_functions_of_equal_values_can_be_far_apart_in_order_one():
  def ripple(x):
    return 1e-3 * tf.sin(1000 * x)

  x = np.random.default_rng(0).uniform(0, 6, 1000)
  assert sobolev_norm(ripple, x, 0) < 1e-3
  assert sobolev_norm(ripple, x, 1) > 0.6


def test_unusable_arguments_are_refused():
  with pytest.raises(ValueError, match="p must be a number at least 1"):
    sobolev_norm(tf.sin, _GRID, 1, p=0.5)
  with pytest.raises(ValueError, match="match exactly"):
    sobolev_distance(tf.sin, lambda x: x[:, tf.newaxis], _GRID)
