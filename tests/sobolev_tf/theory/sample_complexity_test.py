"""Propositions 2 and 3."""

import math
from fractions import Fraction

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from sobolev_tf.theory import sample_complexity as sc

fraction = st.fractions(-5, 5, max_denominator=20)
polynomial = st.lists(fraction, min_size=1, max_size=10)
settings = hypothesis.settings(max_examples=60, deadline=None)


def evaluate(coefficients, x):
  return sum(c * x**i for i, c in enumerate(coefficients))


def differentiate(coefficients):
  return [i * c for i, c in enumerate(coefficients)][1:]


def padded(coefficients, length):
  return list(coefficients) + [0] * (length - len(coefficients))


@settings
@hypothesis.given(p=polynomial, data=st.data())
def test_polynomials_are_recovered_exactly_from_the_fewest_points(p, data):
  for with_derivatives in (False, True):
    count = sc.points_needed(len(p) - 1, with_derivatives)
    points = data.draw(
      st.lists(fraction, min_size=count, max_size=count, unique=True)
    )
    values = [evaluate(p, x) for x in points]
    if with_derivatives:
      slopes = [evaluate(differentiate(p), x) for x in points]
      found = sc.hermite_polynomial(points, values, slopes)
    else:
      found = sc.lagrange_polynomial(points, values)
    assert found == padded(p, len(found))


@settings
@hypothesis.given(
  half=st.integers(1, 4),
  data=st.data(),
)
def test_half_the_degree_in_points_is_too_few_for_even_degrees(half, data):
  degree = 2 * half
  p = data.draw(st.lists(fraction, min_size=degree + 1, max_size=degree + 1))
  points = data.draw(
    st.lists(fraction, min_size=half, max_size=half, unique=True)
  )
  rival = sc.rival_polynomial(p, points)
  assert len(rival) == degree + 1 and rival != p
  for x in points:
    assert evaluate(rival, x) == evaluate(p, x)
    assert evaluate(differentiate(rival), x) == evaluate(differentiate(p), x)
  assert sc.points_needed(degree, True) == half + 1


def test_derivatives_never_need_more_points():
  for degree in range(30):
    regular = sc.points_needed(degree, False)
    sobolev = sc.points_needed(degree, True)
    assert 2 * sobolev >= degree + 1 > 2 * (sobolev - 1)
    assert sobolev <= regular == degree + 1


def test_floats_are_interpolated_too():
  points = np.cos(np.linspace(0, 3, 6))
  found = sc.hermite_polynomial(points, np.sin(points), np.cos(points))
  x = np.linspace(-0.9, 0.9, 50)
  np.testing.assert_allclose(evaluate(found, x), np.sin(x), atol=1e-9)


def test_repeated_points_are_refused():
  with pytest.raises(ValueError, match="must be distinct"):
    sc.lagrange_polynomial([Fraction(1), Fraction(1)], [0, 1])
  with pytest.raises(ValueError, match="must be distinct"):
    sc.hermite_polynomial([0.0, 1.0], [0.0, 1.0], [0.0])


@settings
@hypothesis.given(
  mu=st.floats(-10, 10),
  sigma=st.floats(0.05, 20),
  z=st.floats(-4, 4),
)
def test_one_point_with_its_derivative_recovers_a_gaussian(mu, sigma, z):
  x = mu + z * sigma
  found = sc.gaussian_from_point(
    x, sc.gaussian(x, mu, sigma), sc.gaussian_derivative(x, mu, sigma)
  )
  np.testing.assert_allclose(
    found, (mu, sigma), rtol=1e-10, atol=1e-10 * max(1, sigma)
  )


def test_a_gaussian_derivative_is_the_slope_of_the_density():
  x, step = np.linspace(-3, 4, 20), 1e-6
  numeric = sc.gaussian(x + step, 1, 1.5) - sc.gaussian(x - step, 1, 1.5)
  np.testing.assert_allclose(
    sc.gaussian_derivative(x, 1, 1.5), numeric / (2 * step), atol=1e-9
  )


def test_the_papers_pair_is_found_to_12_digits():
  mu, sigma = sc.gaussian_twin(2.0, 1.0, (0.0, 3.0))
  # From the closed form: sigma^2 = 2 mu - 3 and
  # ln(sigma^2) + mu^2 / sigma^2 = 4, by bisection.
  low, high = 2.5, 3.5
  for _ in range(200):
    middle = (low + high) / 2
    variance = 2 * middle - 3
    if math.log(variance) + middle**2 / variance < 4:
      low = middle
    else:
      high = middle
  assert mu == pytest.approx(low, abs=1e-12)
  assert sigma == pytest.approx(math.sqrt(2 * low - 3), abs=1e-12)
  assert f"{mu:.6f}"[:5] == "2.847" and f"{sigma:.6f}"[:5] == "1.641"


@settings
@hypothesis.given(
  mu=st.floats(-2, 2),
  sigma=st.floats(0.5, 2),
  left=st.floats(-3, 0),
  gap=st.floats(0.5, 3),
)
def test_every_gaussian_has_a_twin_that_two_values_cannot_tell(
  mu, sigma, left, gap
):
  points = (left, left + gap)
  twin = sc.gaussian_twin(mu, sigma, points)
  for x in points:
    assert sc.gaussian(x, *twin) == pytest.approx(
      sc.gaussian(x, mu, sigma), rel=1e-6
    )
  # Back again: the twin's twin is the original (unless the two nearly meet).
  if abs(twin[1] / sigma - 1) > 1e-2:
    np.testing.assert_allclose(
      sc.gaussian_twin(*twin, points), (mu, sigma), rtol=1e-6, atol=1e-6
    )


def test_a_density_that_is_not_positive_is_refused():
  with pytest.raises(ValueError, match="a density is positive"):
    sc.gaussian_from_point(0.0, 0.0, 1.0)


@settings
@hypothesis.given(d=st.integers(1, 20), seed=st.integers(0, 999))
def test_one_point_per_piece_does_the_work_of_d_plus_one(d, seed):
  rng = np.random.default_rng(seed)
  w, b, x = rng.normal(size=d), rng.normal(), rng.normal(size=[d + 1, d])
  y = x @ w + b
  for found in (
    sc.affine_from_point(x[0], y[0], w),
    sc.affine_from_values(x, y),
  ):
    np.testing.assert_allclose(found[0], w, atol=1e-6)
    np.testing.assert_allclose(found[1], b, atol=1e-6)
  with pytest.raises(ValueError, match=f"the {d} points fix {d} of the"):
    sc.affine_from_values(x[:d], y[:d])
