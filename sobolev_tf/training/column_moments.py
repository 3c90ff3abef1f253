"""Mean, spread, range and rounding of the columns of data, batch by batch."""

import warnings

import numpy as np

# Rounding beyond this part of a standard deviation is worth a warning.
_WORTH_WARNING = 1e-3


class Moments:
  """Mean, variance and range per component, batch by batch, NaN ignored."""

  def __init__(self):
    self.count, self.mean, self._squares = np.zeros(()), 0.0, 0.0
    self._low, self._high = np.inf, -np.inf
    self.resolution = np.finfo(np.float64).eps

  def update(self, values: np.ndarray) -> None:
    """Merges a batch `[B, ...]` into the moments (Chan et al., 1979)."""
    values = np.asarray(values)
    if values.dtype.kind == "f":
      self.resolution = max(self.resolution, np.finfo(values.dtype).eps)
    values = values.astype(np.float64)
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    mean = np.where(known, values, 0).sum(axis=0) / np.maximum(count, 1)
    squares = np.where(known, values - mean, 0) ** 2
    total = self.count + count
    shift = mean - self.mean
    share = count / np.maximum(total, 1)
    merged = squares.sum(axis=0) + shift**2 * self.count * share
    self._squares = self._squares + merged
    self.mean = self.mean + shift * share
    self.count = total
    low = np.where(known, values, np.inf).min(axis=0, initial=np.inf)
    high = np.where(known, values, -np.inf).max(axis=0, initial=-np.inf)
    self._low = np.minimum(self._low, low)
    self._high = np.maximum(self._high, high)

  def deviation(self) -> np.ndarray:
    """Standard deviation; 1 where the column is constant up to rounding."""
    low, high = self.range()
    is_constant = high - low <= 8 * self.rounding()
    deviation = np.sqrt(self._squares / np.maximum(self.count, 1))
    return np.where(is_constant, 1.0, deviation)

  def rounding(self) -> np.ndarray:
    """The spacing of numbers as large as the column's in the data's dtype."""
    low, high = self.range()
    return self.resolution * np.maximum(np.abs(low), np.abs(high))

  def range(self) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest known number; 0 where there is none."""
    known = self.count > 0
    return np.where(known, self._low, 0), np.where(known, self._high, 0)

  def root_mean_square(self) -> np.ndarray:
    """Root mean square; NaN where there is no label."""
    mean_square = self._squares / np.maximum(self.count, 1) + self.mean**2
    return np.where(self.count > 0, np.sqrt(mean_square), np.nan)


def warn_of_rounding(name: str, values: np.ndarray, dtype: str) -> None:
  """Warns of columns `[N, ...]` whose offset a dtype is too coarse for."""
  moments = Moments()
  moments.update(values)
  moments.resolution = max(moments.resolution, np.finfo(dtype).eps)
  warn_of_coarse(name, moments)


def warn_of_coarse(name: str, moments: Moments) -> None:
  """Warns of columns that are coarse for their spread."""
  low, high = moments.range()
  coarse = moments.rounding() > _WORTH_WARNING * moments.deviation()
  coarse &= high > low
  if coarse.any():
    step = np.max(np.where(coarse, moments.rounding(), 0))
    warnings.warn(
      f"{names_of_columns(name, coarse)} has an offset so large that numbers "
      f"in this precision are up to {step:.2g} apart, which is coarse for its "
      'spread; give float64 data to a model with scaling="standard", or '
      "subtract a constant before anything is rounded.",
      stacklevel=4,
    )


def names_of_columns(name: str, chosen: np.ndarray) -> str:
  """`x[:, 0] and x[:, 3]` for a mask of components."""
  if not chosen.ndim:
    return name
  names = [
    f"{name}[:, {', '.join(str(i) for i in index)}]"
    for index in np.argwhere(chosen)
  ]
  if len(names) > 4:
    names = [*names[:3], f"{len(names) - 3} more"]
  return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
