"""A test of derivative labels before anyone trains on them."""

import dataclasses
import numbers
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from sobolev_tf.derivatives.finite_differences import (
  as_points,
  component_scales,
  evaluate,
  finite_differences,
)
from sobolev_tf.derivatives.nested_tapes import derivatives
from sobolev_tf.labels.faults import component_name, describe_common_fault
from sobolev_tf.labels.kinds import KINDS
from sobolev_tf.labels.product_checks import check_products
from sobolev_tf.labels.scattered import (
  measure_globally,
  measure_locally,
  roughness,
)
from sobolev_tf.labels.verdicts import (
  DerivativeCheck,
  Measured,
  indices_of,
  judge,
  result_of,
)

# A function can be evaluated as close as one likes, scattered points cannot.
_FUNCTION_TOLERANCE = 0.02
_SCATTERED_TOLERANCE = 0.1
# Where points are too far apart to look at each of them, all of them together
# still tell a factor per component.
_FACTOR_TOLERANCE = 0.3


def check_derivatives(
  f_or_labels: Callable | Sequence,
  x: ArrayLike,
  dy: ArrayLike | Callable | Mapping | None = None,
  *,
  tolerance: float | None = None,
  max_points: int = 256,
  seed: int = 0,
) -> DerivativeCheck:
  """Tests first-derivative labels, and says which component is wrong.

  `check_derivatives(f, x, dy)` is a Taylor test. Along random directions v the
  remainder `f(x + h v) - f(x) - h <dy, v>` must fall as h^2; if it does not,
  central differences find the components at fault.

  `check_derivatives((y, dy), x)` needs no function. For neighbouring points i
  and j the trapezoid rule says `y_j - y_i = <(dy_i + dy_j) / 2, x_j - x_i>` up
  to the third order of their distance. A least-squares fit of what is left
  onto the displacements measures the error of each component; neighbours
  further away must find the same error. Where the points are too far apart for
  that, one fit to all pairs of neighbours finds a factor and an offset per
  component: enough for wrong signs, units and order, not for an error of 10 %.

  `check_derivatives(f, x, {"jvp": (u, Ju), "vjp": (v, vJ), "hvp": (u, Hu)})`
  compares labels along directions, and "dy" beside them, with central
  differences of the function; y is not looked at.

  Args:
    f_or_labels: a callable of a batch, in TensorFlow or NumPy, or `(y, dy)`. A
      callable is handed copies, which it may change.
    x: array `[B, *in]`.
    dy: for a callable: array `[B, *out, *in]` or a callable of x that returns
      it; None means f's own gradient in TensorFlow. NaN labels are ignored. For
      a single output y may be `[B]` or `[B, 1]`, and dy `[B, *in]` or
      `[B, 1, *in]`. Or a dict of labels as `SobolevModel.fit` takes it.
    tolerance: largest error of a component, relative to its label, that still
      passes. None means 0.02 with a function, and without one 0.1, or 0.3
      where only all points together can tell.
    max_points: at most this many points, drawn at random, are tested; with M
      inputs a function is evaluated at about 6 of them each, and at 4 M more
      if a component has to be found.
    seed: fixes points and directions.

  Returns:
    `DerivativeCheck`. The verdict is "cannot tell" if the points are too few,
    too far apart or too noisy.

  Raises:
    ValueError: a shape does not fit, labels are no real numbers, y is infinite
      or another argument is out of its range.
  """
  _check_options(tolerance, max_points)
  x = as_points(x)
  rows = np.arange(len(x))
  rng = np.random.default_rng(seed)
  if not callable(f_or_labels):
    if dy is not None or not isinstance(f_or_labels, (tuple, list)):
      raise ValueError(
        "check_derivatives takes either (f, x, dy) with a callable f, or "
        "((y, dy), x)."
      )
    if len(f_or_labels) != 2:
      raise ValueError(
        f"the labels must be a pair (y, dy), but there are {len(f_or_labels)}."
      )
    y, dy = (np.asarray(label) for label in f_or_labels)
    _check_shapes(x, y, dy)
    if np.isinf(y).any():
      raise ValueError("y must be finite, or NaN where unknown, but it is not.")
    if np.isinf(dy).any():
      return _infinite(dy)
    return _check_scattered(x, y, dy, tolerance, max_points, rng)
  f = f_or_labels
  if isinstance(dy, Mapping):
    options = {"tolerance": tolerance, "max_points": max_points, "seed": seed}
    return _check_dict(f, x, dy, options, rng)
  dy = _claimed(f, x, dy)
  if dy.dtype.kind == "f" and np.isinf(dy).any():
    return _infinite(dy)
  if dy.ndim and len(dy) == len(x) > max_points:
    rows = rng.choice(len(x), max_points, replace=False)
    x, dy = x[rows], dy[rows]
  y = evaluate(f, x)
  _check_shapes(x, y, dy)
  return _check_function(f, x, y, dy, tolerance, rng, rows)


