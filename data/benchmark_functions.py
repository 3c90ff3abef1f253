"""The seven optimisation benchmarks of the paper's §4.1 (SM §2).

Points and labels are float64 throughout: Beale's values reach 1.8e5 and
Bukin's gradient is singular along a curve, so single precision would already
blur the targets.
"""

import dataclasses
import difflib
import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from sobolev_tf.derivatives.nested_tapes import derivatives


@dataclasses.dataclass(frozen=True)
class BenchmarkFunction:
  """A scalar function of the plane and the rectangle it is studied on.

  Attributes:
    name: how flags and tables call it.
    formula: TensorFlow function of the coordinates x and y, each `[B]`.
    low: lower corner of the domain, `(x, y)`.
    high: upper corner of the domain, `(x, y)`.
  """

  name: str
  formula: Callable
  low: tuple[float, float]
  high: tuple[float, float]

  def __call__(self, points):
    """Values `[B, 1]` at points `[B, 2]`."""
    points = tf.convert_to_tensor(points)
    return self.formula(points[:, 0], points[:, 1])[:, tf.newaxis]


def _ackley(x, y):
  distance = tf.sqrt(0.5 * (x**2 + y**2))
  waves = 0.5 * (tf.cos(2 * math.pi * x) + tf.cos(2 * math.pi * y))
  return -20 * tf.exp(-0.2 * distance) - tf.exp(waves) + math.e + 20


def _beale(x, y):
  return (
    (1.5 - x + x * y) ** 2
    + (2.25 - x + x * y**2) ** 2
    + (2.625 - x + x * y**3) ** 2
  )


def _booth(x, y):
  return (x + 2 * y - 7) ** 2 + (2 * x + y - 5) ** 2


def _bukin(x, y):
  # Bukin N.6. One copy of the supplement prints "0.01x2", meaning the square.
  return 100 * tf.sqrt(tf.abs(y - 0.01 * x**2)) + 0.01 * tf.abs(x + 10)


def _mccormick(x, y):
  return tf.sin(x + y) + (x - y) ** 2 - 1.5 * x + 2.5 * y + 1


def _rosenbrock(x, y):
  return 100 * (y - x**2) ** 2 + (x - 1) ** 2


def _styblinski_tang(x, y):
  return 0.5 * (x**4 - 16 * x**2 + 5 * x + y**4 - 16 * y**2 + 5 * y)


# Domains per axis, as SM §2 prints them. McCormick's y range ends at 4 here.
FUNCTIONS = {
  function.name: function
  for function in (
    BenchmarkFunction("ackley", _ackley, (-5, -5), (5, 5)),
    BenchmarkFunction("beale", _beale, (-4.5, -4.5), (4.5, 4.5)),
    BenchmarkFunction("booth", _booth, (-10, -10), (10, 10)),
    BenchmarkFunction("bukin", _bukin, (-15, -3), (-5, 3)),
    BenchmarkFunction("mccormick", _mccormick, (-1.5, -3), (4, 4)),
    BenchmarkFunction("rosenbrock", _rosenbrock, (-2, -2), (2, 2)),
    BenchmarkFunction("styblinski_tang", _styblinski_tang, (-5, -5), (5, 5)),
  )
}


def get_function(name):
  """Looks a benchmark up by name.

  Raises:
    ValueError: there is no such function; the message names the close ones.
  """
  if name in FUNCTIONS:
    return FUNCTIONS[name]
  close = difflib.get_close_matches(name, FUNCTIONS, n=3, cutoff=0.4)
  raise ValueError(
    f"there is no benchmark function {name!r}; use one of "
    f"{', '.join(close or FUNCTIONS)}."
  )


def sample_points(function, num_points, seed):
  """Draws points uniformly from the function's domain.

  Args:
    function: a `BenchmarkFunction`.
    num_points: how many.
    seed: an integer or a sequence of them; fixes the draw.

  Returns:
    float64 array `[num_points, 2]`.
  """
  rng = np.random.default_rng(seed)
  return rng.uniform(function.low, function.high, [num_points, 2])


def label(function, points):
  """Computes the targets of first-order Sobolev training.

  Args:
    function: a `BenchmarkFunction`.
    points: array `[N, 2]`.

  Returns:
    float64 arrays `y [N, 1]` and `dy [N, 1, 2]`.
  """
  points = tf.convert_to_tensor(points, tf.float64)
  value, gradient = derivatives(function, points, 1)
  return value.numpy(), gradient.numpy()
