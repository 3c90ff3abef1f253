"""Central differences: first derivatives of functions outside TensorFlow."""

import typing
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from sobolev_tf.derivatives.arguments import check_function


class FiniteDifferences(typing.NamedTuple):
  """What `finite_differences` found; `np.asarray` of it is the derivative.

  Attributes:
    derivative: `[B, *out, *in]`, or `[B, *out]` along directions.
    step: the half-width of the differences, shaped as x, or `[B]` (in units of
      the direction's length) for differences along directions.
    evaluations: how many points f was evaluated at.
  """

  derivative: np.ndarray
  step: np.ndarray
  evaluations: int

  def __array__(self, dtype=None, copy=None):
    return np.array(self.derivative, dtype, copy=copy)


def finite_differences(
  f: Callable,
  x: ArrayLike,
  step: ArrayLike | None = None,
  directions: ArrayLike | None = None,
  batched: bool = True,
) -> FiniteDifferences:
  """Differentiates a black box by central differences.

  The error is of the order of step^2; at the default step about 1e-10 (1e-5 in
  float32) of the size of f, if f varies on the scale of x itself. A float32
  output from a float64 x has float32's rounding error: the differences then
  start over with x in float32.

  Args:
    f: callable, in NumPy, TensorFlow or anything else that returns numbers: of
      a batch `[B, *in]` that returns `[B, *out]`, or of one point `[*in]` that
      returns `[*out]` if `batched` is false. It is handed copies, which it may
      change.
    x: array `[B, *in]`, float32 or float64; integers are taken as float64.
    step: positive half-width, in the units of x: a number or an array that
      broadcasts to x. None means eps^(1/3) times the scale of each component:
      the larger of |x| and the component's root mean square over the batch (1
      where all are zero).
    directions: array shaped as x. Along a direction no component of x moves
      further than its step.
    batched: whether f takes a batch.

  Returns:
    `FiniteDifferences`: the full derivative `[B, *out, *in]` after 2 B M
    evaluations for M inputs, or along `directions` `[B, *out]`, after 2 B.
    Where f is not finite the derivative is NaN, "unknown" to `sobolev_loss`.

  Raises:
    ValueError: x, step, directions or what f returns does not fit, or f
      returns another shape at each call.
  """
  check_function(f)
  x = as_points(x)
  evaluations = 0
  while True:
    steps = _steps(x, step)
    if directions is None:
      result, used, spent, dtype = _full(f, x, steps, batched)
    else:
      result, used, spent, dtype = _along(f, x, steps, directions, batched)
    evaluations += spent
    if dtype != np.float32 or x.dtype == np.float32:
      break
    x = x.astype(np.float32)
  return FiniteDifferences(result, used, evaluations)


def as_points(x: ArrayLike) -> np.ndarray:
  """Converts x to a float32 or float64 array `[B, *in]` of finite numbers."""
  x = np.asarray(x)
  if x.dtype.kind in "iub":
    x = x.astype(np.float64)
  if x.dtype not in (np.float32, np.float64):
    raise ValueError(
      f"x must be float32, float64 or integer, but its dtype is {x.dtype}; "
      "convert it."
    )
  if x.ndim == 0 or x.size == 0:
    raise ValueError(
      f"x must hold at least one point, [B, *in], but it has shape {x.shape}."
    )
  if not np.isfinite(x).all():
    raise ValueError("x must be finite, but it holds NaN or infinity.")
  return x


def evaluate(
  f: Callable,
  x: np.ndarray,
  batched: bool = True,
  like: np.ndarray | None = None,
) -> np.ndarray:
  """Evaluates a black box at points `[B, *in]`.

  Args:
    f: callable, as in `finite_differences`.
    x: array `[B, *in]`; f gets a copy, so that one which works in place spoils
      neither the points nor the labels.
    batched: whether f takes a batch.
    like: what f returned before; now it has to return the same shape.

  Returns:
    Floating array `[B, *out]`; NaN where f is not finite.

  Raises:
    ValueError: f returns something else than numbers, the wrong batch, or
      another shape than before.
  """
  check_function(f)
  try:
    if batched:
      value = np.asarray(f(np.array(x)))
    else:
      # Copied at once: f may use one buffer for all that it returns.
      value = np.stack([np.array(f(np.array(point))) for point in x])
  except ValueError as error:
    raise ValueError(
      f"f failed on points of shape {x.shape if batched else x.shape[1:]}: "
      f"{error}"
    ) from error
  if value.dtype.kind not in "fiub":
    raise ValueError(
      f"f must return real numbers, but it returns dtype {value.dtype}."
    )
  if value.ndim == 0 or len(value) != len(x):
    raise ValueError(
      f"f must return one value per point, [{len(x)}, *out] for x of shape "
      f"{x.shape}, but it returns shape {value.shape}; use batched=False for "
      "a function of one point."
    )
  if like is not None and value.shape != like.shape:
    raise ValueError(
      f"f must return one shape for all points, but it returned {like.shape} "
      f"and then {value.shape} for {len(x)} points."
    )
  if value.dtype not in (np.float32, np.float64):
    value = value.astype(np.float64)
  return np.where(np.isfinite(value), value, np.nan).astype(value.dtype)


