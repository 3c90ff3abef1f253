"""Least squares around each point of a scattered sample."""

import numpy as np
from sklearn.neighbors import NearestNeighbors

# Below this ratio of singular values a neighbourhood lies, for practical
# purposes, in a plane: the slope across it would be noise.
_SMALLEST_RATIO = 1e-4


def nearest_neighbours(
  x: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Finds each point's nearest other points, with inputs brought to one scale.

  Args:
    x: float64 array `[N, M]`.
    count: K < N.

  Returns:
    Indices `[N, K]`, displacements `[N, K, M]` in units of `scale`, and the
    standard deviations `scale` `[M]` (1 for a constant input).
  """
  deviation = x.std(axis=0)
  constant = deviation <= 1e-12 * np.abs(x).max(axis=0)
  scale = np.where(constant, 1, deviation)
  z = (x - x.mean(axis=0)) / scale
  search = NearestNeighbors(n_neighbors=count).fit(z)
  indices = search.kneighbors(return_distance=False)  # without the point itself
  return indices, z[indices] - z[:, np.newaxis], scale


def fit_locally(
  design: np.ndarray, values: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Solves N small weighted least-squares problems.

  Args:
    design: array `[N, K, C]`.
    values: array `[N, K]`; ignored, NaN too, where the weight is 0.
    weights: non-negative array `[N, K]`.

  Returns:
    Coefficients `[N, C]` and their standard errors `[N, C]`. Coefficients are
    NaN where the problem does not determine them, the standard errors also
    where nothing is left over to estimate them from.
  """
  root = np.sqrt(weights)
  a = root[..., np.newaxis] * design
  b = root * np.where(weights > 0, values, 0)  # [N, K]
  n, k, c = a.shape
  if k < c:
    return np.full([n, c], np.nan), np.full([n, c], np.nan)
  # Columns of one length make the ratio of singular values independent of the
  # spacing of the points.
  lengths = np.sqrt(np.sum(a**2, axis=1))  # [N, C]
  safe = np.where(lengths > 0, lengths, 1)
  u, s, vt = np.linalg.svd(a / safe[:, np.newaxis], full_matrices=False)
  deficient = s[:, -1] <= _SMALLEST_RATIO * s[:, 0]
  inverse = 1 / np.where(deficient[:, np.newaxis], 1, s)  # [N, C]
  projected = np.einsum("nkc,nk->nc", u, b) * inverse
  coefficients = np.einsum("ncd,nc->nd", vt, projected) / safe
  left = b - np.einsum("nkc,nc->nk", a, coefficients)
  freedom = np.sum(weights > 0, axis=1) - c  # [N]
  variance = np.where(
    freedom > 0, np.sum(left**2, axis=1) / np.maximum(freedom, 1), np.nan
  )
  spread = np.sum((vt * inverse[..., np.newaxis]) ** 2, axis=1)  # [N, C]
  errors = np.sqrt(variance[:, np.newaxis] * spread) / safe
  coefficients[deficient] = np.nan
  errors[deficient] = np.nan
  return coefficients, errors
