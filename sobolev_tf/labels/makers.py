"""Derivative targets for those who have no derivatives as arrays."""

import warnings
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from sobolev_tf.derivatives.arguments import (
  check_function,
  check_real,
  check_whole,
)
from sobolev_tf.derivatives.finite_differences import (
  as_points,
  evaluate,
  finite_differences,
)
from sobolev_tf.derivatives.inputs import as_input
from sobolev_tf.derivatives.nested_tapes import derivatives
from sobolev_tf.labels.matching import label_name
from sobolev_tf.labels.neighbourhoods import fit_locally, nearest_neighbours
from sobolev_tf.labels.products import (
  contract,
  directions_of,
  products_of_function,
  with_axis,
)

# Standard errors take what a polynomial misses for independent noise, which it
# is not: the true error was 1.1 to 3.6 times as large on smooth functions of 2
# to 5 inputs at 40 to 400 points, about 2 for most.
_UNDERESTIMATED = 2.0


def targets_from_function(
  f: Callable,
  x: ArrayLike,
  order: int | None = None,
  batch_size: int = 1024,
  *,
  directions: Mapping | None = None,
) -> tuple[np.ndarray, ...] | dict:
  """Labels points with a TensorFlow function or a teacher network.

  ```python
  x, u = np.random.default_rng(0).normal(size=[2, 10, 3])
  labels = sobolev_tf.targets_from_function(
    lambda x: tf.reduce_prod(x, axis=1), x, directions={"hvp": u}
  )
  print(labels["hvp"][1].shape)  # H u, beside labels["y"]
  ```

  Args:
    f: as in `derivatives`; a teacher with BatchNormalization in inference mode.
    x: floating array `[N, *in]`.
    order: highest full derivative, 0 or more; None means 1, or with
      `directions` 0.
    batch_size: how many points are differentiated at once.
    directions: None, or a dict of directions for labels along them, `{"jvp": u,
      "vjp": v, "hvp": u, "vhvp": (v, u)}`, any of them; u is shaped as x and v
      as f(x), or with an axis of P directions after the first. No Jacobian or
      Hessian is made.

  Returns:
    Tuple of NumPy arrays `(y, dy, ...)`, shaped as `derivatives` returns them;
    with `directions` the dict of labels that `SobolevModel.fit` takes.

  Raises:
    ValueError: as in `derivatives`, or batch_size is below 1, x is empty, or a
      direction does not fit.
  """
  # Here and not within `label`: tracing would wrap their sentences up.
  check_function(f)
  check_whole("order", 0 if order is None else order, 0)
  check_whole("batch_size", batch_size, 1)
  x = np.asarray(x)
  if x.ndim == 0 or len(x) == 0:
    raise ValueError(
      f"x must hold at least one point, [N, *in], but it has shape {x.shape}."
    )
  as_input(x[:1])
  if directions is None:
    return _in_batches(
      lambda points: derivatives(f, points, 1 if order is None else order),
      batch_size,
      x,
    )
  directions = directions_of(directions, len(x))
  value = f(tf.convert_to_tensor(x[:1]))
  stacked = with_axis(directions, value.shape, x.shape)
  terms, products = _in_batches(
    lambda points, along: (
      derivatives(f, points, order or 0),
      products_of_function(f, points, along),
    ),
    batch_size,
    x,
    {name: parts for name, (_, parts) in stacked.items()},
  )
  labels = {label_name(j): term for j, term in enumerate(terms)}
  for name, product in products.items():
    product = product if stacked[name][0] else product[:, 0]
    labels[name] = (*directions[name], product)
  return labels


