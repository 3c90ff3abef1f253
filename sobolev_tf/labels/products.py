"""Labels along directions, see `kinds.py`, made from what is known."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from sobolev_tf.derivatives.products import PRODUCTS
from sobolev_tf.labels.kinds import KINDS


def directions_of(
  directions: Mapping, count: int, allowed: Sequence[str] = tuple(KINDS)
) -> dict:
  """Brings directions into one form: a tuple of arrays by kind.

  Args:
    directions: `{"jvp": u, "vhvp": (v, u), ...}`.
    count: N, the number of points.
    allowed: the kinds that can be made.

  Returns:
    Dict from a kind to its tuple of floating arrays `[N, ...]`.

  Raises:
    ValueError: a kind is unknown or cannot be made, or its directions are too
      few or not one for each point.
  """
  found = {}
  for name, given in directions.items():
    if name not in allowed:
      raise ValueError(
        f"directions hold {name!r}, but what can be made here is "
        f"{', '.join(map(repr, allowed))}"
        f"{_way_out(name)}."
      )
    wanted = len(KINDS[name].sides) - 1
    parts = (given,) if wanted == 1 else tuple(given)
    parts = tuple(_as_floating(part) for part in parts)
    if len(parts) != wanted or any(
      part.ndim == 0 or len(part) != count for part in parts
    ):
      raise ValueError(
        f"directions[{name!r}] must hold {wanted} array(s) with a direction "
        f"for each of the {count} points, but it has the shape(s) "
        f"{', '.join(str(part.shape) for part in parts)}."
      )
    found[name] = parts
  return found


def with_axis(
  directions: Mapping, value_shape: Sequence, input_shape: Sequence
) -> dict:
  """Gives directions their axis P, after a look at their shapes.

  Args:
    directions: of `directions_of`.
    value_shape: `[B, *out]`.
    input_shape: `[B, *in]`.

  Returns:
    Dict from a kind to (whether the axis was there, its tuple `[N, P, ...]`).

  Raises:
    ValueError: a direction does not fit, or "hvp" is wanted of several outputs.
  """
  shapes = {"in": tuple(input_shape[1:]), "out": tuple(value_shape[1:])}
  found = {}
  for name, parts in directions.items():
    if name == "hvp" and math.prod(shapes["out"]) != 1:
      raise ValueError(
        f"hvp needs a single output, but one f(x) has shape {shapes['out']}; "
        'give "vhvp": (v, u) instead.'
      )
    sides = [shapes[side] for side in KINDS[name].sides[:-1]]
    stacked = parts[0].ndim == len(sides[0]) + 2
    parts = tuple(part if stacked else part[:, np.newaxis] for part in parts)
    for part, one in zip(parts, sides, strict=True):
      if part.shape[2:] != one or part.shape[1] != parts[0].shape[1]:
        raise ValueError(
          f"the directions of {name} must have shape {(len(part), *one)}, with "
          "or without an axis of directions after the first, but one has shape "
          f"{part.shape if stacked else part[:, 0].shape}."
        )
    found[name] = stacked, parts
  return found


def products_of_function(
  f: Callable, x: tf.Tensor, directions: Mapping
) -> dict:
  """The products of f's derivatives at x with directions, `[B, P, ...]`.

  Args:
    f: as in `derivatives`.
    x: `[B, *in]`.
    directions: dict from a kind to its tuple of `[B, P, ...]`.
  """
  return {
    name: PRODUCTS[name](f, x, *(tf.cast(part, x.dtype) for part in parts))[1]
    for name, parts in directions.items()
  }


def contract(
  name: str, dy: np.ndarray, rank: int, directions: Sequence
) -> np.ndarray:
  """A product from the whole Jacobian.

  Args:
    name: "jvp" or "vjp".
    dy: `[N, *out, *in]`.
    rank: the number of axes of y `[N, *out]`.
    directions: a tuple of `directions_of`.

  Returns:
    `[N, ...]` or `[N, P, ...]`.

  Raises:
    ValueError: a direction does not fit.
  """
  shapes = {"y": dy.shape[:rank], "x": (len(dy), *dy.shape[rank:])}
  stacked, (rows,) = with_axis({name: directions}, *shapes.values())[name]
  matrix = dy.reshape(
    len(dy), math.prod(shapes["y"][1:]), math.prod(shapes["x"][1:])
  )
  rows = rows.reshape(*rows.shape[:2], -1)
  axes = "noi,npi->npo" if name == "jvp" else "noi,npo->npi"
  other = shapes["y" if name == "jvp" else "x"][1:]
  product = np.einsum(axes, matrix, rows).reshape(*rows.shape[:2], *other)
  return (product if stacked else product[:, 0]).astype(dy.dtype)


def _as_floating(part):
  part = np.asarray(part)
  return part if part.dtype.kind == "f" else part.astype(np.float64)


def _way_out(name):
  if name == "hvp":
    return '; label the gradient with directions={"jvp": u} to get H u'
  return ""