def component_scales(x: np.ndarray) -> np.ndarray:
  """The scale of each number in x: `max(|x|, rms over the batch)`, or 1."""
  rms = np.sqrt(np.mean(np.square(x), axis=0, keepdims=True))
  scale = np.maximum(np.abs(x), rms)
  return np.where(scale > 0, scale, 1).astype(x.dtype)


def _steps(x, step):
  """Positive steps shaped as x."""
  if step is None:
    return np.cbrt(np.finfo(x.dtype).eps) * component_scales(x)
  try:
    step = np.broadcast_to(np.asarray(step, x.dtype), x.shape)
  except (ValueError, TypeError) as error:
    raise ValueError(
      f"step must be a number or broadcast to x of shape {x.shape}, but it "
      f"is of type {type(step).__name__} and shape {np.shape(step)}."
    ) from error
  if not (np.isfinite(step).all() and (step > 0).all()):
    raise ValueError("step must be positive and finite everywhere.")
  return step


def _full(f, x, steps, batched):
  flat = x.reshape(len(x), -1)  # [B, M]
  steps = steps.reshape(flat.shape)
  columns, used, value = [], np.empty_like(flat), None
  for component in range(flat.shape[1]):
    ahead, behind = flat.copy(), flat.copy()
    ahead[:, component] += steps[:, component]
    behind[:, component] -= steps[:, component]
    # Rounding moves the points a little: divide by the distance that they
    # really have, which is exact.
    width = ahead[:, component] - behind[:, component]  # [B]
    _check_width(width)
    used[:, component] = width / 2
    points = ahead.reshape(x.shape), behind.reshape(x.shape)
    value = _difference(f, *points, width, batched, value)
    columns.append(value)  # [B, *out]
  result = np.stack(columns, axis=-1)  # [B, *out, M]
  result = result.reshape(columns[0].shape + x.shape[1:])
  return result, used.reshape(x.shape), 2 * x.size, result.dtype


def _along(f, x, steps, directions, batched):
  directions = np.asarray(directions)
  if directions.shape != x.shape or directions.dtype.kind not in "fiu":
    raise ValueError(
      f"directions must be real and have the shape of x, {x.shape}, but they "
      f"have shape {directions.shape} and dtype {directions.dtype}."
    )
  v = directions.reshape(len(x), -1).astype(x.dtype)  # [B, M]
  flat = x.reshape(v.shape)
  reach = np.max(np.abs(v) / steps.reshape(v.shape), axis=1)  # [B]
  length = 1 / np.where(reach > 0, reach, 1)  # [B]
  ahead = flat + length[:, np.newaxis] * v
  behind = flat - length[:, np.newaxis] * v
  # The distance really travelled, measured along v.
  square = np.sum(v * v, axis=1)
  moved = np.sum((ahead - behind) * v, axis=1)
  width = np.where(square > 0, moved / np.where(square > 0, square, 1), 1)
  _check_width(width)
  result = _difference(
    f, ahead.reshape(x.shape), behind.reshape(x.shape), width, batched
  )
  return result, width / 2, 2 * len(x), result.dtype


def _difference(f, ahead, behind, width, batched, like=None):
  ahead = evaluate(f, ahead, batched, like)
  behind = evaluate(f, behind, batched, ahead)
  width = width.reshape([-1] + [1] * (ahead.ndim - 1))
  with np.errstate(over="ignore", invalid="ignore"):
    result = (ahead - behind) / width
  # As exact as the coarser of the two.
  dtype = min(ahead.dtype, behind.dtype, key=lambda dtype: dtype.itemsize)
  return np.where(np.isfinite(result), result, np.nan).astype(dtype)


def _check_width(width):
  if not (width > 0).all():
    raise ValueError(
      "step is too small: x + step equals x in its dtype; give a larger step, "
      "or x in float64."
    )
