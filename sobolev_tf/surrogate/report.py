"""How good a surrogate is, on points that it was not trained on."""

import dataclasses
import typing

import numpy as np


@dataclasses.dataclass(frozen=True)
class Errors:
  """Held-out errors of one way of training, in the user's units.

  Attributes:
    names: "y", "dy/dx0", ... of the rows that follow.
    rmse: root mean square error of each.
    r2: share of the variance that is explained, of each; NaN where the labels
      do not vary.
  """

  names: tuple
  rmse: tuple
  r2: tuple


@dataclasses.dataclass(frozen=True)
class Report:
  """What `fit_surrogate` chose, why, and what came of it.

  Attributes:
    examples: how many there were.
    held_out: in words, which points the errors were measured on.
    errors: `Errors` of the networks as they were chosen.
    errors_without: the same of networks trained on values alone, of the same
      size, with noise and L2 of their own; None without derivative labels.
    uses_derivatives: whether the final networks were trained on them.
    noise: estimated standard deviation of the noise of each component of y,
      dy, ... that training used, relative to the labels' root mean square.
    hidden_sizes: of each network.
    l2: of the three kernels.
    derivative_weights: one array per order, in standardised units.
    members: how many networks are averaged.
    seconds: processor time of the whole call.
    reasons: list of sentences.
  """

  examples: int
  held_out: str
  errors: Errors
  errors_without: Errors | None
  uses_derivatives: bool
  noise: tuple
  hidden_sizes: tuple
  l2: tuple
  derivative_weights: tuple
  members: int
  seconds: float
  reasons: tuple

  def __str__(self) -> str:
    """A table that a person can read."""
    lines = [
      f"Surrogate of {self.examples} examples: {self.members} networks of "
      f"{' x '.join(map(str, self.hidden_sizes))} units, "
      f"{self.seconds:.1f} s",
      f"Errors on {self.held_out}:",
      self._row("", "RMSE", "R2", "RMSE without dy" if self._both else ""),
    ]
    for i, name in enumerate(self.errors.names):
      without = f"{self.errors_without.rmse[i]:.3g}" if self._both else ""
      lines.append(
        self._row(
          name,
          f"{self.errors.rmse[i]:.3g}",
          f"{self.errors.r2[i]:.4f}",
          without,
        )
      )
    return "\n".join([*lines, *(f"- {reason}" for reason in self.reasons)])

  @property
  def _both(self):
    return self.errors_without is not None

  @staticmethod
  def _row(name, *cells) -> str:
    return f"  {name:<12}" + "".join(f"{cell:>16}" for cell in cells).rstrip()


def errors_of(predicted: typing.Sequence, labels: typing.Sequence) -> Errors:
  """`Errors` of predictions, NaN labels left out.

  Args:
    predicted: tuple of arrays y `[N, k]`, dy `[N, k, d]`, ...
    labels: the same, or fewer.
  """
  names, rmse, r2 = [], [], []
  for order, (ours, true) in enumerate(zip(predicted, labels, strict=False)):
    for place in np.ndindex(true.shape[1:]):
      column = (slice(None), *place)
      difference = (ours - true)[column]
      names.append(_name(order, place, labels[0].shape[1]))
      mean_square = _mean(difference**2)
      variance = _mean((true[column] - _mean(true[column])) ** 2)
      rmse.append(float(np.sqrt(mean_square)))
      varies = variance > 0
      r2.append(float(1 - mean_square / variance) if varies else np.nan)
  return Errors(tuple(names), tuple(rmse), tuple(r2))


def _mean(values):
  known = values[~np.isnan(values)]
  return known.mean() if known.size else np.nan


def _name(order, place, outputs):
  output, *inputs = place
  y = "y" if outputs == 1 else f"y{output}"
  if not order:
    return y
  power = "" if order == 1 else str(order)
  return f"d{power}{y}/" + "".join(f"dx{i}" for i in inputs)