def targets_from_black_box(
  f: Callable,
  x: ArrayLike,
  step: ArrayLike | None = None,
  batched: bool = True,
  *,
  directions: Mapping | None = None,
) -> tuple[np.ndarray, np.ndarray] | dict:
  """Labels points with a black box and its central differences.

  Args:
    f: as in `finite_differences`.
    x: array `[N, *in]`.
    step: as in `finite_differences`.
    batched: whether f takes a batch.
    directions: None, or `{"jvp": u, "vjp": v}` as in `targets_from_function`,
      either or both. Where f is itself a gradient, `"jvp": u` gives `H u`.

  Returns:
    `(y, dy)`: y `[N, *out]` and dy `[N, *out, *in]`, after N (1 + 2 M)
    evaluations for M inputs. NaN where f is not finite. With `directions` the
    dict of labels that `SobolevModel.fit` takes, y among them: 2 N evaluations
    for each direction u, and 2 N M for any number of v.

  Raises:
    ValueError: as in `finite_differences`, or a direction does not fit.
  """
  x = as_points(x)
  y = evaluate(f, x, batched)
  labels = {"y": y}
  if directions is not None:
    directions = directions_of(directions, len(x), allowed=("jvp", "vjp"))
  if directions and "jvp" in directions:
    with_axis({"jvp": directions["jvp"]}, y.shape, x.shape)
    labels["jvp"] = _differences_along(f, x, step, batched, directions["jvp"])
  if directions is not None and "vjp" not in directions:
    return labels
  dy = finite_differences(f, x, step=step, batched=batched).derivative
  if dy.shape != y.shape + x.shape[1:]:
    raise ValueError(
      f"f must return one shape for all points, but it returned {y.shape} and "
      f"then {dy.shape[: dy.ndim - x.ndim + 1]} for {len(x)} points."
    )
  if directions is None:
    return y, dy
  (v,) = directions["vjp"]
  return labels | {"vjp": (v, contract("vjp", dy, y.ndim, (v,)))}


def targets_from_neighbours(
  x: ArrayLike,
  y: ArrayLike,
  num_neighbours: int | None = None,
  degree: int | None = None,
  *,
  largest_error: float = 0.1,
  return_errors: bool = False,
  directions: Mapping | None = None,
) -> tuple[np.ndarray, ...] | dict:
  """Estimates derivatives of scattered data from neighbouring points.

  Around each point a polynomial is fitted to its neighbours by least squares,
  nearer ones weighing more (tricube); its slope is the label. After Kissel and
  Diepold, "Sobolev Training with Approximated Derivatives for Black-Box
  Function Regression with Neural Networks" (2019).

  How far off a label may be is estimated from what its fit leaves over. It is
  twice the standard error, since what a polynomial misses of a curved function
  is no independent noise; the true error of a single label may be several
  times larger or smaller. Labels that may be too far off are turned into NaN,
  "unknown": training on them can be worse than training on values alone.

  Args:
    x: array `[N, *in]`, M numbers per point.
    y: array `[N, *out]`; NaN = unknown, left out of every fit.
    num_neighbours: how many neighbours each fit uses besides the point itself;
      None means twice the coefficients of the polynomial. More of them average
      noise away, fewer follow a curved function better.
    degree: 1 fits a plane, M + 1 coefficients; 2 a quadratic,
      (M + 1) (M + 2) / 2 of them; None means 2 where there are twice as many
      neighbours as that, else 1.
    largest_error: labels that may be further off than this part of the root
      mean square slope of their output, both over the range of x, become NaN;
      infinity keeps them all. With 0.1 the labels of 40 points of Branin's
      function trained a network as well as none (with 0.15 7 % worse). Where y
      is noisy, larger ones may pay.
    return_errors: whether to return the estimated errors too.
    directions: None, or `{"jvp": u, "vjp": v}` as in `targets_from_function`,
      either or both: dy is then multiplied with them.

  Returns:
    With `directions` the dict of labels that `SobolevModel.fit` takes, y among
    them; NaN where a product needs a component that is NaN. Else
    `(y, dy)`, or `(y, dy, errors)` with `return_errors`: y as floating array,
    dy and errors `[N, *out, *in]`. dy is NaN where its error is above
    `largest_error`, and where the neighbours lie in a plane or line, so that
    some slope is not determined; errors are NaN in the latter case, and where
    a fit has as many coefficients as points.

  Raises:
    ValueError: shapes do not match, there are too few points, or an argument is
      out of its range.
  """
  x, y = as_points(x), np.asarray(y)
  if directions is not None and return_errors:
    raise ValueError(
      "return_errors is of the components of dy; leave it or directions out."
    )
  if y.ndim == 0 or len(y) != len(x) or y.dtype.kind not in "fiub":
    raise ValueError(
      f"y must hold a number, or an array of them, per point, [{len(x)}, "
      f"*out], but it has shape {y.shape} and dtype {y.dtype}."
    )
  check_real("largest_error", largest_error, above=0)
  if y.dtype not in (np.float32, np.float64):
    y = y.astype(np.float64)
  if np.isinf(y).any():
    raise ValueError("y must be finite, or NaN where unknown, but it is not.")
  flat = x.reshape(len(x), -1).astype(np.float64)  # [N, M]
  count, degree = _neighbourhood(*flat.shape, num_neighbours, degree)
  slopes, errors, scale = _slopes(flat, y.reshape(len(y), -1), count, degree)
  known = np.isfinite(slopes)
  errors = np.where(known, errors, np.nan)
  size = np.where(known, slopes * scale, 0)
  size = np.sqrt(
    np.sum(size**2, axis=(0, 2), keepdims=True)
    / np.maximum(np.sum(known, axis=(0, 2), keepdims=True), 1)
  )
  # A constant y has slopes of rounding alone, which are right.
  rounding = np.finfo(y.dtype).eps * np.nanmax(np.abs(y), initial=0)
  hopeless = errors * scale > np.maximum(largest_error * size, 100 * rounding)
  slopes = np.where(hopeless, np.nan, slopes)
  if np.isnan(slopes).all():
    warnings.warn(
      "no derivative could be estimated well enough, so all of dy is NaN; give "
      "more points, raise largest_error or train on values alone.",
      stacklevel=2,
    )
  shape = y.shape + x.shape[1:]
  dy, errors = (a.reshape(shape).astype(y.dtype) for a in (slopes, errors))
  if directions is not None:
    along = directions_of(directions, len(x), allowed=("jvp", "vjp"))
    return {"y": y} | {
      name: (*parts, contract(name, dy, y.ndim, parts))
      for name, parts in along.items()
    }
  return (y, dy, errors) if return_errors else (y, dy)


