"""Taylor mode: derivatives along directions at a cost linear in the order.

A truncated Taylor series goes through f operation by operation (Griewank &
Walther, "Evaluating Derivatives", 2008, chapter 13; Bettencourt et al.,
"Taylor-Mode Automatic Differentiation for Higher-Order Derivatives in JAX",
2019). Order 1 is forward mode. All of it can be differentiated again, w.r.t.
parameters too.
"""

import math
import typing

import tensorflow as tf

from sobolev_tf.derivatives.arguments import (
  as_real,
  check_function,
  check_whole,
)
from sobolev_tf.derivatives.inputs import as_input, with_shape
from sobolev_tf.derivatives.line_tapes import (
  derivatives_along_line,
  series_of_operation,
)
from sobolev_tf.derivatives.moments import twice_differentiable
from sobolev_tf.derivatives.programs import Program, execute
from sobolev_tf.derivatives.series import Series, spread
from sobolev_tf.derivatives.taylor_rules import RULES
from sobolev_tf.derivatives.taylor_rules.registry import filled


class Explanation(typing.NamedTuple):
  """How `jet` went through f.

  Attributes:
    by_rule: types of the operations that have a Taylor rule.
    by_tapes: one line for each operation without one, which was
      differentiated by nested tapes: twice the cost with every
      order, of this operation alone.
    whole: None, or why all of f was differentiated so.
  """

  by_rule: tuple
  by_tapes: tuple
  whole: str | None


def jet(
  f: typing.Callable,
  x: typing.Any,
  direction: typing.Any,
  order: int,
  *,
  explain: bool = False,
) -> tuple:
  """Computes f and its first K derivatives along a direction.

  The cost is 1 + K products per layer, where nested differentiation doubles
  with every order. Operations that have no Taylor rule are differentiated by
  nested tapes, see `explain`.

  Args:
    f: callable of one tensor `[B, *in]` that returns `[B, *out]`: a Sonnet
      module, a Keras model, or a function of TensorFlow operations. It is
      traced at every call: call `jet` inside a `tf.function`.
    x: floating tensor `[B, *in]`.
    direction: `[B, *in]`, or `[B, P, *in]` for P directions, which share f(x).
    order: highest order K >= 1.
    explain: whether to return an `Explanation` as well.

  Returns:
    Tuple `(f(x), d1, ..., dK)`, where `dk = (d/dt)^k f(x + t v)` at t = 0,
    `[B, *out]`, or `[B, P, *out]`. With `explain`: (that tuple, `Explanation`).

  Raises:
    ValueError: an argument does not fit, or f(x) does not depend on x through
      differentiable operations.
  """
  check_function(f)
  x, direction, stacked = _check_arguments(x, direction, order)
  seeds = tf.experimental.numpy.moveaxis(direction, 1, 0)  # [P, B, *in]
  log = []
  try:
    (output,) = push(f, x, seeds, order, log=log)
    whole = None
  except NotImplementedError as error:
    output, whole = _whole_series(f, x, seeds, order), str(error)
  _check_dependence(output, x)
  terms = [output.primal]
  for k in range(1, order + 1):
    term = tf.experimental.numpy.moveaxis(derivative_term(output, k), 0, 1)
    terms.append(term if stacked else tf.squeeze(term, axis=1))
  if not explain:
    return tuple(terms)
  return tuple(terms), _explain(log, whole)


def laplacian(f: typing.Callable, x: typing.Any) -> tuple[tf.Tensor, tf.Tensor]:
  """Computes f(x) and the sum of its unmixed second derivatives.

  The sum travels through f as one term (the collapsed rule), so that D inputs
  cost 2 + D products per layer instead of 1 + 2 D.

  Args:
    f: as in `jet`.
    x: floating tensor `[B, *in]`, the shape of one x known.

  Returns:
    Pair `(f(x), sum_i d^2 f / d x_i^2)`, both `[B, *out]`.

  Raises:
    ValueError: as in `jet`.
  """
  check_function(f)
  x = as_input(x)
  (output,) = push(f, x, basis(x), 2, collapsed=True)
  _check_dependence(output, x)
  return output.primal, derivative_term(output, 2)[0]


def divergence(
  f: typing.Callable, x: typing.Any
) -> tuple[tf.Tensor, tf.Tensor]:
  """Computes f(x) and the sum of `d f_i / d x_i`.

  Args:
    f: callable of `[B, *in]` that returns `[B, *in]`; else as in `jet`.
    x: floating tensor `[B, *in]`, the shape of one x known.

  Returns:
    Pair `(f(x) [B, *in], divergence [B])`.

  Raises:
    ValueError: as in `jet`, or f(x) is not shaped as x.
  """
  check_function(f)
  x = as_input(x)
  (output,) = push(f, x, basis(x), 1)
  _check_dependence(output, x)
  if not output.primal.shape.is_compatible_with(x.shape):
    raise ValueError(
      f"f(x) must have the shape of x, {x.shape}, to have a divergence, but "
      f"it has shape {output.primal.shape}."
    )
  count = x.shape[1:].num_elements()
  rows = tf.reshape(derivative_term(output, 1), [count, -1, count])
  return output.primal, tf.einsum("ibi->b", rows)


