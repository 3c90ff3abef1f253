"""How far a vector field is from being a gradient (Proposition 4).

A synthetic gradient that is the gradient of some loss has a symmetric Jacobian
w.r.t. the activations, because the order of differentiation does not matter.
"""

import typing
from collections.abc import Callable

import tensorflow as tf

from sobolev_tf.derivatives.directions import random_directions


def jacobian_asymmetry(
  field: Callable, h: tf.Tensor, seed: typing.Any, num_projections: int = 8
) -> tf.Tensor:
  """Estimates `|J - J^T| / |J|` (Frobenius norms) of a field's Jacobian.

  For random unit directions v the mean of `|J v - J^T v|^2` is proportional to
  `|J - J^T|^2`, and those of `|J v|^2` and `|J^T v|^2` to `|J|^2` with the same
  factor. This is the mean of `(u^T J v - v^T J u)^2` over a second direction u
  as well, taken exactly. J itself is never built: J v is one forward-mode pass
  and J^T v one backward pass.

  Args:
    field: callable from `[B, *in]` to the same shape, each example on its own:
      a synthetic gradient, say, closed over its labels.
    h: floating tensor `[B, *in]`.
    seed: an integer or a pair; fixes the directions.
    num_projections: directions per example; the estimate's relative deviation
      falls as its square root.

  Returns:
    `[B]`, from 0 (symmetric) to 2 (J^T = -J); 0 where J is zero. The estimate
    is 0 to rounding whenever J is symmetric, with any number of directions.

  Raises:
    ValueError: field(h) has another shape than h or does not depend on it.
  """
  if num_projections < 1:
    raise ValueError(
      f"num_projections must be at least 1, but it is {num_projections}."
    )
  h = tf.convert_to_tensor(h)
  shape = tf.shape(h)
  directions = random_directions(
    tf.concat([[num_projections * shape[0]], shape[1:]], axis=0), seed, h.dtype
  )
  directions = tf.reshape(directions, tf.concat([[num_projections], shape], 0))
  difference, size = [], []
  for index in range(num_projections):
    forward, backward = _jacobian_products(field, h, directions[index])
    difference.append(_squared_norm(forward - backward))
    # Both estimate |J|^2; with their mean the ratio cannot exceed 2.
    size.append(0.5 * (_squared_norm(forward) + _squared_norm(backward)))
  ratio = tf.math.divide_no_nan(tf.add_n(difference), tf.add_n(size))
  return tf.sqrt(ratio)


def _jacobian_products(field, h, v):
  """Returns J v and J^T v, each shaped as h."""
  with tf.GradientTape() as tape:
    tape.watch(h)
    with tf.autodiff.ForwardAccumulator(h, v) as accumulator:
      value = tf.convert_to_tensor(field(h))
    if not value.shape.is_compatible_with(h.shape):
      raise ValueError(
        f"field(h) must have the shape of h, {h.shape}, but it has shape "
        f"{value.shape}."
      )
  forward = accumulator.jvp(value)
  backward = tape.gradient(value, h, output_gradients=v)
  if forward is None or backward is None:
    raise ValueError(
      f"field(h) does not depend on h (shape {h.shape}) through differentiable "
      "TensorFlow operations, so it has no Jacobian."
    )
  return forward, backward


def _squared_norm(x):
  """Sums squares over all but the batch axis: `[B]`."""
  return tf.reduce_sum(tf.square(x), axis=list(range(1, x.shape.rank)))
