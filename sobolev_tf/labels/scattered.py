"""What scattered values say about derivative labels, without a function.

For points i and j the trapezoid rule says
`y_j - y_i = <(dy_i + dy_j) / 2, x_j - x_i>` up to the third order of their
distance. What is left of it measures the error of the labels.
"""

import numpy as np

from sobolev_tf.labels.neighbourhoods import fit_locally, nearest_neighbours

# Parts of the points that are left out in turn to see how far a fit to all of
# them can be relied on.
_PARTS = 8


def measure_locally(
  points: np.ndarray,
  values: np.ndarray,
  claimed: np.ndarray,
  chosen: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
  """Estimates derivatives point by point.

  A least-squares fit of what is left onto the displacements of a point's
  neighbours measures the error of its label. Three times as many neighbours
  tell how far the answer depends on distance.

  Args:
    points: `[B, M]`, B at least 2 M + 3.
    values: `[B, O]`.
    claimed: labels `[B, O, M]`.
    chosen: indices `[b]` of the points to look at.

  Returns:
    Derivatives `[b, O, M]`, and by how much they may be off.
  """
  count = min(2 * points.shape[1] + 2, (len(points) - 1) // 2)
  neighbours, steps, scale = nearest_neighbours(
    points, min(3 * count, len(points) - 1)
  )
  neighbours, steps = neighbours[chosen], steps[chosen]
  corrections, doubts = [], []
  for label, slope in zip(values.T, claimed.swapaxes(0, 1), strict=True):
    mean = (slope[chosen, np.newaxis] + slope[neighbours]) / 2  # [b, K, M]
    residual = label[neighbours] - label[chosen, np.newaxis]  # [b, K]
    residual = residual - np.sum(mean * (steps * scale), axis=-1)
    known = np.isfinite(residual).astype(np.float64)
    near, spread = fit_locally(
      steps[:, :count], residual[:, :count], known[:, :count]
    )
    far, _ = fit_locally(steps, residual, known)
    corrections.append(near / scale)
    doubts.append(np.hypot(spread, near - far) / scale)
  found = claimed[chosen] + np.stack(corrections, axis=1)
  return found, np.stack(doubts, axis=1)


def measure_globally(
  points: np.ndarray,
  values: np.ndarray,
  claimed: np.ndarray,
  rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
  """Estimates a factor and an offset for every component of the labels.

  One least-squares fit to all pairs of neighbours, near ones weighing more:
  few numbers from many pairs, so that most of the third order, which is large
  where points are far apart, averages out.

  Args:
    points: `[B, M]`.
    values: `[B, O]`.
    claimed: labels `[B, O, M]`.
    rng: splits the points into parts.

  Returns:
    Derivatives `[B, O, M]`, `factor * label + offset`, and by how much they may
    be off: how much they change when one part of the points after the other is
    left out, and their size times what the fit leaves unexplained.
  """
  neighbours, steps, scale = nearest_neighbours(
    points, min(4 * points.shape[1], len(points) - 1)
  )
  count = neighbours.shape[1]
  i, j = np.repeat(np.arange(len(points)), count), neighbours.ravel()
  steps = steps.reshape(len(i), -1)  # [pairs, M]
  ends = rng.integers(0, _PARTS, len(points))[np.stack([i, j])]  # [2, pairs]
  found, doubt = [], []
  for label, slope in zip(values.T, claimed.swapaxes(0, 1), strict=True):
    slope = slope * scale  # [B, M]
    mean = (slope[i] + slope[j]) / 2
    fits, missed = _fit_pairs(label[j] - label[i], mean, steps, ends)
    factors, offsets = np.split(fits, 2, axis=1)  # [1 + parts, M] each
    estimates = factors[:, np.newaxis] * slope + offsets[:, np.newaxis]
    spread = np.sqrt((_PARTS - 1) * estimates[1:].var(axis=0))
    found.append(estimates[0] / scale)
    size = np.maximum(np.abs(slope), np.abs(estimates[0]))
    doubt.append(np.hypot(spread, missed * size) / scale)
  return np.stack(found, axis=1), np.stack(doubt, axis=1)


def roughness(points: np.ndarray, claimed: np.ndarray) -> np.ndarray:
  """The part of each component that no linear function of x accounts for.

  Where labels change that much, the values in between may have done anything,
  and no fit to pairs of points can call a label wrong.

  Args:
    points: `[B, M]`.
    claimed: labels `[B, O, M]`.

  Returns:
    `[O, M]`, root mean squares relative to those of the labels.
  """
  flat = claimed.reshape(len(claimed), -1)
  known = np.isfinite(flat).all(axis=1)
  flat, points = flat[known], points[known]
  shift, scale = points.mean(axis=0), points.std(axis=0)
  design = (points - shift) / np.where(scale > 0, scale, 1)
  design = np.concatenate([np.ones([len(flat), 1]), design], axis=1)
  left = flat - design @ np.linalg.lstsq(design, flat, rcond=1e-8)[0]
  size = np.sum(flat**2, axis=0)
  part = np.sum(left**2, axis=0) / np.where(size > 0, size, 1)
  return np.sqrt(part).reshape(claimed.shape[1:])


def _fit_pairs(change, mean, steps, ends):
  """Factors and offsets of all pairs, and of those without one part each.

  Args:
    change: of the value, `[P]`.
    mean: of the scaled labels at both ends, `[P, M]`.
    steps: scaled displacements `[P, M]`.
    ends: the parts that both ends are in, `[2, P]`.

  Returns:
    `[1 + parts, 2 M]`, and the root of the part of the change, in squares, that
    the first of them leaves unexplained.
  """
  along = mean * steps
  distance = np.linalg.norm(steps, axis=1)
  # Two columns for what grows with the distance: with it goes what the third
  # order has in common with the labels.
  growth = np.stack(
    [along.sum(axis=1) * distance**2, np.sum(along * steps**2, axis=1)], axis=1
  )
  design = np.concatenate([along, steps, growth], axis=1)
  known = np.isfinite(design).all(axis=1) & np.isfinite(change)
  weight = known / np.maximum(distance, 1e-12) ** 3
  design = np.where(known[:, np.newaxis], design, 0) * weight[:, np.newaxis]
  change = np.where(known, change, 0) * weight
  lengths = np.sqrt(np.sum(design**2, axis=0))
  lengths = np.where(lengths > 0, lengths, 1)
  fits = [
    np.linalg.lstsq(design[rows] / lengths, change[rows], rcond=1e-6)[0]
    for rows in [slice(None)]
    + [(ends != part).all(axis=0) for part in range(_PARTS)]
  ]
  left = np.sum((change - design / lengths @ fits[0]) ** 2)
  missed = np.sqrt(left / max(np.sum(change**2), 1e-300))
  return (np.stack(fits) / lengths)[:, : 2 * steps.shape[1]], missed