def _in_batches(label, batch_size, *arrays):
  """What `label` says of `[N, ...]`, some points at a time, in NumPy."""
  compiled = tf.function(label, reduce_retracing=True)
  batches = [
    tf.nest.map_structure(
      lambda term: term.numpy(),
      compiled(
        *tf.nest.map_structure(
          lambda a, s=start: tf.convert_to_tensor(a[s : s + batch_size]), arrays
        )
      ),
    )
    for start in range(0, len(arrays[0]), batch_size)
  ]
  return tf.nest.map_structure(lambda *terms: np.concatenate(terms), *batches)


def _differences_along(f, x, step, batched, parts):
  """`(u, J u)` of a black box for u `[N, *in]` or `[N, P, *in]`."""
  (u,) = parts
  stacked = u.ndim == x.ndim + 1
  rows = [
    finite_differences(f, x, step, v, batched).derivative
    for v in (np.moveaxis(u, 1, 0) if stacked else [u])
  ]
  return u, np.stack(rows, axis=1) if stacked else rows[0]


def _neighbourhood(points, inputs, count, degree):
  """How many neighbours a fit uses, and its degree."""
  if count is not None:
    check_whole("num_neighbours", count, 1)
  if degree not in (None, 1, 2):
    raise ValueError(f"degree must be 1, 2 or None, but it is {degree}.")
  available = points - 1
  if degree is None:
    given = available if count is None else count
    degree = 2 if given >= 2 * _coefficients(inputs, 2) else 1
  terms = _coefficients(inputs, degree)
  if count is None:
    count = min(2 * terms, available)
  if not terms - 1 <= count <= available:
    raise ValueError(
      f"a fit of degree {degree} in {inputs} input(s) needs at least "
      f"{terms - 1} neighbours, and {points} points have at most {available}, "
      f"but num_neighbours is {count}; give more points or a lower degree."
    )
  return count, degree


def _coefficients(inputs, degree):
  return 1 + inputs + (degree == 2) * inputs * (inputs + 1) // 2


def _slopes(x, y, count, degree):
  """Slopes `[N, O, M]`, how far off they may be, and the scale of x `[M]`."""
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
  slopes, errors = [], []
  for output in y.T.astype(np.float64):
    values = output[indices]  # [N, K]
    known = np.isfinite(values)
    fit, spread = fit_locally(design, values, weights * known)
    slopes.append(fit[:, 1 : 1 + inputs] / scale)
    errors.append(_smoothed(spread[:, 1 : 1 + inputs], indices) / scale)
  errors = _UNDERESTIMATED * np.stack(errors, axis=1)
  return np.stack(slopes, axis=1), errors, scale


def _smoothed(errors, indices):
  """Errors `[N, M]`, each averaged with those of its nearer neighbours.

  A fit has few numbers left over to estimate its error from, and may by chance
  leave nothing.
  """
  around = np.square(errors[indices[:, : 1 + indices.shape[1] // 2]])
  known = np.isfinite(around)
  count = known.sum(axis=1)
  total = np.where(known, around, 0).sum(axis=1)
  mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
  own = np.where(np.isfinite(errors), np.square(errors), mean)
  return np.sqrt((own + mean) / 2)