def forward_jacobian(
  f: typing.Callable, x: typing.Any, strict: bool = False
) -> tuple[list, tf.Tensor]:
  """Computes f(x) and the Jacobian of its last output, in forward mode.

  One pass for each input, however many outputs f has.

  Args:
    f: callable of `[B, *in]` that returns a tensor or a sequence of them.
    x: floating tensor `[B, *in]`, the shape of one x known.
    strict: whether to refuse operations without a Taylor rule.

  Returns:
    Pair of the list of f's outputs and the last one's Jacobian `[B, *out,
    *in]`.

  Raises:
    NotImplementedError: f cannot be traced, or an operation without a rule.
  """
  outputs = push(f, x, basis(x), 1, strict=strict)
  *lower, last = [
    o if isinstance(o, Series) else Series((o, None)) for o in outputs
  ]
  term = derivative_term(last, 1, x.shape[1:].num_elements())
  jacobian = tf.experimental.numpy.moveaxis(term, 0, -1)
  shape = tf.concat([tf.shape(last.primal), tf.shape(x)[1:]], axis=0)
  jacobian = with_shape(
    tf.reshape(jacobian, shape), last.primal.shape.concatenate(x.shape[1:])
  )
  return [series.primal for series in (*lower, last)], jacobian


@tf.autograph.experimental.do_not_convert
def push(
  f: typing.Callable,
  x: typing.Any,
  seeds: typing.Sequence,
  order: int,
  collapsed: bool = False,
  strict: bool = False,
  log: list | None = None,
) -> list:
  """Sends the series of x + t v through f.

  Args:
    f: callable of one tensor that returns a tensor or a sequence of them.
    x: `[B, *in]`.
    seeds: the directions, `[P, B, *in]`, or `[P, 1, *in]` if every example has
      the same.
    order: K.
    collapsed: whether to sum the highest term over the directions.
    strict: whether to refuse operations without a rule.
    log: list that receives (operation, None or why it has no rule).

  Returns:
    List of the outputs: a `Series`, or a tensor where x has no influence.

  Raises:
    NotImplementedError: f cannot be traced, or an operation can neither be
      pushed through nor run again.
    ValueError: an operation has no derivative.
  """
  try:
    program = Program(f, x)
  except tf.errors.OperatorNotAllowedInGraphError as error:
    raise NotImplementedError("f uses Python control flow") from error
  start = Series((x, seeds, *[None] * (order - 1)), collapsed and order > 1)
  log = [] if log is None else log

  def apply(op, inputs):
    if not any(isinstance(value, Series) for value in inputs):
      return execute(op, inputs)
    return _apply_rule(op, filled(op, inputs), strict, log)

  return program.run(start, apply)


def derivative_term(
  series: Series | tf.Tensor, k: int, count: int | tf.Tensor | None = None
) -> tf.Tensor:
  """The k-th derivatives, `[P, *s]`, of P = `count` directions if all zero."""
  term = series.coefficients[k]
  if term is None:
    count = 1 if count is None else count
    shape = tf.concat([[count], tf.shape(series.primal)], axis=0)
    return tf.zeros(shape, series.primal.dtype)
  term = spread(term, series.primal)
  return term if k < 2 else term * math.factorial(k)


def basis(x: typing.Any) -> tf.Tensor:
  """The directions of all inputs, for any example: `[D, 1, *in]`."""
  inputs = x.shape[1:]
  if not inputs.is_fully_defined():
    raise ValueError(
      f"the shape of one x must be known, but x has shape {x.shape}."
    )
  count = inputs.num_elements()
  return tf.reshape(tf.eye(count, dtype=x.dtype), [count, 1, *inputs])


def _check_arguments(x, direction, order):
  """x, the directions as `[B, P, *in]`, and whether they came so."""
  check_whole("order", order, 1)
  x = as_input(x)
  direction = tf.cast(as_real("direction", direction), x.dtype)
  stacked = direction.shape.rank == x.shape.rank + 1
  if not stacked:
    direction = direction[:, tf.newaxis] if direction.shape.rank else direction
  wanted = x.shape[:1].concatenate([None]).concatenate(x.shape[1:])
  if not direction.shape.is_compatible_with(wanted):
    raise ValueError(
      f"direction must have the shape of x, {x.shape}, or {wanted} for several "
      f"directions, but it has shape {direction.shape}."
    )
  return x, direction, stacked


def _check_dependence(output, x):
  if not isinstance(output, Series):
    raise ValueError(
      f"f(x) does not depend on x (shape {x.shape}) through differentiable "
      "TensorFlow operations, so it has no derivatives; for a function outside "
      "TensorFlow use finite_differences."
    )


def _apply_rule(op, inputs, strict, log):
  reason = f"{op.type} has no Taylor rule"
  rule = RULES.get(op.type)
  try:
    if rule is not None:
      outputs = rule(op, inputs)
      log.append((op, None))
      return outputs
  except NotImplementedError as error:
    reason = f"{op.type}: {error}"
  if not any(tensor.dtype.is_floating for tensor in op.outputs):
    # A comparison, a shape, an index: no derivative to lose.
    return execute(
      op, [v.primal if isinstance(v, Series) else v for v in inputs]
    )
  if strict:
    raise NotImplementedError(reason)
  log.append((op, reason))
  return series_of_operation(op, inputs)


def _whole_series(f, x, seeds, order):
  """The series of f(x) by nested tapes, one direction at a time."""
  count = seeds.shape[0]
  if count is None:
    raise ValueError(
      "the number of directions must be known where f has to be differentiated "
      "by nested tapes; give direction a fixed shape."
    )
  mended = twice_differentiable(f, x, order)
  rows = [
    derivatives_along_line(
      lambda t, v=v: [mended(x + t * v)], x.dtype, order, "f(x)"
    )
    for v in tf.unstack(seeds, count)
  ]
  primal = rows[0][0][0]
  terms = [
    tf.stack([row[k][0] for row in rows]) / math.factorial(k)
    for k in range(1, order + 1)
  ]
  return Series((primal, *terms))


def _explain(log, whole):
  return Explanation(
    tuple(sorted({op.type for op, reason in log if reason is None})),
    tuple(f"{op.name}: {reason}" for op, reason in log if reason is not None),
    whole,
  )
