"""Products of derivatives with directions: J u, v^T J, H u, v^T H u.

None of them makes a Jacobian or a Hessian. All take P directions per example,
give f(x) along with the product, and can be differentiated again, w.r.t.
parameters too.
"""

import typing

import tensorflow as tf

from sobolev_tf.derivatives.moments import twice_differentiable
from sobolev_tf.derivatives.nested_tapes import derivatives, value_of
from sobolev_tf.derivatives.series import Series, primal_of
from sobolev_tf.derivatives.taylor import derivative_term, push


def jacobian_vector_products(
  f: typing.Callable, x: tf.Tensor, u: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  """f(x) and `J u` `[B, P, *out]` for u `[B, P, *in]`, in forward mode."""
  (output,) = push(lambda z: value_of(f, z), x, _turned(u), 1)
  return primal_of(output), _first_derivative(output, u)


def vector_jacobian_products(
  f: typing.Callable, x: tf.Tensor, v: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  """f(x) and `v^T J` `[B, P, *in]` for v `[B, P, *out]`, in reverse mode."""
  f = twice_differentiable(f, x, 1)
  with tf.GradientTape(persistent=True) as tape:
    tape.watch(x)
    value = value_of(f, x)
  rows = [tape.gradient(value, x, row) for row in tf.unstack(v, axis=1)]
  return value, tf.stack(rows, axis=1)


def hessian_vector_products(
  f: typing.Callable, x: tf.Tensor, u: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  """f(x) and `H u` `[B, P, *in]` of a single output: forward over reverse."""
  value, gradient = push(_gradient_of(f), x, _turned(u), 1)
  return primal_of(value), _first_derivative(gradient, u)


def weighted_hessian_vector_products(
  f: typing.Callable, x: tf.Tensor, v: tf.Tensor, u: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  """f(x) and `v^T H u` `[B, P, *in]`, each v with the u beside it."""
  rows = []
  for weights, direction in zip(
    tf.unstack(v, axis=1), tf.unstack(u, axis=1), strict=True
  ):
    along = direction[:, tf.newaxis]
    value, gradient = push(_gradient_of(f, weights), x, _turned(along), 1)
    rows.append(_first_derivative(gradient, along))
  return primal_of(value), tf.concat(rows, axis=1)


def hessian_times_direction(
  f: typing.Callable, x: tf.Tensor, u: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  """f(x) and `H u` `[B, *out, *in]` of every output, for u shaped as x."""
  value, jacobian = push(lambda z: derivatives(f, z, 1), x, u[tf.newaxis], 1)
  return primal_of(value), _first_derivative(jacobian, u[:, tf.newaxis])[:, 0]


PRODUCTS = {
  "jvp": jacobian_vector_products,
  "vjp": vector_jacobian_products,
  "hvp": hessian_vector_products,
  "vhvp": weighted_hessian_vector_products,
}


def _gradient_of(f, weights=None):
  """f(z) and the gradient of `<f(z), weights>`; None means ones."""

  def value_and_gradient(z):
    mended = twice_differentiable(f, z, 2)
    with tf.GradientTape() as tape:
      tape.watch(z)
      value = value_of(mended, z)
    return value, tape.gradient(value, z, weights)

  return value_and_gradient


def _first_derivative(output, directions):
  """`[B, P, ...]`; zero where the output does not depend on x."""
  count = directions.shape[1]
  if not isinstance(output, Series):
    output = Series((output, None))
  return _turned(derivative_term(output, 1, count))


def _turned(directions):
  """`[B, P, ...]` as `[P, B, ...]`, and back."""
  axes = [1, 0, *range(2, directions.shape.rank)]
  return tf.transpose(directions, axes)
