"""Arithmetic and elementary functions of Taylor series.

The recurrences are those of Griewank & Walther, "Evaluating Derivatives"
(2008), table 13.2: order k costs k products, where nested differentiation
doubles its work with every order.
"""

import math
import typing

import tensorflow as tf

from sobolev_tf.derivatives.series import (
  Series,
  aligned,
  as_series,
  first_series,
  of_one_rank,
  product,
  product_term,
  scaled,
  spread,
  total,
)


def add(a: Series | tf.Tensor, b: Series | tf.Tensor) -> Series:
  """a + b; one of them may be a tensor."""
  return _sum(a, b, tf.add)


def subtract(a: Series | tf.Tensor, b: Series | tf.Tensor) -> Series:
  """a - b; one of them may be a tensor."""
  return _sum(a, b, tf.subtract)


def multiply(a: Series | tf.Tensor, b: Series | tf.Tensor) -> Series:
  """a * b; one of them may be a tensor."""
  like = first_series((a, b))
  a, b = as_series(a, like), as_series(b, like)
  return product(tf.multiply, a, b, a.primal * b.primal)


def divide(
  a: Series | tf.Tensor, b: Series | tf.Tensor, primal: tf.Tensor | None = None
) -> Series:
  """a / b; one of them may be a tensor.

  From `q b = a`: `q_k = (a_k - sum_(j>0) b_j q_(k-j)) / b_0`.
  """
  if not isinstance(b, Series):
    reciprocal = 1 / b
    quotient = a.primal / b if primal is None else primal
    return product(tf.multiply, a, as_series(reciprocal, a), quotient)
  a = as_series(a, b)
  q = [a.primal / b.primal if primal is None else primal]
  # Both in the shape of the quotient, so that terms can be added.
  a, b = (s.map(lambda term: spread(term, q[0]), s.primal) for s in (a, b))
  for k in range(1, b.order + 1):
    rest = product_term(
      tf.multiply, b.coefficients, q, k, b.collapses(k), range(1, k + 1)
    )
    numerator = total([a.coefficients[k], None if rest is None else -rest])
    q.append(None if numerator is None else numerator / b.primal)
  return Series(tuple(q), b.collapsed)


def integrate(x: Series, slope: Series, primal: tf.Tensor) -> Series:
  """y with `y' = slope x'`: `k y_k = sum_(j>0) j x_j slope_(k-j)`.

  Args:
    x: `Series` of order K.
    slope: `Series` of order K - 1, the derivative of y w.r.t. x.
    primal: y_0.
  """
  terms = (
    _integral_term(x, slope.coefficients, k) for k in range(1, x.order + 1)
  )
  return Series((primal, *terms), x.collapsed)


def solve(x: Series, primal: tf.Tensor, slope_terms: typing.Callable) -> Series:
  """y with `y' = g(y) x'`, where g has its own recurrence.

  Args:
    x: `Series`.
    primal: y_0.
    slope_terms: function of (coefficients of y so far, those of g(y) so far)
      to the next coefficient of g(y).
  """
  if x.collapsed and x.order == 2 and x.coefficients[1] is not None:
    return _solve_for_sum(x, primal, slope_terms)
  y, slope = [primal], []
  for k in range(1, x.order + 1):
    slope.append(slope_terms(y, slope))
    y.append(_integral_term(x, slope, k))
  return _finished(x, y, lambda: [*slope, slope_terms(y, slope)])


def _finished(x, y, slope):
  """The `Series` y of f(x); `slope` gives the coefficients of f'(x)."""
  if not _gains_by_correlation(x):
    return Series(tuple(y), x.collapsed)
  return _correlated(x, y, slope())


def _gains_by_correlation(x):
  """Whether `_correlated` takes fewer products than tapes, all of one shape."""
  known = [term for term in x.coefficients[1:] if term is not None]
  shape = x.primal.shape
  return (
    len(x.coefficients) > 2
    and not x.collapsed
    and x.coefficients[1] is not None
    and shape.is_fully_defined()
    and all(term.shape[1:] == shape for term in known)
  )


