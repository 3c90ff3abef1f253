"""A test of labels along directions, see `kinds.py`, against the function.

Components of a product are found by central differences, of two widths, so that
what the differences themselves are off by is known.
"""

import typing
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from sobolev_tf.derivatives.finite_differences import (
  component_scales,
  evaluate,
  finite_differences,
)
from sobolev_tf.labels.directional import match_directional
from sobolev_tf.labels.kinds import KINDS
from sobolev_tf.labels.noise import root_mean_square

# A cause is named if it leaves less than this part of the truth, in squares.
_EXPLAINED = 0.1


class ProductCheck(typing.NamedTuple):
  """What was found out about one label along directions.

  Attributes:
    verdict: "right", "wrong" or "cannot tell".
    errors: of each component of the product, `[*in]` or `[*out]`.
    wrong: indices into these axes, the worst first.
    message: one sentence.
  """

  verdict: str
  errors: np.ndarray
  wrong: tuple
  message: str


def check_products(
  f: Callable,
  x: np.ndarray,
  labels: Mapping,
  tolerance: float,
  max_pairs: int,
  rng: np.random.Generator,
) -> dict:
  """Compares labels along directions with a black box.

  Args:
    f: callable of a batch; it is handed copies.
    x: `[B, *in]`.
    labels: the directions and products by their kind, as `fit` takes them.
    tolerance: largest error of a component, relative to its label.
    max_pairs: at most this many pairs of point and direction are tested.
    rng: draws them.

  Returns:
    Dict from a kind to its `ProductCheck`.

  Raises:
    ValueError: a label does not fit.
  """
  checks = {}
  value_shape = evaluate(f, x[:1]).shape[1:] if labels else ()
  for name, label in labels.items():
    parts = match_directional(
      name, label, (len(x), *value_shape), x.shape, tf.float64, 2
    )
    points, *parts = _pairs(x, [p.numpy() for p in parts], max_pairs, rng)
    *directions, product = parts
    y = evaluate(f, points)
    unknown = np.zeros(len(points), bool)
    for direction in directions:
      missing = np.isnan(direction.reshape(len(points), -1)).any(axis=1)
      direction[missing] = 0
      unknown |= missing
    product[unknown] = np.nan
    found, wider = (
      _product(name, f, points, y, directions, width) for width in (1, 2)
    )
    doubt = np.abs(wider - found)
    checks[name] = _judge(name, product, found, doubt, tolerance, y.dtype)
  return checks


def _pairs(x, parts, max_pairs, rng):
  """Pairs of a point and a direction, `[K, ...]`, all or some at random."""
  count = parts[0].shape[1]  # [B, P, ...]
  chosen = np.arange(len(x) * count)
  if len(chosen) > max_pairs:
    chosen = rng.choice(len(chosen), max_pairs, replace=False)
  examples, directions = np.divmod(chosen, count)
  return x[examples], *(part[examples, directions] for part in parts)


def _product(name, f, x, y, directions, width):
  """One product for each pair, `[K, *in]` or `[K, *out]`."""
  eps = np.finfo(
    np.float32 if np.float32 in (x.dtype, y.dtype) else x.dtype
  ).eps
  root = 1 / 3 if KINDS[name].order == 1 else 1 / 4
  step = width * eps**root * component_scales(x)
  if name == "jvp":
    return finite_differences(f, x, step, directions[0]).derivative

  def weighted(z):
    values = evaluate(f, z)
    v = np.ones_like(values) if name == "hvp" else directions[0]
    axes = tuple(range(1, values.ndim))
    return np.sum(values * v.reshape(values.shape), axis=axes)

  def slope(z):
    along = directions[-1].astype(z.dtype)
    return finite_differences(weighted, z, step, along).derivative

  return finite_differences(
    weighted if name == "vjp" else slope, x, step
  ).derivative


def _judge(name, claimed, found, doubt, tolerance, dtype):
  shape = claimed.shape[1:]
  claimed, found, doubt = (
    np.asarray(a, np.float64).reshape(len(claimed), -1)
    for a in (claimed, found, doubt)
  )
  known = np.isfinite(claimed) & np.isfinite(found) & np.isfinite(doubt)
  known &= ~np.isinf(claimed)
  claimed, found, doubt = (
    np.where(known, a, np.nan) for a in (claimed, found, doubt)
  )
  size = np.maximum(root_mean_square(claimed), root_mean_square(found))
  floor = 10 * np.cbrt(np.finfo(dtype).eps) * np.nanmax(size, initial=0)
  size = np.maximum(np.maximum(size, floor), 1e-300)
  errors, doubts = (
    root_mean_square(found - claimed) / size,
    root_mean_square(doubt) / size,
  )
  if not np.isfinite(errors).any():
    message = f"cannot tell whether {name} is right: none of it is known."
    return ProductCheck("cannot tell", errors.reshape(shape), (), message)
  off = np.isfinite(errors) & (errors > tolerance)
  wrong = off & (errors > 2 * doubts)
  if wrong.any():
    order = np.argsort(np.where(wrong, -errors, 0), kind="stable")
    order = order[: wrong.sum()]
    indices = tuple(
      tuple(int(i) for i in np.unravel_index(index, shape)) for index in order
    )
    message = (
      f"{name} disagrees with the function: error "
      f"{100 * errors[order[0]]:.0f} %{_place(order, indices, errors)}"
      f"{_cause(claimed, found)}."
    )
    return ProductCheck("wrong", errors.reshape(shape), indices, message)
  if off.any():
    message = (
      f"cannot tell whether {name} is right: the function would allow an error "
      f"of {100 * np.nanmax(errors):.0f} %."
    )
    return ProductCheck("cannot tell", errors.reshape(shape), (), message)
  message = (
    f"{name} agrees with the function: no component is off by more than "
    f"{100 * np.nanmax(errors):.2g} %."
  )
  return ProductCheck("right", errors.reshape(shape), (), message)


def _place(order, indices, errors):
  if len(order) == errors.size or not indices[0]:
    return ""
  more = f" and {len(order) - 1} more" if len(order) > 1 else ""
  return f" at component {', '.join(map(str, indices[0]))}{more}"


def _cause(claimed, found):
  """What all components have in common, if one factor explains them."""
  known = np.isfinite(claimed)
  label, truth = claimed[known], found[known]
  if not label.any():
    return ", as if it had never been filled in"
  ratio = np.sum(label * truth) / np.sum(label**2)
  if np.sum((ratio * label - truth) ** 2) > _EXPLAINED * np.sum(truth**2):
    return ""
  if abs(ratio + 1) < 0.15:
    return ", as if its sign were flipped"
  if abs(ratio - 1) < 0.1:
    return ""
  return f", as if it had to be multiplied by {ratio:.3g}"
