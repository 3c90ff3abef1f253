"""Truncated Taylor series of tensors along several directions at once.

A quantity u that depends on x has, along x + t v, the series
`u(t) = u_0 + u_1 t + ... + u_K t^K`, where `u_k` is the k-th directional
derivative divided by k!. u_0 does not depend on v: P directions share it.
"""

import typing

import tensorflow as tf

from sobolev_tf.derivatives.inputs import with_shape


class Series(typing.NamedTuple):
  """The coefficients of one tensor `[*s]` along P directions.

  Attributes:
    coefficients: `(u_0, u_1, ..., u_K)`: u_0 `[*s]`, the others `[P, *s]` or
      None for zero.
    collapsed: whether u_K is the sum over the directions, `[1, *s]`. Every
      rule is linear in the highest coefficient, so that its sum travels alone
      (Dangel et al., "Collapsing Taylor Mode Automatic Differentiation",
      2025).
  """

  coefficients: tuple
  collapsed: bool = False

  @property
  def primal(self) -> tf.Tensor:
    """u_0."""
    return self.coefficients[0]

  @property
  def order(self) -> int:
    """K."""
    return len(self.coefficients) - 1

  def map(self, function: typing.Callable, primal: tf.Tensor) -> "Series":
    """A series with `function` applied to u_1, ..., u_K."""
    terms = (None if c is None else function(c) for c in self.coefficients[1:])
    return self._replace(coefficients=(primal, *terms))

  def collapses(self, k: int) -> bool:
    """Whether coefficient k is a sum over the directions."""
    return self.collapsed and k == self.order

  def truncate(self) -> "Series":
    """The series of order K - 1, of which nothing is collapsed."""
    return Series(self.coefficients[:-1])


def primal_of(value: typing.Any) -> tf.Tensor:
  """u_0 of a series; a tensor that does not depend on x is its own."""
  return value.primal if isinstance(value, Series) else value


def as_series(value: typing.Any, like: "Series") -> Series:
  """A tensor that does not depend on x as a series."""
  if isinstance(value, Series):
    return value
  return Series((value, *[None] * like.order), like.collapsed)


def first_series(values: typing.Iterable) -> Series:
  """The first series among values, for its order."""
  return next(value for value in values if isinstance(value, Series))


def aligned(term: tf.Tensor, rank: int) -> tf.Tensor:
  """Gives `[P, *s]` axes of size 1 after P until *s has `rank` axes."""
  missing = rank + 1 - term.shape.rank
  if missing <= 0:
    return term
  shape = tf.shape(term)
  shape = tf.concat([shape[:1], [1] * missing, shape[1:]], axis=0)
  static = term.shape[:1].concatenate([1] * missing)
  return with_shape(tf.reshape(term, shape), static.concatenate(term.shape[1:]))


def spread(
  term: tf.Tensor, primal: tf.Tensor, other: tf.Tensor | None = None
) -> tf.Tensor:
  """Broadcasts `[P, *s]` to `[P, *primal's shape]`.

  Args:
    term: `[P, *s]`.
    primal: tensor that *s broadcasts to.
    other: shape of what *s was broadcast against, if that is known.
  """
  own = term.shape[1:]
  if own.is_fully_defined() and own == primal.shape:
    return term
  if other is not None and _covers(own, other):
    return term
  term = aligned(term, primal.shape.rank)
  shape = tf.concat([tf.shape(term)[:1], tf.shape(primal)], axis=0)
  return tf.broadcast_to(term, shape)


def _covers(own, other):
  """Whether `own` surely is the shape of both broadcast together."""
  if own.rank < other.rank:
    return False
  pairs = zip(reversed(own.as_list()), reversed(other.as_list()), strict=False)
  return all(e == 1 or d not in (None, 1) for d, e in pairs)


def total(terms: typing.Iterable) -> tf.Tensor | None:
  """The sum of terms, of which None is zero; None for none at all."""
  terms = [term for term in terms if term is not None]
  if not terms:
    return None
  result = terms[0]
  for term in terms[1:]:
    result = result + term
  return result


def scaled(term: tf.Tensor, factor: float) -> tf.Tensor:
  """`factor * term`; a factor of 1 costs nothing."""
  return term if term is None or factor == 1 else term * factor


def product_term(
  multiply: typing.Callable,
  a: "Series",
  b: "Series",
  k: int,
  collapse: bool,
  indices: typing.Iterable[int] | None = None,
  weights: typing.Callable | None = None,
) -> tf.Tensor | None:
  """One coefficient of a product: `sum_j w_j a_j b_(k-j)`.

  Args:
    multiply: bilinear function of two tensors: primals `[*s]` or coefficients
      `[P, *s]`.
    a: sequence of coefficients.
    b: sequence of coefficients; those up to k - min(j) are read alone.
    k: which coefficient.
    collapse: whether to sum over the directions.
    indices: the j to sum over; None means 0, ..., k.
    weights: function of j; None means 1.

  Returns:
    `[P, *s]` (`[1, *s]` if collapsed), or None for zero.
  """
  edges, inner = [], []
  for j in range(k + 1) if indices is None else indices:
    if a[j] is None or b[k - j] is None:
      continue
    pair = a[j], b[k - j]
    if multiply is tf.multiply:
      pair = of_one_rank(*pair)
    term = scaled(multiply(*pair), weights(j) if weights else 1)
    # Of a factor's own highest coefficient only the sum is there.
    (edges if j in (0, k) else inner).append(term)
  inner = total(inner)
  if inner is not None and collapse:
    inner = tf.reduce_sum(inner, axis=0, keepdims=True)
  return total([*edges, inner])


def of_one_rank(a: tf.Tensor, b: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """Gives a primal the axis P where P is 1.

  Both then have one shape, and their gradients need no sum over that axis.
  """
  if b.shape.rank == a.shape.rank + 1 and b.shape[0] == 1:
    return a[tf.newaxis], b
  if a.shape.rank == b.shape.rank + 1 and a.shape[0] == 1:
    return a, b[tf.newaxis]
  return a, b


def product(
  multiply: typing.Callable, a: "Series", b: "Series", primal: tf.Tensor
) -> Series:
  """The series of a bilinear operation on two series of equal order.

  Args:
    multiply: as in `product_term`.
    a: `Series`.
    b: `Series`.
    primal: the operation's value.
  """
  rank = max(a.primal.shape.rank, b.primal.shape.rank)
  a, b = (s.map(lambda term: aligned(term, rank), s.primal) for s in (a, b))
  terms = (
    product_term(multiply, a.coefficients, b.coefficients, k, a.collapses(k))
    for k in range(1, a.order + 1)
  )
  return Series((primal, *terms), a.collapsed)