def _correlated(x, y, slope):
  """The series y of f(x), whose gradient takes the fewest products.

  Since y(t) = f(x(t)), `dy_k / dx_j = s_(k-j)` with the series s of f'(x(t)),
  so that `dL/dx_j = sum_(k>=j) dL/dy_k s_(k-j)`: one product for each pair of
  coefficients, where tapes go back through all of the recurrences.

  Args:
    x: `Series` of order K whose terms have its shape.
    y: coefficients 0 to K, none of them zero.
    slope: those of s.

  Returns:
    `Series` of y.
  """
  known = [j for j, term in enumerate(x.coefficients) if term is not None]

  @tf.custom_gradient
  def attach(*terms):
    del terms  # y is made of them; their gradient is what follows

    def differentiate(*sent):
      return [_correlation(sent, slope, j) for j in known]

    return tuple(y), differentiate

  return Series(attach(*(x.coefficients[j] for j in known)))


def _correlation(sent, slope, j):
  """`sum_(k>=j) sent_k slope_(k-j)`, also over the directions if j is 0."""
  terms = [
    tf.multiply(*of_one_rank(sent[k], slope[k - j]))
    for k in range(max(j, 1), len(sent))
    if slope[k - j] is not None
  ]
  summed = tf.add_n(terms)
  if j:
    return summed
  along = summed[0] if summed.shape[0] == 1 else tf.reduce_sum(summed, axis=0)
  return sent[0] * slope[0] + along


def _solve_for_sum(x, primal, slope_terms):
  """`solve` where only the sum of the second coefficients is wanted.

  They are `y_2 = y' x_2 + y'' x_1^2 / 2`: of all directions only the sum of
  squares is needed, and y' and y'' are no larger than y.
  """
  slope = slope_terms([primal], [])
  bend = slope_terms([primal, slope], [slope])  # what x_1 = 1 gives
  _, first, second = x.coefficients
  squares = tf.reduce_sum(tf.square(first), axis=0, keepdims=True)
  own = None if second is None else slope * second
  return Series((primal, slope * first, total([own, bend / 2 * squares])), True)


def exp(x: Series, primal: tf.Tensor | None = None) -> Series:
  """exp(x): `y' = y x'`."""
  primal = tf.exp(x.primal) if primal is None else primal
  return solve(x, primal, lambda y, _: y[-1])


def log(x: Series, primal: tf.Tensor | None = None) -> Series:
  """log(x): `y' = x' / x`."""
  primal = tf.math.log(x.primal) if primal is None else primal
  return integrate(x, divide(tf.ones_like(x.primal), x.truncate()), primal)


def tanh(x: Series, primal: tf.Tensor | None = None) -> Series:
  """tanh(x): `y' = (1 - y^2) x'`."""
  primal = tf.tanh(x.primal) if primal is None else primal

  def slope(y, _):
    k = len(y) - 1
    return _square_term(y, k, -1.0) if k else 1 - tf.square(y[0])

  return solve(x, primal, slope)


def sigmoid(x: Series, primal: tf.Tensor | None = None) -> Series:
  """sigmoid(x): `y' = (y - y^2) x'`."""
  primal = tf.sigmoid(x.primal) if primal is None else primal

  def slope(y, _):
    k = len(y) - 1
    if not k:
      # Not y (1 - y), which is 0 where y rounds to 1.
      return y[0] * tf.sigmoid(-x.primal)
    return total([y[k], _square_term(y, k, -1.0)])

  return solve(x, primal, slope)


def softplus(x: Series, primal: tf.Tensor | None = None) -> Series:
  """log(1 + exp(x)): `y' = sigmoid(x) x'`."""
  primal = tf.nn.softplus(x.primal) if primal is None else primal
  y = integrate(x, sigmoid(x.truncate()), primal)
  return _finished(x, y.coefficients, lambda: sigmoid(x).coefficients)


def sine_and_cosine(x: Series) -> tuple[Series, Series]:
  """sin(x) and cos(x): `s' = c x'`, `c' = -s x'`."""
  s, c = [tf.sin(x.primal)], [tf.cos(x.primal)]
  for k in range(1, x.order + 1):
    s_k, c_k = _integral_term(x, c, k), _integral_term(x, s, k)
    s.append(s_k)
    c.append(_negative(c_k))
  sine = _finished(x, s, lambda: c)
  return sine, _finished(x, c, lambda: [_negative(term) for term in s])


def bell(x: Series, factor: float) -> Series:
  """factor * exp(-x^2), the slope of the error functions."""
  return multiply(
    exp(multiply(subtract(tf.zeros_like(x.primal), x), x)), factor
  )


