"""Tells noise in derivative labels from labels that are wrong by a rule."""

import numpy as np

from sobolev_tf.labels.neighbourhoods import nearest_neighbours

# Fewer points cannot tell the two apart.
_FEWEST = 30
# Larger errors are wrong whatever causes them.
_LARGEST = 0.2
# How many standard deviations count as more than chance.
_CHANCE = 3.5


def noisy_components(
  x: np.ndarray, claimed: np.ndarray, found: np.ndarray, errors: np.ndarray
) -> np.ndarray:
  """Which components are off by chance, independently from point to point.

  Noise is what neither x, nor the derivatives, nor the error of the nearest
  point predicts, and what a few points do not make up between them.

  Args:
    x: points `[B, M]`.
    claimed: labels `[B, O, M]`, NaN where unknown.
    found: what they should be, in the same shape.
    errors: relative errors `[O, M]`.

  Returns:
    Mask `[O, M]`.
  """
  noisy = np.zeros(errors.shape, bool)
  for output, component in np.argwhere(errors <= _LARGEST):
    known = np.isfinite(claimed[:, output]).all(axis=1)
    known &= np.isfinite(found[:, output]).all(axis=1)
    truths = found[known, output]
    left = truths[:, component] - claimed[known, output, component]
    noisy[output, component] = _is_noise(x[known], truths, component, left)
  return noisy


def outlying(left: np.ndarray) -> np.ndarray:
  """Indices of a few points that make up most of the errors `[B]`, if any."""
  square = np.where(np.isfinite(left), left, 0) ** 2
  worst = np.argsort(-square)[: 1 + len(left) // 50]
  total = square.sum()
  most = len(left) >= _FEWEST and square[worst].sum() > 0.5 * total
  return np.sort(worst[square[worst] > 0.05 * total]) if most else worst[:0]


def root_mean_square(a: np.ndarray) -> np.ndarray:
  """Root mean square over the batch of what is known; NaN if nothing is."""
  known = np.isfinite(a)
  count = known.sum(axis=0)
  total = np.where(known, np.square(np.where(known, a, 0)), 0).sum(axis=0)
  return np.where(count > 0, np.sqrt(total / np.maximum(count, 1)), np.nan)


def _is_noise(x, truths, component, left):
  if len(left) < _FEWEST or not left.any() or outlying(left).size:
    return False
  predictors = np.concatenate(
    [np.ones([len(x), 1]), truths[:, [component]], x, truths], axis=1
  )
  predictors = predictors[:, : max(2, len(x) // 4)]
  count = predictors.shape[1]
  expected = (count + _CHANCE * np.sqrt(2 * count)) / len(x)
  neighbour = nearest_neighbours(x, 1)[0][:, 0]
  # Points are often each other's nearest and then count twice.
  shared = np.mean(left * left[neighbour]) / np.mean(left**2)
  by_chance = _CHANCE * np.sqrt(2 / len(x))
  return _explained(left, predictors) <= expected and shared <= by_chance


def _explained(values, predictors):
  """The part of the values, in squares, that predictors account for."""
  lengths = np.sqrt(np.sum(predictors**2, axis=0))
  scaled = predictors / np.where(lengths > 0, lengths, 1)
  fit = np.linalg.lstsq(scaled, values, rcond=1e-8)[0]
  return 1 - np.sum((values - scaled @ fit) ** 2) / np.sum(values**2)
