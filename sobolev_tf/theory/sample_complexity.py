"""Propositions 2 and 3: how many points determine a function (SM §1).

K_reg is the number of values, K_sob the number of values with derivatives,
that tell a member of a family from every other member. Derivatives never need
more points (Proposition 2: drop them); here are families that need fewer.
"""

import math
from collections.abc import Sequence

import numpy as np

_NEWTON_STEPS = 100


def points_needed(degree: int, with_derivatives: bool) -> int:
  """Points that determine a polynomial of at most a given degree.

  There are degree + 1 coefficients and one or two conditions per point. The
  paper says ceil(degree / 2) points with derivatives: one too few whenever the
  degree is even, as `rival_polynomial` shows.
  """
  return -(-(degree + 1) // 2) if with_derivatives else degree + 1


def lagrange_polynomial(points: Sequence, values: Sequence) -> list:
  """The polynomial of lowest degree with given values.

  Args:
    points: N distinct numbers: floats, or `fractions.Fraction` for an exact
      answer.
    values: N numbers.

  Returns:
    List of N coefficients, the constant first.

  Raises:
    ValueError: two points are equal, or the lengths differ.
  """
  _check_points(points, values)
  return _newton_to_powers(
    points, _divided_differences(list(points), list(values), None)
  )


def hermite_polynomial(
  points: Sequence, values: Sequence, derivatives: Sequence
) -> list:
  """The polynomial of lowest degree with given values and derivatives.

  Args:
    points: N distinct numbers, as in `lagrange_polynomial`.
    values: N numbers.
    derivatives: N numbers.

  Returns:
    List of 2N coefficients, the constant first.

  Raises:
    ValueError: two points are equal, or the lengths differ.
  """
  _check_points(points, values, derivatives)
  # Newton's scheme with every node twice: the divided difference of a node
  # with itself is the derivative there.
  nodes = [x for x in points for _ in range(2)]
  doubled = [y for y in values for _ in range(2)]
  return _newton_to_powers(
    nodes, _divided_differences(nodes, doubled, list(derivatives))
  )


def rival_polynomial(coefficients: Sequence, points: Sequence) -> list:
  """Another polynomial with the same values and derivatives at the points.

  Args:
    coefficients: of a polynomial, the constant first.
    points: k numbers.

  Returns:
    Coefficients of `p(x) + product of (x - x_i)^2`. Its degree is at most that
    of p if 2k is: then k points with derivatives do not determine p.
  """
  square = [1]
  for x in points:
    square = _times_root(_times_root(square, x), x)
  length = max(len(coefficients), len(square))
  padded = [list(c) + [0] * (length - len(c)) for c in (coefficients, square)]
  return [a + b for a, b in zip(*padded, strict=True)]


def _check_points(points, *labels):
  if len(set(points)) != len(points) or any(
    len(label) != len(points) for label in labels
  ):
    raise ValueError(
      f"the {len(points)} points must be distinct and have one label of each "
      f"kind, but {len(set(points))} are distinct and the labels number "
      f"{[len(label) for label in labels]}."
    )


def _divided_differences(nodes, column, derivatives):
  """Newton's coefficients; nodes may come twice if derivatives are given."""
  coefficients = [column[0]]
  for order in range(1, len(nodes)):
    column = [
      derivatives[i // 2]
      if nodes[i + order] == nodes[i]
      else (column[i + 1] - column[i]) / (nodes[i + order] - nodes[i])
      for i in range(len(nodes) - order)
    ]
    coefficients.append(column[0])
  return coefficients


def _newton_to_powers(nodes, coefficients):
  """Expands `c0 + c1 (x - x0) + c2 (x - x0)(x - x1) + ...` by Horner's rule."""
  powers = [coefficients[-1]]
  for node, c in zip(nodes[-2::-1], coefficients[-2::-1], strict=True):
    powers = _times_root(powers, node)
    powers[0] += c
  return powers


def _times_root(coefficients, root):
  """Multiplies a polynomial by `x - root`."""
  product = [0, *coefficients]
  for i, c in enumerate(coefficients):
    product[i] -= root * c
  return product


def gaussian(x: float, mu: float, sigma: float) -> float:
  """The density of N(mu, sigma^2) at x; sigma is the standard deviation."""
  z = (x - mu) / sigma
  return np.exp(-0.5 * z * z) / (math.sqrt(2 * math.pi) * sigma)


def gaussian_derivative(x: float, mu: float, sigma: float) -> float:
  """Its derivative with respect to x."""
  return -(x - mu) / sigma**2 * gaussian(x, mu, sigma)


def gaussian_from_point(
  x: float, value: float, derivative: float
) -> tuple[float, float]:
  """Recovers a Gaussian density from one point with its derivative.

  K_sob = 1 for Gaussians. With `r = derivative / value = -(x - mu) / sigma^2`
  the value gives `ln(s) + r^2 s + 2 ln(sqrt(2 pi) value) = 0` for
  `s = sigma^2`. The left side increases in s, so that its root is the only one.

  Args:
    x: the point.
    value: density at x, positive.
    derivative: its derivative at x.

  Returns:
    `(mu, sigma)`.

  Raises:
    ValueError: the value is not positive.
  """
  if not value > 0:
    raise ValueError(f"a density is positive, but value is {value}.")
  slope = derivative / value
  level = 2 * math.log(math.sqrt(2 * math.pi) * value)
  # In u = ln s the function is convex and increasing, and at u = -level it is
  # not negative: Newton's method falls from there without overshooting.
  u = _newton(
    lambda u: u + slope**2 * math.exp(u) + level,
    lambda u: 1 + slope**2 * math.exp(u),
    -level,
  )
  variance = math.exp(u)
  return x + slope * variance, math.sqrt(variance)


def gaussian_twin(
  mu: float, sigma: float, points: Sequence[float]
) -> tuple[float, float]:
  """Finds the other Gaussian density with the same values at two points.

  K_reg > 2 for Gaussians: the paper's N(2, 1) and N(2.847, 1.641) agree at 0
  and 3. Its 1.641 is the standard deviation.

  The two values fix mu as a linear function of s = sigma^2. In u = ln s what
  is left is `u / 2 + p e^-u + q e^u + constant = 0` with p, q >= 0, a convex
  function: it has one root besides the given one.

  Args:
    mu: mean.
    sigma: standard deviation.
    points: two distinct numbers.

  Returns:
    `(mu, sigma)` of the twin; the given pair itself where the two coincide.
  """
  a, b = points
  drift = ((a - mu) ** 2 - (b - mu) ** 2) / (2 * sigma**2)  # ln f(b) / f(a)
  half = 0.5 * (b - a)
  p, q = 0.5 * half**2, 0.5 * (drift / (b - a)) ** 2
  start = 2 * math.log(sigma)
  constant = -(0.5 * start + p * math.exp(-start) + q * math.exp(start))

  def function(u):
    return 0.5 * u + p * math.exp(-u) + q * math.exp(u) + constant

  def slope(u):
    return 0.5 - p * math.exp(-u) + q * math.exp(u)

  # The given root lies on one side of the minimum; Newton's method comes to
  # the other from far out on the other side.
  step = -1.0 if slope(start) > 0 else 1.0
  u = start + step
  while function(u) < 0 or slope(u) * step < 0:
    u += step
  variance = math.exp(_newton(function, slope, u))
  return 0.5 * (a + b) + variance * drift / (b - a), math.sqrt(variance)


def _newton(function, slope, x):
  for _ in range(_NEWTON_STEPS):
    step = function(x) / slope(x)
    if x - step == x or not math.isfinite(step):
      break
    x -= step
    if abs(step) < 1e-16:
      break
  return x


def affine_from_point(
  point: np.ndarray, value: float, gradient: np.ndarray
) -> tuple[np.ndarray, float]:
  """An affine function `<w, x> + b` from one point with its gradient.

  Args:
    point: `[d]`.
    value: a number.
    gradient: `[d]`.

  Returns:
    `(w [d], b)`.
  """
  gradient = np.asarray(gradient, np.float64)
  return gradient, float(value - gradient @ np.asarray(point, np.float64))


def affine_from_values(
  points: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, float]:
  """An affine function from values alone: d + 1 of them, and no fewer.

  Args:
    points: `[N, d]`.
    values: `[N]`.

  Returns:
    `(w [d], b)`.

  Raises:
    ValueError: the points do not determine it: there are fewer than d + 1, or
      they lie in one hyperplane.
  """
  points = np.asarray(points, np.float64)
  system = np.column_stack([points, np.ones(len(points))])  # [N, d + 1]
  rank = np.linalg.matrix_rank(system)
  if rank < system.shape[1]:
    raise ValueError(
      f"the {len(points)} points fix {rank} of the {system.shape[1]} numbers "
      "of an affine function; give d + 1 points that do not lie in one "
      "hyperplane, or one point with its gradient."
    )
  solution = np.linalg.lstsq(system, np.asarray(values, np.float64))[0]
  return solution[:-1], float(solution[-1])