def _check_dict(f, x, labels, options, rng):
  """Checks the labels of a dict one by one, and puts the findings together."""
  labels = {name: label for name, label in labels.items() if name != "y"}
  known = ("dy", *KINDS)
  strange = [name for name in labels if name not in known]
  if strange or not labels:
    raise ValueError(
      f"a dict of labels to check holds {', '.join(map(repr, known))}, any of "
      f"them, but this one holds {', '.join(map(repr, strange)) or 'none'}."
    )
  found = {}
  if "dy" in labels:
    check = check_derivatives(f, x, labels.pop("dy"), **options)
    found["dy"] = (check.verdict, check.errors, check.wrong_components)
    found["dy"] += (check.message,)
  tolerance = options["tolerance"] or _FUNCTION_TOLERANCE
  pairs = options["max_points"]
  found |= check_products(f, x, labels, tolerance, pairs, rng)
  verdicts = [check[0] for check in found.values()]
  ranked = ("wrong", "cannot tell", "noisy", "right")
  verdict = next(verdict for verdict in ranked if verdict in verdicts)
  return DerivativeCheck(
    verdict in ("right", "noisy"),
    verdict,
    tuple((name, *i) for name, check in found.items() for i in check[2]),
    {name: check[1] for name, check in found.items()},
    " ".join(check[3] for check in found.values()),
  )


def _claimed(f, x, dy):
  if dy is None:
    return derivatives(f, tf.convert_to_tensor(x), 1)[1].numpy()
  return np.asarray(dy(np.array(x)) if callable(dy) else dy)


def _check_options(tolerance, max_points):
  is_number = isinstance(tolerance, numbers.Real)
  if tolerance is not None and not (is_number and 0 < tolerance < np.inf):
    raise ValueError(
      f"tolerance must be a positive finite number, but it is {tolerance!r}."
    )
  if not (isinstance(max_points, numbers.Integral) and max_points >= 1):
    raise ValueError(
      f"max_points must be an integer of at least 1, but it is {max_points!r}."
    )


def _infinite(dy):
  """The verdict on labels of which some are infinite."""
  counts = np.isinf(dy).sum(axis=0)
  worst = np.argsort(-counts, axis=None, kind="stable")
  worst = worst[: np.count_nonzero(counts)]
  shape = dy.shape[1:]
  named = [f"{component_name(i, shape)} at {counts.flat[i]}" for i in worst[:3]]
  more = f" and {len(worst) - 3} more component(s)" if len(worst) > 3 else ""
  return result_of(
    "wrong",
    dy,
    np.where(counts > 0, np.inf, np.nan),
    f"dy is infinite, {', '.join(named)}{more} of {len(dy)} point(s); give NaN "
    "where a derivative is unknown.",
    indices_of(worst, shape),
  )


def _check_shapes(x, y, dy):
  outputs, inputs = y.shape[1:], x.shape[1:]
  accepted = [x.shape[:1] + outputs + inputs]
  if outputs in ((), (1,)):
    accepted.append(x.shape[:1] + ((1,) if not outputs else ()) + inputs)
  if y.ndim == 0 or len(y) != len(x) or dy.shape not in accepted:
    wanted = " or ".join(str(shape) for shape in accepted)
    raise ValueError(
      f"for x of shape {x.shape} and y of shape {y.shape}, dy must have shape "
      f"{wanted}, but it has shape {dy.shape}."
    )
  for name, label in (("y", y), ("dy", dy)):
    if label.dtype.kind not in "fiub":
      raise ValueError(
        f"{name} must hold real numbers, but its dtype is {label.dtype}."
      )


