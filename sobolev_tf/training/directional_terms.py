"""Terms for labels along directions of the user's own.

A direction keeps the length that its user gave it, but is measured in scaled
units: with the directions of all inputs (or outputs) the loss is that of the
full derivative, whatever the scaling. Losses are summed over the directions as
over components; no full Jacobian or Hessian is made.
"""

import math
import typing

import tensorflow as tf

from sobolev_tf.derivatives.products import PRODUCTS
from sobolev_tf.labels.kinds import KINDS
from sobolev_tf.training.scaling import Scaling
from sobolev_tf.training.terms import Term


class Products(typing.NamedTuple):
  """A label along directions in scaled units.

  Attributes:
    directions: tuple of `[B, P, ...]`.
    target: the product, `[B, P, ...]`; NaN means unknown.
    units: the user's units per scaled unit of the target.
  """

  directions: tuple
  target: tf.Tensor
  units: tf.Tensor


def scale_products(name: str, parts: tuple, scaling: Scaling) -> Products:
  """Converts a label along directions to scaled units.

  By the chain rule, with x = s_x z and y = s_y w up to offsets: u is divided by
  s_x and `J u` by s_y; v is multiplied by s_y and `v^T J` by s_x; and both
  sides of such a pair are divided by what this did to the direction's length.

  Args:
    name: one of `KINDS`.
    parts: of `match_directional`; a direction with a NaN is unknown, and so
      is its product.
    scaling: a built `Scaling`.
  """
  *directions, target = parts
  sides, product_side = KINDS[name].sides[:-1], KINDS[name].sides[-1]
  s_x, s_y = _scales(scaling, target.dtype)
  units = s_y if product_side == "out" else 1 / s_x
  if name == "hvp":  # No v has brought the units of y in.
    units = units * tf.reshape(s_y, [])
  scaled = []
  for direction, side in zip(directions, sides, strict=True):
    length = _lengths(direction)  # [B, P]
    unknown = tf.math.is_nan(length)
    direction = tf.where(
      _beside(unknown, direction), tf.zeros_like(direction), direction
    )
    nothing = tf.cast(float("nan"), target.dtype)
    target = tf.where(_beside(unknown, target), nothing, target)
    changed = direction / s_x if side == "in" else direction * s_y
    ratio = _lengths(changed) / tf.where(unknown, tf.ones_like(length), length)
    scaled.append(changed / _beside(ratio, changed))
    units = units * _beside(ratio, target)
  return Products(tuple(scaled), target / units, units)


def directional_terms(
  f: typing.Callable, x: tf.Tensor, labels: dict, scaling: Scaling
) -> tuple[tf.Tensor | None, list[Term]]:
  """Compares a network with labels along directions.

  Args:
    f: the network, from scaled x to scaled y.
    x: `[B, *in]` in scaled units.
    labels: `Products` by their kinds.
    scaling: a built `Scaling`.

  Returns:
    The network's values `[B, *out]`, or None where there is no label, and a
    term for each label.
  """
  value, terms = None, []
  for name, products in labels.items():
    value, predicted = PRODUCTS[name](f, x, *products.directions)
    terms.append(
      Term(
        name,
        KINDS[name].order,
        predicted,
        products.target,
        products.units,
        _divisor(name, products.directions, scaling),
      )
    )
  return value, terms


# The mean square of a product from those of the components, flattened.
_MEAN_SQUARES = {
  "jvp": "oi,bpi->bpo",
  "vjp": "oi,bpo->bpi",
  "hvp": "oij,bpj->bpi",
  "vhvp": "oij,bpo,bpj->bpi",
}


def _divisor(name, directions, scaling):
  """The size of a product in scaled units, from those of the components.

  Exact for the direction of one input (or output); else the root mean square
  that components independent of each other would give.
  """
  order, product_side = KINDS[name].order, KINDS[name].sides[-1]
  sizes = scaling.divisor(order)
  if not sizes.shape.rank:
    return sizes
  shares = [_shares(direction) for direction in directions]
  out = scaling.value_shape[1:]
  inputs = sizes.shape.as_list()[len(out) :]
  inputs = inputs[: len(inputs) // order]
  shape = [math.prod(out), *[math.prod(inputs)] * order]
  squares = tf.reshape(tf.square(tf.cast(sizes, shares[0].dtype)), shape)
  mean = tf.einsum(_MEAN_SQUARES[name], squares, *shares)
  # A direction without length asks for nothing.
  mean = tf.where(mean > 0, mean, tf.ones_like(mean))
  lead = tf.shape(mean)[:2]
  last = out if product_side == "out" else inputs
  return tf.reshape(tf.sqrt(mean), tf.concat([lead, last], axis=0))


def _scales(scaling, dtype):
  """The deviations of x and y, 1 where nothing is scaled."""
  if scaling.kind is None:
    return tf.ones([], dtype), tf.ones([], dtype)
  return tf.cast(scaling.x_scale, dtype), tf.cast(scaling.y_scale, dtype)


def _lengths(directions):
  """Euclidean lengths `[B, P]` of `[B, P, ...]`; 1 for zero, NaN for NaN."""
  axes = list(range(2, directions.shape.rank))
  squares = tf.reduce_sum(tf.square(directions), axis=axes)
  return tf.sqrt(tf.where(tf.equal(squares, 0), tf.ones_like(squares), squares))


def _shares(directions):
  """Squares `[B, P, M]` of `[B, P, ...]`, divided by their sum."""
  squares = tf.square(directions)
  squares = squares / _beside(tf.square(_lengths(directions)), squares)
  shape = tf.concat([tf.shape(squares)[:2], [-1]], axis=0)
  return tf.reshape(squares, shape)


def _beside(per_direction, like):
  """`[B, P]` with the axes that `like` `[B, P, ...]` has."""
  extra = [1] * (like.shape.rank - 2)
  shape = tf.concat([tf.shape(per_direction), tf.constant(extra, tf.int32)], 0)
  return tf.ensure_shape(
    tf.reshape(per_direction, shape), per_direction.shape.concatenate(extra)
  )
