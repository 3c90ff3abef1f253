import numpy as np
import pytest

from data import benchmark_functions as bf


def _ackley(x, y):
  r = np.sqrt(0.5 * (x**2 + y**2))
  hill = 4 * np.exp(-0.2 * r) / (2 * r)
  waves = np.exp(0.5 * (np.cos(2 * np.pi * x) + np.cos(2 * np.pi * y)))
  return (
    hill * x + np.pi * waves * np.sin(2 * np.pi * x),
    hill * y + np.pi * waves * np.sin(2 * np.pi * y),
  )


def _beale(x, y):
  a, b, c = 1.5 - x + x * y, 2.25 - x + x * y**2, 2.625 - x + x * y**3
  return (
    2 * a * (y - 1) + 2 * b * (y**2 - 1) + 2 * c * (y**3 - 1),
    2 * a * x + 4 * b * x * y + 6 * c * x * y**2,
  )


def _booth(x, y):
  return 10 * x + 8 * y - 34, 8 * x + 10 * y - 38


def _bukin(x, y):
  inner = y - 0.01 * x**2
  slope = 50 * np.sign(inner) / np.sqrt(np.abs(inner))
  return slope * -0.02 * x + 0.01 * np.sign(x + 10), slope


def _mccormick(x, y):
  return (
    np.cos(x + y) + 2 * (x - y) - 1.5,
    np.cos(x + y) - 2 * (x - y) + 2.5,
  )


def _rosenbrock(x, y):
  return -400 * x * (y - x**2) + 2 * (x - 1), 200 * (y - x**2)


def _styblinski_tang(x, y):
  return 2 * x**3 - 16 * x + 2.5, 2 * y**3 - 16 * y + 2.5


GRADIENTS = {
  "ackley": _ackley,
  "beale": _beale,
  "booth": _booth,
  "bukin": _bukin,
  "mccormick": _mccormick,
  "rosenbrock": _rosenbrock,
  "styblinski_tang": _styblinski_tang,
}

# Known values: (function, point, value), from the functions' definitions.
VALUES = [
  ("ackley", (1e-300, 0), 0.0),
  ("beale", (3, 0.5), 0.0),
  ("booth", (1, 3), 0.0),
  ("bukin", (-10, 1), 0.0),
  ("mccormick", (-0.54719, -1.54719), -1.9132229),
  ("rosenbrock", (1, 1), 0.0),
  ("styblinski_tang", (-2.903534, -2.903534), -78.3323314),
]


@pytest.mark.parametrize("name", bf.FUNCTIONS)
def test_gradient_equals_the_hand_derived_one(name):
  function = bf.get_function(name)
  points = bf.sample_points(function, 200, 3)
  value, gradient = bf.label(function, points)
  expected = np.stack(GRADIENTS[name](*points.T), axis=-1)
  scale = np.maximum(np.abs(expected), 1)
  assert value.shape == (200, 1) and value.dtype == np.float64
  assert gradient.shape == (200, 1, 2) and gradient.dtype == np.float64
  assert np.max(np.abs(gradient[:, 0] - expected) / scale) < 1e-12


@pytest.mark.parametrize("name,point,value", VALUES)
def test_known_minimum(name, point, value):
  got, _ = bf.label(bf.get_function(name), np.array([point], np.float64))
  assert got[0, 0] == pytest.approx(value, abs=1e-6)


def test_beale_at_a_corner_by_hand():
  x, y = 4.5, -4.5
  terms = [1.5 - x + x * y, 2.25 - x + x * y**2, 2.625 - x + x * y**3]
  got, _ = bf.label(bf.get_function("beale"), np.array([[x, y]]))
  assert got[0, 0] == pytest.approx(sum(t**2 for t in terms), rel=1e-12)


def test_domains_are_per_axis():
  assert bf.get_function("bukin").low == (-15, -3)
  assert bf.get_function("bukin").high == (-5, 3)
  assert bf.get_function("mccormick").low == (-1.5, -3)
  assert bf.get_function("mccormick").high == (4, 4)


@pytest.mark.parametrize("name", bf.FUNCTIONS)
def test_points_fill_the_domain_and_stay_inside(name):
  function = bf.get_function(name)
  points = bf.sample_points(function, 2000, 0)
  assert np.all(points >= function.low) and np.all(points <= function.high)
  extent = np.subtract(function.high, function.low)
  assert np.all(np.ptp(points, axis=0) > 0.98 * extent)


def test_points_are_a_function_of_the_seed():
  function = bf.get_function("booth")
  first = bf.sample_points(function, 5, [1, 0])
  assert np.array_equal(first, bf.sample_points(function, 5, [1, 0]))
  assert not np.array_equal(first, bf.sample_points(function, 5, [2, 0]))


def test_unknown_name_lists_the_close_ones():
  with pytest.raises(ValueError, match="rosenbrock"):
    bf.get_function("rosenbrok")
