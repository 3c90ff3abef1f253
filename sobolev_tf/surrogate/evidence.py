"""Training that weighs labels by their noise and chooses L2 by itself.

Values and derivatives are fitted by Levenberg-Marquardt steps. Between steps
MacKay's evidence framework ("A Practical Bayesian Framework for
Backpropagation Networks", 1992; with Gauss-Newton curvature as in Foresee &
Hagan, 1997) re-estimates the noise of every label component and the size of
the parameters of every layer: what the labels say beyond their noise counts,
by the inverse of its variance, and no point has to be held out for that.
"""

import typing

import numpy as np

from sobolev_tf.surrogate.curvature import OfProducts, OfRows
from sobolev_tf.surrogate.examples import Examples
from sobolev_tf.surrogate.tanh_network import TanhNetwork

# Shares of a component's root mean square.
_LEVELS = (0.3, 0.1, 0.03, 0.01)
_LEAST_NOISE, _EXACT = 1e-4, 1e-3
# Labels are thought to be exact rather than noisy, as firmly as if so many
# more of each component were known and fitted exactly.
_EXACT_COUNT = 3.0
_PER_LEVEL, _FREE = 8, 20  # iterations
# What the precisions of kernel, bias, kernel, ... are drawn to, and how many
# parameters that counts as: with few labels it decides.
_PRIOR = np.array([1.0, 1e-2, 1.0, 1e-2, 1e-2, 1e-2])
_PRIOR_COUNT = 10.0
_RE_ESTIMATED_EVERY = 3
# Objectives are log probabilities of about one half per label.
_TOLERANCE = 1e-3
_MAX_FAILURES = 12
_EXAMPLES_AT_ONCE = 256


class Balance(typing.NamedTuple):
  """What labels and parameters are weighed by.

  Attributes:
    noise: `[R]`, standard deviation of each label component.
    precision: `[6]`, inverse variances of kernel, bias, kernel, ...
  """

  noise: np.ndarray
  precision: np.ndarray

  @classmethod
  def of(cls, examples: Examples, noise: float) -> "Balance":
    """Labels whose noise is a share of their size."""
    return cls(noise * examples.sizes, _PRIOR)


class Trained(typing.NamedTuple):
  """A network: parameters, the balance, and the log evidence for both."""

  position: np.ndarray
  balance: Balance
  evidence: float


def anneal(
  network: TanhNetwork,
  examples: Examples,
  position: np.ndarray,
  is_short: bool = False,
) -> Trained:
  """Trains a network from its initial parameters `[P]`.

  The noise is first taken as large and then as ever smaller shares of the
  labels' size, since a network that follows its labels closely from the
  beginning ends in poor minima. It is estimated, one for each component, only
  once the network fits: a poor fit is soon explained as noise. That begins at
  the share of the highest evidence, and where the labels have not been fitted
  down to the smallest share, from there as well; the better of both is taken.

  With many examples a few steps are enough: `is_short` stops at the second
  share and goes on from the better one.
  """
  tried, balance = [], Balance.of(examples, _LEVELS[0])
  for level in _LEVELS[: 2 if is_short else None]:
    balance = balance._replace(noise=level * examples.sizes)
    tried.append(train(network, examples, position, balance, _PER_LEVEL, False))
    position, balance, _ = tried[-1]
    evidences = [one.evidence for one in tried[-3:]]
    if len(evidences) == 3 and evidences == sorted(evidences, reverse=True):
      break
  best = max(tried, key=lambda one: one.evidence)
  is_alone = is_short or best is tried[-1]
  begins = [best] if is_alone else [best, tried[-1]]
  ends = [
    train(network, examples, begin.position, begin.balance, _FREE)
    for begin in begins
  ]
  return max(ends, key=lambda one: one.evidence)


def train(
  network: TanhNetwork,
  examples: Examples,
  position: np.ndarray,
  balance: Balance,
  iterations: int,
  noise_is_estimated: bool = True,
  curvature_examples: int | None = None,
) -> Trained:
  """Makes a number of steps.

  Args:
    network: what is trained.
    examples: `Examples`.
    position: `[P]`, where to begin.
    balance: what to begin with.
    iterations: at most.
    noise_is_estimated: whether that of `balance` is changed.
    curvature_examples: None, or how many of the examples the curvature is
      computed from, while the balance stays as it is; gradients are always
      those of all.
  """
  run = _Run(network, examples, noise_is_estimated, curvature_examples)
  return run.minimise(position, balance, iterations)


