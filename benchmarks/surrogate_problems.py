"""Problems of the surrogate benchmark: none of them was made for it.

Each function takes a seed and returns a `Problem`. The seed draws the design
where the design is random; test points never depend on it.
"""

import typing

import numpy as np
import scipy.stats

_TEST_POINTS = 2_000


class Problem(typing.NamedTuple):
  """Training and test data: x `[N, d]`, y `[N, 1]`, dy `[N, d]`."""

  x: np.ndarray
  y: np.ndarray
  dy: np.ndarray
  test_x: np.ndarray
  test_y: np.ndarray
  test_dy: np.ndarray


def sinusoid(seed):
  """JENN's first example: x sin(x) from four points."""
  del seed
  x = np.linspace(-np.pi, np.pi, 4)[:, np.newaxis]
  test = np.linspace(-np.pi, np.pi, 200)[:, np.newaxis]

  def label(x):
    return x * np.sin(x), np.sin(x) + x * np.cos(x)

  return Problem(x, *label(x), test, *label(test))


def rastrigin(seed):
  """JENN's surface: 100 points of Rastrigin's function in [-1, 1]^2."""

  def label(x):
    wave = 2 * np.pi * x
    y = 20 + np.sum(x**2 - 10 * np.cos(wave), axis=1, keepdims=True)
    return y, 2 * x + 20 * np.pi * np.sin(wave)

  return _designed([(-1, 1)] * 2, 100, seed, label)


def rosenbrock(seed):
  """SMT's own test of GENN: a grid of 3 x 3 points in [-pi, pi]^2."""
  del seed
  axis = np.linspace(-np.pi, np.pi, 3)
  x = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
  axis = np.linspace(-np.pi, np.pi, 40)
  test = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)

  def label(x):
    a, b = x[:, :1], x[:, 1:]
    y = (1 - a) ** 2 + 100 * (b - a**2) ** 2
    da = -2 * (1 - a) - 400 * a * (b - a**2)
    return y, np.concatenate([da, 200 * (b - a**2)], axis=1)

  return Problem(x, *label(x), test, *label(test))


def wing_weight(seed):
  """SMT's WingWeight: 10 inputs, 50 points."""
  from smt.problems import WingWeight

  return _of_smt(WingWeight(), 50, seed)


def robot_arm(seed):
  """SMT's RobotArm of two segments: 4 inputs, 50 points."""
  from smt.problems import RobotArm

  return _of_smt(RobotArm(ndim=4), 50, seed)


def branin(seed):
  """SMT's Branin: 2 inputs, 20 points."""
  from smt.problems import Branin

  return _of_smt(Branin(), 20, seed)


def bachelier(seed):
  """Huge & Savine's basket option: 7 assets, 4,096 simulated paths.

  Labels are payoffs of single paths and their derivatives, so they are noisy;
  tests are against the closed form. Strike 1.1, one year to the exposure date
  and one more to maturity, basket volatility 20 %; training spots are spread
  by 1.5 times the volatility.
  """
  assets, paths, strike, spread = 7, 4096, 1.1, 1.5
  made = np.random.default_rng(0)  # the basket itself
  weights = made.uniform(1, 10, assets)
  weights /= weights.sum()
  loadings = made.normal(size=[assets, 2 * assets])
  covariance = loadings @ loadings.T
  deviation = np.sqrt(np.diag(covariance))
  covariance = covariance / np.outer(deviation, deviation)
  covariance *= 0.2**2 / (weights @ covariance @ weights)
  root = np.linalg.cholesky(covariance)

  def spots(rng, count):
    return 1 + spread * rng.normal(size=[count, assets]) @ root.T

  rng = np.random.default_rng([seed, 1])
  x = spots(rng, paths)
  move = rng.normal(size=[paths // 2, assets]) @ root.T
  basket = (x + np.concatenate([move, -move])) @ weights
  y = np.maximum(basket - strike, 0)[:, np.newaxis]
  dy = (basket > strike)[:, np.newaxis] * weights
  test = spots(np.random.default_rng(2), _TEST_POINTS)
  distance = (test @ weights - strike) / 0.2
  normal = scipy.stats.norm
  price = 0.2 * (distance * normal.cdf(distance) + normal.pdf(distance))
  delta = normal.cdf(distance)[:, np.newaxis] * weights
  return Problem(x, y, dy, test, price[:, np.newaxis], delta)


def emt(seed):
  """Energy and forces of four copper atoms, from ASE's EMT: 12 inputs, 60."""
  from ase import Atoms
  from ase.calculators.emt import EMT

  corners = 1.8 * np.array([[0, 0, 0], [1, 1, 0], [1, 0, 1], [0, 1, 1]])

  def label(x):
    energies, gradients = [], []
    for places in x:
      atoms = Atoms("Cu4", positions=places.reshape(4, 3), calculator=EMT())
      energies.append([atoms.get_potential_energy()])
      gradients.append(-atoms.get_forces().ravel())
    return np.array(energies), np.array(gradients)

  def displaced(rng, count):
    return corners.ravel() + 0.12 * rng.normal(size=[count, 12])

  x = displaced(np.random.default_rng([seed, 1]), 60)
  test = displaced(np.random.default_rng(2), 500)
  return Problem(x, *label(x), test, *label(test))


PROBLEMS = {
  "sinusoid": sinusoid,
  "rosenbrock": rosenbrock,
  "branin": branin,
  "robot_arm": robot_arm,
  "wing_weight": wing_weight,
  "emt": emt,
  "rastrigin": rastrigin,
  "bachelier": bachelier,
}


def _designed(limits, count, seed, label):
  """A Latin hypercube to train on and a fixed one to test on."""
  low, high = np.transpose(limits)

  def points(count, rng):
    unit = scipy.stats.qmc.LatinHypercube(len(low), rng=rng).random(count)
    return low + (high - low) * unit

  x = points(count, np.random.default_rng([seed, 1]))
  test = points(_TEST_POINTS, np.random.default_rng(2))
  return Problem(x, *label(x), test, *label(test))


def _of_smt(problem, count, seed):
  def label(x):
    partials = [problem(x, kx=i) for i in range(x.shape[1])]
    return problem(x), np.concatenate(partials, axis=1)

  return _designed(problem.xlimits, count, seed, label)
