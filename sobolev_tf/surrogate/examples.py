"""Points and labels as training by evidence sees them."""

import typing

import numpy as np


class Examples:
  """Points and labels in scaled units, one row of components an example.

  Attributes:
    x: `[N, d]`.
    targets: `[N, R]`, components of y, then of dy, then of d2y; 0 if unknown.
    known: `[N, R]`, whether a label is known.
    sizes: `[R]`, root mean square of each component, never zero.
    order: 0, 1 or 2.
    values: how many of the R components are values.
  """

  def __init__(self, x: np.ndarray, labels: typing.Sequence) -> None:
    """Takes x and y `[N, k]`, dy `[N, k, d]`, ...; NaN is unknown."""
    rows = np.concatenate([np.reshape(a, [len(x), -1]) for a in labels], axis=1)
    self.x, self.known = x, ~np.isnan(rows)
    self.targets = np.where(self.known, rows, 0.0)
    self.order, self.values = len(labels) - 1, labels[0].shape[1]
    counts = np.maximum(self.known.sum(axis=0), 1)
    sizes = np.sqrt(np.sum(self.targets**2, axis=0) / counts)
    self.sizes = np.maximum(sizes, max(1e-3 * sizes.max(), 1e-12))

  def part(self, rows: typing.Any, order: int | None = None) -> "Examples":
    """Some of the examples, with the same sizes, or fewer orders of labels."""
    part = object.__new__(Examples)
    part.values = self.values
    part.order = self.order if order is None else order
    inputs = self.x.shape[1]
    columns = self.values * sum(inputs**j for j in range(part.order + 1))
    part.x, part.sizes = self.x[rows], self.sizes[:columns]
    part.targets = self.targets[rows, :columns]
    part.known = self.known[rows, :columns]
    return part

  def residuals(self, outputs: tuple, rows: slice = slice(None)) -> np.ndarray:
    """Predictions of some examples less targets, 0 if unknown: `[n, R]`."""
    predicted = np.concatenate(
      [term.reshape(len(term), -1) for term in outputs], axis=1
    )
    return np.where(self.known[rows], predicted - self.targets[rows], 0.0)