class _Run:
  """One minimisation."""

  def __init__(self, network, examples, noise_is_estimated, some):
    self._network, self._examples = network, examples
    self._noise_is_estimated = noise_is_estimated
    sizes = [int(np.prod(shape)) for shape in network.shapes]
    self._groups = np.repeat(np.arange(len(sizes)), sizes)
    self._sizes = np.array(sizes)
    self._balance_stays = some is not None
    self._some = len(examples.x) if some is None else some

  def minimise(self, position, balance, iterations):
    """Steps and estimates until neither changes anything."""
    quiet, damping = 0, 1e-2
    residuals, curvature, slopes = self._linearised(position, balance)
    for iteration in range(iterations):
      if not (self._balance_stays or iteration % _RE_ESTIMATED_EVERY):
        balance = self._estimated(position, residuals, curvature, balance)[0]
        curvature = curvature.with_noise(balance.noise)
      before = self._objective(position, residuals, balance)
      step = self._step(position, before, curvature, slopes, balance, damping)
      if step is None:
        quiet, damping = quiet + 2, 1e-2
      else:
        position, after, damping = step
        little = before - after < _TOLERANCE * before
        quiet = quiet + 1 if little else 0
        residuals, curvature, slopes = self._linearised(position, balance)
      if quiet > 4:
        break
    evidence = self._estimated(position, residuals, curvature, balance)[1]
    return Trained(position, balance, evidence)

  def _linearised(self, position, balance):
    """Residuals `[N, R]`, curvature, and J^T r per component `[R, P]`."""
    examples, network = self._examples, self._network
    are_many = self._some > network.count
    residuals, slopes, kept = [], 0.0, []
    for start in range(0, len(examples.x), _EXAMPLES_AT_ONCE):
      rows = slice(start, start + _EXAMPLES_AT_ONCE)
      outputs, jacobian = network.jacobian(
        position, examples.x[rows], examples.order
      )
      jacobian *= examples.known[rows][..., np.newaxis]
      part = examples.residuals(outputs, rows)
      slopes = slopes + np.einsum("nr,nrp->rp", part, jacobian)
      residuals.append(part)
      if start < self._some:
        jacobian = jacobian[: self._some - start]
        kept.append(OfProducts.products(jacobian) if are_many else jacobian)
    residuals = np.concatenate(residuals)
    if not are_many:
      return residuals, OfRows(np.concatenate(kept), balance.noise), slopes
    products = sum(kept) * (len(examples.x) / self._some)
    return residuals, OfProducts(products, balance.noise), slopes

  def _objective(self, position, residuals, balance):
    """Minus the log probability of labels and parameters, but a constant."""
    misfit = np.sum((residuals / balance.noise) ** 2)
    size = np.sum(balance.precision[self._groups] * position**2)
    return 0.5 * (misfit + size)

  def _step(self, position, before, curvature, slopes, balance, damping):
    """Raises the damping until the objective falls.

    Returns:
      None, or position, objective and damping after the step.
    """
    precision = balance.precision[self._groups]
    slope = slopes.T @ balance.noise**-2.0 + precision * position
    growth = 2.0
    for _ in range(_MAX_FAILURES):
      move = curvature.solve(precision + damping, slope)
      if move is None:  # Too little damping for double precision.
        damping *= 100
        continue
      after = self._objective(
        position - move, self._residuals(position - move), balance
      )
      if after < before:
        gain = (before - after) / (0.5 * move @ (damping * move + slope))
        damping *= max(1 / 5, 1 - (2 * gain - 1) ** 3)
        return position - move, after, max(damping, 1e-10)
      damping, growth = damping * growth, growth * 2
    return None

  def _residuals(self, position):
    examples = self._examples
    return examples.residuals(
      self._network.evaluate(position, examples.x, examples.order)
    )

  def _estimated(self, position, residuals, curvature, balance):
    """MacKay's estimates of the balance, and the evidence of the given one."""
    examples = self._examples
    precision = balance.precision[self._groups]
    fitted, variances, log_determinant = curvature.posterior(precision)
    known = examples.known.sum(axis=0)
    evidence = (
      0.5 * np.sum(np.log(precision))
      - np.sum(known * np.log(balance.noise))
      - _EXACT_COUNT
      * np.sum(np.log(np.maximum(balance.noise / examples.sizes, _EXACT)))
      - 0.5 * log_determinant
      - self._objective(position, residuals, balance)
    )
    # Parameters that the labels determine, of the six groups.
    determined = self._sizes - balance.precision * np.bincount(
      self._groups, variances
    )
    size = np.bincount(self._groups, position**2)
    estimate = np.maximum(determined, 0) + _PRIOR_COUNT
    estimate /= size + _PRIOR_COUNT / _PRIOR
    old = balance.precision
    estimate = np.clip(np.clip(estimate, old / 10, old * 10), 1e-6, 1e4)
    balance = balance._replace(precision=estimate)
    if self._noise_is_estimated:
      free = np.maximum(known - fitted, 0) + _EXACT_COUNT
      floor = _EXACT_COUNT * (_LEAST_NOISE * examples.sizes) ** 2
      noise = np.sqrt((np.sum(residuals**2, axis=0) + floor) / free)
      noise = np.clip(noise, balance.noise / 5, balance.noise * 5)
      noise = np.minimum(noise, 10 * examples.sizes)
      balance = balance._replace(noise=noise)
    return balance, float(evidence)
