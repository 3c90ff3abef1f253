"""Derivatives along a line by nested tapes.

What `taylor.py` does with an operation that it has no rule for. Every order
multiplies the cost.
"""

import math
import typing

import tensorflow as tf

from sobolev_tf.derivatives.programs import execute
from sobolev_tf.derivatives.series import Series, first_series, primal_of


def derivatives_along_line(
  g: typing.Callable, dtype: tf.DType, order: int, name: str
) -> list:
  """Computes g(0), g'(0), ..., g^(K)(0) of a function of one number.

  Args:
    g: function of a scalar tensor that returns a list of floating tensors.
    dtype: of the scalar.
    order: K.
    name: what messages call g.

  Returns:
    List of K + 1 lists of tensors.

  Raises:
    ValueError: TensorFlow has no derivative of g.
  """
  try:
    return _along(g, tf.zeros([], dtype), order)
  except LookupError as error:
    raise ValueError(
      f"{name} has no derivative of order {order}: {error}; "
      "for a function outside TensorFlow use finite_differences."
    ) from error


def series_of_operation(op: tf.Operation, inputs: typing.Sequence) -> list:
  """The series of an operation's outputs, by nested tapes.

  Args:
    op: `tf.Operation`.
    inputs: list of tensors and `Series`.

  Returns:
    List of the outputs: `Series` where they are floating.

  Raises:
    NotImplementedError: the operation cannot be run again.
    ValueError: TensorFlow has no derivative of it.
  """
  like = first_series(inputs)
  primals = execute(op, [primal_of(value) for value in inputs])
  floating = [i for i, output in enumerate(primals) if output.dtype.is_floating]
  rows = []
  for p in range(_count(inputs)):

    def along(t, p=p):
      outputs = execute(op, [_at(value, p, t) for value in inputs])
      return [outputs[i] for i in floating]

    rows.append(
      derivatives_along_line(
        along, like.primal.dtype, like.order, f"the operation {op.name}"
      )
    )
  outputs = list(primals)
  for place, i in enumerate(floating):
    terms = []
    for k in range(1, like.order + 1):
      term = tf.stack([row[k][place] for row in rows]) / math.factorial(k)
      if like.collapses(k):
        term = tf.reduce_sum(term, axis=0, keepdims=True)
      terms.append(term)
    outputs[i] = Series((primals[i], *terms), like.collapsed)
  return outputs


def _along(g, t, order):
  if order == 0:
    return [list(g(t))]
  # Reverse mode gives w^T y'(t), which is linear in w with the slope y'(t):
  # two passes backward make one forward.
  with tf.GradientTape() as outer:
    with tf.GradientTape() as inner:
      inner.watch(t)
      lower = _along(g, t, order - 1)
    tops = lower[-1]
    ones = [tf.ones_like(top) for top in tops]
    outer.watch(ones)
    pulled_back = inner.gradient(tops, t, ones)
  if pulled_back is None and order == 1:
    raise LookupError("it does not depend on x through TensorFlow operations")
  if pulled_back is None:
    return [*lower, [tf.zeros_like(top) for top in tops]]
  zero = tf.UnconnectedGradients.ZERO
  return [*lower, outer.gradient(pulled_back, ones, None, zero)]


def _count(inputs):
  """The number of directions, which the first coefficients know."""
  for value in inputs:
    if isinstance(value, Series):
      for term in value.coefficients[1 : value.order + (not value.collapsed)]:
        if term is not None:
          if term.shape[0] is None:
            raise NotImplementedError("an unknown number of directions")
          return term.shape[0]
  return 1


def _at(value, p, t):
  """The polynomial of direction p at t; a collapsed term goes with p = 0."""
  if not isinstance(value, Series):
    return value
  result = None
  for k in range(value.order, 0, -1):
    term = value.coefficients[k]
    if term is not None and not (value.collapses(k) and p):
      result = term[p] if result is None else result + term[p]
    # Horner's rule: a power of t has no derivative at 0 in TensorFlow.
    result = None if result is None else result * t
  return value.primal if result is None else value.primal + result