def _check_function(f, x, y, dy, tolerance, rng, rows):
  shape = (len(x), y[0].size, x[0].size)
  tolerance = _FUNCTION_TOLERANCE if tolerance is None else tolerance
  claimed = dy.reshape(shape).astype(np.float64)  # [B, O, M]
  if not np.isfinite(claimed).any():
    return result_of("cannot tell", dy, None, "All derivative labels are NaN.")
  screened = _taylor_errors(f, x, y, claimed, rng)  # [O]
  # Stricter than the tolerance: a wrong component may be a small one.
  if (screened <= 0.001 * tolerance).all():
    errors = np.broadcast_to(screened[:, np.newaxis], shape[1:])
    return result_of(
      "right",
      dy,
      errors,
      "dy agrees with the function: the Taylor remainder falls as h^2.",
    )
  measured = finite_differences(f, x)
  wider = finite_differences(f, x, step=2 * measured.step)
  found = measured.derivative.reshape(shape).astype(np.float64)
  # Central differences of two widths differ by 3 times the error of the
  # smaller, or by rounding.
  doubt = np.abs(wider.derivative.reshape(shape) - found)
  # What rounding allows to say of a component that is zero in truth.
  floor = 10 * np.cbrt(np.finfo(measured.derivative.dtype).eps)
  points = x.reshape(len(x), -1).astype(np.float64)
  values = y.reshape(len(y), -1).astype(np.float64)
  measured = Measured(points, values, claimed, found, doubt, floor, rows)
  return judge(measured, dy, tolerance, "the function", may_be_noisy=True)


def _taylor_errors(f, x, y, claimed, rng):
  """Relative size of the first-order part of the remainder, per output.

  The remainder over h is `<error, v> + c h + O(h^2)`; two values of h remove
  c. NaN if labels are missing: components then have to be looked at singly.
  """
  eps = np.finfo(np.result_type(x.dtype, y.dtype)).eps
  if np.float32 in (x.dtype, y.dtype):
    eps = np.finfo(np.float32).eps
  flat = y.reshape(len(y), -1).astype(np.float64)  # [B, O]
  errors, sizes = [], []
  for _ in range(3):
    v = rng.normal(size=x.shape)
    v /= np.linalg.norm(v.reshape(len(x), -1), axis=1).reshape(
      [-1] + [1] * (x.ndim - 1)
    )
    v = v * component_scales(x)
    slopes = []
    for h in (eps**0.25, eps**0.25 / 2):
      ahead = (x + h * v).astype(x.dtype)
      moved = (ahead - x).astype(np.float64).reshape(len(x), -1)  # [B, M]
      predicted = np.einsum("bom,bm->bo", claimed, moved)
      change = evaluate(f, ahead, like=y).reshape(flat.shape) - flat
      slopes.append((change - predicted) / h)  # [B, O]
    errors.append(2 * slopes[1] - slopes[0])
    sizes.append(predicted / h)
  known = np.isfinite(errors)
  count = np.maximum(known.sum(axis=(0, 1)), 1)
  error = np.sqrt(np.where(known, np.square(errors), 0).sum((0, 1)) / count)
  size = np.sqrt(np.where(known, np.square(sizes), 0).sum((0, 1)) / count)
  error = error / np.maximum(size, np.finfo(np.float64).tiny)
  unknown = np.isnan(claimed).any(axis=(0, 2)) | ~known.any(axis=(0, 1))
  return np.where(unknown, np.nan, error)


def _check_scattered(x, y, dy, tolerance, max_points, rng):
  points = x.reshape(len(x), -1).astype(np.float64)  # [B, M]
  inputs = points.shape[1]
  if len(points) < 2 * inputs + 3:
    return result_of(
      "cannot tell",
      dy,
      None,
      f"cannot tell whether dy is right: {len(points)} point(s) are too few "
      f"for {inputs} input(s); {2 * inputs + 3} is the least.",
    )
  values = y.reshape(len(y), -1).astype(np.float64)  # [B, O]
  claimed = dy.reshape(len(x), -1, inputs).astype(np.float64)  # [B, O, M]
  chosen = np.arange(len(points))
  if len(points) > max_points:
    chosen = rng.choice(len(points), max_points, replace=False)
  local = Measured(
    points[chosen],
    values[chosen],
    claimed[chosen],
    *measure_locally(points, values, claimed, chosen),
    floor=0.01,
    rows=chosen,
  )
  near = _SCATTERED_TOLERANCE if tolerance is None else tolerance
  result = judge(local, dy, near, "the values y")
  if result.verdict == "right":
    return result
  found, doubt = measure_globally(points, values, claimed, rng)
  if result.verdict == "wrong":
    # Factors are found more exactly by all points together.
    message = describe_common_fault(
      claimed,
      found,
      result.errors.reshape(claimed.shape[1:]),
      "the values y",
      points,
      values,
    )
    return dataclasses.replace(result, message=message or result.message)
  far = _FACTOR_TOLERANCE if tolerance is None else tolerance
  rows = np.arange(len(points))
  together = Measured(points, values, claimed, found, doubt, 0.1, rows)
  rough = roughness(points, claimed)
  coarse = judge(together, dy, far, "the values y", certainty=2, rough=rough)
  return result if coarse.verdict == "cannot tell" else coarse
