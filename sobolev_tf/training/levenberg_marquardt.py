"""Levenberg-Marquardt for sums of few squares, in double precision.

The damping follows Nielsen, "Damping Parameter in Marquardt's Method" (1999).
Each iteration solves a dense system of as many equations as there are
residuals or parameters, whichever are fewer.
"""

import typing

import numpy as np
import scipy.linalg
import tensorflow as tf

from sobolev_tf.derivatives.compiled import compiled
from sobolev_tf.training.updates import sources

# 160 MB in double precision.
MAX_JACOBIAN = 20_000_000


class Residuals:
  """A training loss as a sum of squares: residuals and their Jacobian."""

  def __init__(self, loss: typing.Callable, flat: typing.Any):
    """Compiles the Jacobian.

    Args:
      loss: a `ResidentLoss`.
      flat: the `FlatLoss` of it.

    Raises:
      ValueError: the loss is no sum of squares, or the Jacobian is too large.
    """
    if set(loss.model.objective.losses) != {"l2"}:
      raise ValueError(
        "levenberg_marquardt minimises sums of squares, but the losses are "
        f"{', '.join(loss.model.objective.losses)}; compile with l2, or take "
        'method="lbfgs".'
      )
    if loss.model.losses:
      raise ValueError(
        "levenberg_marquardt knows no regularisation but the argument l2; "
        "take the network's regularizers away."
      )
    self._loss, self._flat = loss, flat
    self._compiled = compiled(self._differentiate)
    self.value = compiled(self._evaluate)
    parameters = flat.position().shape[0]
    count = self.value(flat.position()).shape[0]
    if count * parameters > MAX_JACOBIAN:
      raise ValueError(
        f"levenberg_marquardt keeps {count} residuals times {parameters} "
        f"parameters in memory, more than {MAX_JACOBIAN}; take "
        'method="lbfgs".'
      )

  def __call__(self, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Residuals `[R]` and Jacobian `[R, n]` at `position` `[n]`, as arrays."""
    values, jacobian = self._compiled(tf.constant(position))
    return values.numpy(), jacobian.numpy()

  def _evaluate(self, position):
    self._flat.write(position)
    return self._loss.residuals(self._flat.step)

  def _differentiate(self, position):
    self._flat.write(position)
    values = sources(self._loss.variables)
    with tf.GradientTape() as tape:
      residuals = self._loss.residuals(self._flat.step)
    rows = tape.jacobian(residuals, values, unconnected_gradients="zero")
    count = tf.shape(residuals)[0]
    return residuals, tf.concat(
      [tf.reshape(row, [count, -1]) for row in rows], axis=1
    )


class State(typing.NamedTuple):
  """Where a minimisation stands.

  Attributes:
    position: `[n]`.
    loss: the sum of squares there.
    damping: what is added to the diagonal of the normal equations.
    growth: what the damping is multiplied by if the next step fails.
    finished: whether there is nothing left to gain.
  """

  position: np.ndarray
  loss: float
  damping: float | None = None
  growth: float = 2.0
  finished: bool = False


def start(residuals: Residuals, position: np.ndarray) -> "State":
  """The state before the first iteration."""
  return State(position, _squares(residuals, position))


def iterate(
  residuals: Residuals, state: "State", iterations: int, tolerance: float
) -> "State":
  """Makes up to `iterations` iterations, one Jacobian each.

  Args:
    residuals: a `Residuals`.
    state: a `State`.
    iterations: how many.
    tolerance: a step that lowers the loss by less than this share of it is the
      last one.
  """
  for _ in range(iterations):
    if state.finished or not np.isfinite(state.loss):
      break
    state = _iteration(residuals, state, tolerance)
  return state


def _iteration(residuals, state, tolerance):
  """Raises the damping until a step lowers the loss."""
  values, jacobian = residuals(state.position)
  slope = jacobian.T @ values
  damping, growth = state.damping, state.growth
  if damping is None:
    damping = 1e-3 * np.max(np.sum(jacobian**2, axis=0), initial=1e-300)
  while np.isfinite(damping):
    move = _solve(jacobian, values, damping)
    if move is None:  # Too little damping for double precision.
      damping *= 10
      continue
    position = state.position + move
    loss = _squares(residuals, position)
    promised = move @ (damping * move - slope)
    if loss < state.loss:
      gain = (state.loss - loss) / promised
      damping *= max(1 / 3, 1 - (2 * gain - 1) ** 3)
      little = state.loss - loss <= tolerance * loss
      return State(position, loss, damping, 2.0, bool(little))
    if np.max(np.abs(move)) <= 1e-12 * (1 + np.max(np.abs(state.position))):
      break
    damping, growth = damping * growth, growth * 2
  return state._replace(finished=True)


def _solve(jacobian, values, damping):
  """The damped step, from whichever system is smaller; None if singular."""
  count, parameters = jacobian.shape
  wide = count < parameters
  matrix = jacobian @ jacobian.T if wide else jacobian.T @ jacobian
  matrix[np.diag_indices_from(matrix)] += damping
  try:
    factor = scipy.linalg.cho_factor(matrix)
  except np.linalg.LinAlgError:
    return None
  if wide:
    return -jacobian.T @ scipy.linalg.cho_solve(factor, values)
  return -scipy.linalg.cho_solve(factor, jacobian.T @ values)


def _squares(residuals, position):
  values = residuals.value(tf.constant(position)).numpy()
  return float(values @ values)