def erf(x: Series, primal: tf.Tensor | None = None) -> Series:
  """erf(x)."""
  primal = tf.math.erf(x.primal) if primal is None else primal
  return integrate(x, bell(x.truncate(), _constant(x, _ERF_SLOPE)), primal)


def square_root(x: Series, primal: tf.Tensor | None = None) -> Series:
  """sqrt(x), from `y^2 = x`."""
  y = [tf.sqrt(x.primal) if primal is None else primal]
  half = 0.5 / y[0]
  for k in range(1, x.order + 1):
    rest = product_term(tf.multiply, y, y, k, x.collapses(k), range(1, k))
    numerator = total([x.coefficients[k], _negative(rest)])
    y.append(None if numerator is None else numerator * half)
  return Series(tuple(y), x.collapsed)


def whole_power(x: Series, exponent: typing.Any) -> Series:
  """x^n for an integer n > 0, by products, so that x may be 0."""
  if exponent == 1:
    return x
  root = whole_power(x, exponent // 2)
  squared = multiply(root, root)
  return multiply(squared, x) if exponent % 2 else squared


def power(
  x: Series, exponent: typing.Any, primal: tf.Tensor | None = None
) -> Series:
  """x^a for a that does not depend on x: `y' = a x^(a-1) x'`.

  Where a has become 0 the slope is 0, also at x = 0.

  Args:
    x: `Series`.
    exponent: tensor that broadcasts to x.
    primal: x_0^a.
  """
  a = tf.cast(exponent, x.primal.dtype)
  primal = tf.pow(x.primal, a) if primal is None else primal
  if not x.order:
    return Series((primal,))
  lower = power(x.truncate(), tf.where(tf.equal(a, 0), a, a - 1))
  return integrate(x, multiply(lower, a), primal)


def masked(x: Series, slope: Series, primal: tf.Tensor) -> Series:
  """y of which the slope w.r.t. x is constant around each point."""
  return x.map(lambda term: term * slope, primal)


def selected(
  condition: tf.Tensor,
  a: Series | tf.Tensor,
  b: Series | tf.Tensor,
  primal: tf.Tensor,
) -> Series:
  """`where(condition, a, b)`; one of a and b may be a tensor."""
  like = first_series((a, b))
  a, b = as_series(a, like), as_series(b, like)
  terms = []
  for left, right in zip(a.coefficients[1:], b.coefficients[1:], strict=True):
    if left is None and right is None:
      terms.append(None)
      continue
    pair = [None if t is None else spread(t, primal) for t in (left, right)]
    zero = tf.zeros_like(pair[0] if pair[1] is None else pair[1])
    left, right = (zero if t is None else t for t in pair)
    terms.append(tf.where(condition, left, right))
  return Series((primal, *terms), like.collapsed)


_ERF_SLOPE = 2 / math.sqrt(math.pi)


def _sum(a, b, combine):
  like = first_series((a, b))
  a, b = as_series(a, like), as_series(b, like)
  primal, terms = combine(a.primal, b.primal), []
  for left, right in zip(a.coefficients[1:], b.coefficients[1:], strict=True):
    if left is None or right is None:
      left = left if left is None else spread(left, primal, b.primal.shape)
      right = right if right is None else spread(right, primal, a.primal.shape)
    else:
      left, right = (aligned(t, primal.shape.rank) for t in (left, right))
    terms.append(_combine_terms(left, right, combine))
  return Series((primal, *terms), like.collapsed)


def _combine_terms(left, right, combine):
  if left is None and right is None:
    return None
  if left is None:
    return right if combine is tf.add else -right
  return left if right is None else combine(left, right)


def _integral_term(x, slope, k):
  """`y_k = 1/k sum_(j>0) j x_j slope_(k-j)`."""
  return product_term(
    tf.multiply,
    x.coefficients,
    slope,
    k,
    x.collapses(k),
    range(1, k + 1),
    lambda j: j / k,
  )


def _square_term(y, k, factor):
  """`factor` times coefficient k > 0 of y^2; each product is made once."""
  pairs = product_term(
    tf.multiply, y, y[: k + 1], k, False, range((k + 1) // 2)
  )
  pairs = scaled(pairs, 2 * factor)
  middle = y[k // 2] if k % 2 == 0 else None
  return total(
    [pairs, None if middle is None else scaled(tf.square(middle), factor)]
  )


def _negative(term):
  return None if term is None else -term


def _constant(x, value):
  return tf.constant(value, x.primal.dtype)
