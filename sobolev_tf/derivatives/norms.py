"""Sobolev norms and distances, estimated over samples."""

import math
from collections.abc import Callable

import tensorflow as tf
from numpy.typing import ArrayLike

from sobolev_tf.derivatives.arguments import check_real
from sobolev_tf.derivatives.nested_tapes import derivatives


def sobolev_norm(
  f: Callable, x: ArrayLike, order: int = 1, p: float = 2
) -> tf.Tensor:
  """Estimates the Sobolev norm of a function.

  `(sum_{i<=order} mean_b |D^i f(x_b)|_p^p)^(1/p)`, where `|.|_p^p` sums over
  the components of an order. The mean over samples stands for the integral
  under the distribution that x was drawn from; for the integral over a domain
  draw x uniformly and multiply by volume^(1/p).

  Args:
    f: as in `derivatives`.
    x: floating samples `[B, *in]`.
    order: highest order that counts, 0 or more; 0 gives the L^p norm.
    p: 1 or more; infinity gives the largest magnitude of any component of any
      order.

  Returns:
    Scalar tensor.

  Raises:
    ValueError: p is below 1, or as in `derivatives`.
  """
  check_real("p", p, least=1)
  return _norm(derivatives(f, x, order), p)


def sobolev_distance(
  f: Callable, g: Callable, x: ArrayLike, order: int = 1, p: float = 2
) -> tf.Tensor:
  """Estimates the Sobolev norm of f - g; arguments as in `sobolev_norm`.

  Raises:
    ValueError: f(x) and g(x) differ in shape or dtype, or as in `sobolev_norm`.
  """
  check_real("p", p, least=1)
  first, second = derivatives(f, x, order), derivatives(g, x, order)
  if (
    not first[0].shape.is_compatible_with(second[0].shape)
    or first[0].dtype != second[0].dtype
  ):
    raise ValueError(
      f"f(x) has shape {first[0].shape} and dtype {first[0].dtype.name}, but "
      f"g(x) has shape {second[0].shape} and dtype {second[0].dtype.name}; "
      "they must match exactly."
    )
  return _norm([a - b for a, b in zip(first, second, strict=True)], p)


def _norm(terms, p):
  magnitudes = [tf.abs(term) for term in terms]
  if math.isinf(p):
    return tf.reduce_max([tf.reduce_max(m) for m in magnitudes])
  powers = [
    tf.reduce_sum(m**p) / tf.cast(tf.shape(m)[0], m.dtype) for m in magnitudes
  ]
  return tf.add_n(powers) ** (1 / p)
