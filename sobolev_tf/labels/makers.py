"""Derivative targets for those who have no derivatives as arrays."""

import numpy as np
import tensorflow as tf

from sobolev_tf.derivatives.finite_differences import (
  as_points,
  evaluate,
  finite_differences,
)
from sobolev_tf.derivatives.nested_tapes import derivatives
from sobolev_tf.labels.neighbourhoods import fit_locally, nearest_neighbours


def targets_from_function(f, x, order=1, batch_size=1024):
  """Labels points with a TensorFlow function or a teacher network.

  Args:
    f: as in `derivatives`; a teacher with BatchNormalization in inference mode.
    x: floating array `[N, *in]`.
    order: highest derivative, 0 or more.
    batch_size: how many points are differentiated at once.

  Returns:
    Tuple of NumPy arrays `(y, dy, ...)`, shaped as `derivatives` returns them.

  Raises:
    ValueError: as in `derivatives`, or batch_size is below 1, or x is empty.
  """
  if batch_size < 1:
    raise ValueError(f"batch_size must be 1 or more, but it is {batch_size}.")
  x = np.asarray(x)
  if x.ndim == 0 or len(x) == 0:
    raise ValueError(
      f"x must hold at least one point, [N, *in], but it has shape {x.shape}."
    )

  @tf.function(reduce_retracing=True)
  def label(points):
    return derivatives(f, points, order)

  batches = [
    label(tf.convert_to_tensor(x[start : start + batch_size]))
    for start in range(0, len(x), batch_size)
  ]
  return tuple(
    np.concatenate([term.numpy() for term in terms])
    for terms in zip(*batches, strict=True)
  )


def targets_from_black_box(f, x, step=None, batched=True):
  """Labels points with a black box and its central differences.

  Args:
    f: as in `finite_differences`.
    x: array `[N, *in]`.
    step: as in `finite_differences`.
    batched: whether f takes a batch.

  Returns:
    `(y, dy)`: y `[N, *out]`, and dy `[N, *out, *in]` as `finite_differences`
    returns it; its `evaluations` include those for y. NaN where f is not
    finite.

  Raises:
    ValueError: as in `finite_differences`.
  """
  x = as_points(x)
  y = evaluate(f, x, batched)
  dy = finite_differences(f, x, step=step, batched=batched)
  dy.evaluations += len(x)
  return y, dy


def targets_from_neighbours(x, y, num_neighbours=None, degree=1):
  """Estimates derivatives of scattered data from neighbouring points.

  Around each point a polynomial is fitted to its neighbours by least squares,
  nearer ones weighing more (tricube); its slope is the label. After Kissel and
  Diepold, "Sobolev Training with Approximated Derivatives for Black-Box
  Function Regression with Neural Networks" (2019).

  Args:
    x: array `[N, *in]`, M numbers per point.
    y: array `[N, *out]`; NaN = unknown, left out of every fit.
    num_neighbours: how many neighbours each fit uses besides the point itself;
      None means twice the coefficients of the polynomial. More of them average
      noise away, fewer follow a curved function better.
    degree: 1 fits a plane, M + 1 coefficients; 2 a quadratic,
      (M + 1) (M + 2) / 2 of them.

  Returns:
    `(y, dy)`: y as floating array, dy `[N, *out, *in]`. dy is NaN, "unknown",
    where the neighbours lie in a plane or line, so that some slope is not
    determined.

  Raises:
    ValueError: shapes do not match, or there are too few points.
  """
  x, y = as_points(x), np.asarray(y)
  if y.ndim == 0 or len(y) != len(x) or y.dtype.kind not in "fiub":
    raise ValueError(
      f"y must hold a number, or an array of them, per point, [{len(x)}, "
      f"*out], but it has shape {y.shape} and dtype {y.dtype}."
    )
  if degree not in (1, 2):
    raise ValueError(f"degree must be 1 or 2, but it is {degree}.")
  if y.dtype not in (np.float32, np.float64):
    y = y.astype(np.float64)
  flat = x.reshape(len(x), -1).astype(np.float64)  # [N, M]
  inputs = flat.shape[1]
  terms = 1 + inputs + (degree == 2) * inputs * (inputs + 1) // 2
  count = 2 * terms if num_neighbours is None else num_neighbours
  if num_neighbours is None:
    count = min(count, len(x) - 1)
  if not terms - 1 <= count <= len(x) - 1:
    raise ValueError(
      f"a fit of degree {degree} in {inputs} input(s) needs at least "
      f"{terms - 1} neighbours, and {len(x)} points have at most "
      f"{len(x) - 1}, but num_neighbours is {count}; give more points or a "
      "lower degree."
    )
  slopes = _slopes(flat, y.reshape(len(y), -1), count, degree)  # [N, O, M]
  dy = slopes.reshape(y.shape + x.shape[1:])
  return y, dy.astype(y.dtype)


def _slopes(x, y, count, degree):
  indices, displacements, scale = nearest_neighbours(x, count)
  # The point itself takes part, at displacement zero.
  displacements = np.insert(displacements, 0, 0, axis=1)  # [N, K, M]
  indices = np.insert(indices, 0, np.arange(len(x)), axis=1)  # [N, K]
  distances = np.linalg.norm(displacements, axis=-1)
  # A little beyond the farthest, whose weight would otherwise be zero.
  reach = 1.1 * np.maximum(distances.max(axis=1, keepdims=True), 1e-300)
  weights = (1 - (distances / reach) ** 3) ** 3  # [N, K]
  design = [np.ones_like(distances)[..., np.newaxis], displacements]
  inputs = x.shape[1]
  if degree == 2:
    rows, columns = np.triu_indices(inputs)
    design.append(displacements[..., rows] * displacements[..., columns])
  design = np.concatenate(design, axis=-1)  # [N, K, C]
  slopes = []
  for output in y.T.astype(np.float64):
    values = output[indices]  # [N, K]
    known = np.isfinite(values)
    fit, _ = fit_locally(design, values, weights * known)
    slopes.append(fit[:, 1 : 1 + inputs] / scale)
  return np.stack(slopes, axis=1)
