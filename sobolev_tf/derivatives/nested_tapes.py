"""Values and input derivatives of any callable, in full or projected.

"Differentiate the function" lives here; "compare derivatives" lives in
`losses.py`. Everything that these functions return can itself be
differentiated, w.r.t. parameters too: that is what Sobolev training needs.
"""

import typing

import tensorflow as tf
from tensorflow.python.ops import control_flow_util

from sobolev_tf.derivatives.arguments import (
  as_tensors,
  check_function,
  check_whole,
)
from sobolev_tf.derivatives.inputs import as_input, with_shape
from sobolev_tf.derivatives.moments import twice_differentiable
from sobolev_tf.derivatives.taylor import forward_jacobian

MODES = ("auto", "forward", "reverse")

# Up to this many rows a Jacobian is taken row by row. `batch_jacobian`, which
# vectorises over more of them, has a training gradient that XLA compiles anew
# at every call (seen in TensorFlow 2.21), so that a loop takes its place there.
_UNROLLED = 8


def derivatives(
  f: typing.Callable, x: typing.Any, order: int = 1, mode: str = "auto"
) -> tuple:
  """Computes f(x) and all its derivatives w.r.t. x up to `order`.

  The derivative targets and predictions of Sobolev training, Eq. (1) of the
  paper. Examples must be independent of each other: a network with
  BatchNormalization belongs in inference mode here, because in training mode
  an example's output depends on the whole batch.

  Each order differentiates the rows of the one before (outputs at order 1,
  outputs times inputs at order 2). Reverse mode takes one pass per row, forward
  mode one per input.

  Args:
    f: callable of one tensor `[B, *in]` that returns `[B, *out]`: a Sonnet
      module, a Keras model, or a function of TensorFlow operations.
    x: floating tensor `[B, *in]`.
    order: highest order K >= 0.
    mode: "forward", "reverse", or "auto": at each order the one that takes
      fewer passes; reverse where both take as many, where up to 8 rows are
      differentiated eagerly (forward mode traces f), or where f has an
      operation that forward mode has no rule for, see `jet`.

  Returns:
    Tuple `(f(x), D1, ..., DK)`; Dj has shape `[B, *out, *in, ..., *in]` with
    `*in` repeated j times.

  Raises:
    ValueError: x is not floating, the order is negative, there is no such
      mode, or f(x) does not depend on x through differentiable operations, or
      has another batch size than x.
  """
  check_function(f)
  check_whole("order", order, 0)
  if mode not in MODES:
    raise ValueError(
      f"mode must be one of {', '.join(MODES)}, but it is {mode!r}."
    )
  x = as_input(x)
  f = twice_differentiable(f, x, order)
  if x.shape.rank > 1:
    return _derivatives(f, x, order, mode)
  # Scalar inputs [B] travel as [B, 1]: Jacobians want an input axis.
  full = _derivatives(lambda z: f(z[:, 0]), x[:, tf.newaxis], order, mode)
  # No axis to drop from the value: `squeeze` would read [] as "all of them".
  return (full[0],) + tuple(
    tf.squeeze(term, axis=list(range(-j, 0)))
    for j, term in enumerate(full[1:], start=1)
  )


def projected_derivatives(
  f: typing.Callable, x: typing.Any, directions: typing.Sequence
) -> tuple:
  """Computes f(x) and its derivatives projected onto directions (Eq. 2).

  Each order projects the one before it and differentiates again (Figure 1b):
  `g1 = grad <f(x), v1>`, `g2 = grad <g1, v2>`, ... Each takes one backward
  pass however many outputs f has.

  Args:
    f: as in `derivatives`.
    x: floating tensor `[B, *in]`.
    directions: sequence `(v1, v2, ...)`; v1 is shaped as f(x), the later ones
      as x. To use P directions per example at once, give every one of them an
      axis of size P after the batch axis; then P backward passes per order
      share one forward pass.

  Returns:
    Tuple `(f(x), g1, g2, ...)`; each g has the shape of x, or `[B, P, *in]`
    for P directions.

  Raises:
    ValueError: as in `derivatives`, or a direction has the wrong shape.
  """
  check_function(f)
  x = as_input(x)
  directions = as_tensors("directions", directions)
  f = twice_differentiable(f, x, len(directions))
  if x.shape.rank > 1:
    return _projected(f, x, directions)
  directions = directions[:1] + [v[..., tf.newaxis] for v in directions[1:]]
  value, *terms = _projected(lambda z: f(z[:, 0]), x[:, tf.newaxis], directions)
  return (value, *(tf.squeeze(term, axis=-1) for term in terms))


def project(full: typing.Sequence, directions: typing.Sequence) -> tuple:
  """Projects full derivatives as `projected_derivatives` projects a function.

  This turns derivative labels that are given in full into the targets of the
  projected loss.

  Args:
    full: tuple `(y, D1, D2, ...)`, shaped as `derivatives` returns it.
    directions: as in `projected_derivatives`, one for each derivative in
      `full`. NaN (a missing label) spreads over the sum that it takes part in.

  Returns:
    Tuple `(y, g1, g2, ...)`.

  Raises:
    ValueError: there is not one direction for each derivative.
  """
  full = as_tensors("full", full)
  directions = as_tensors("directions", directions)
  if len(full) != len(directions) + 1:
    raise ValueError(
      f"project got {len(full) - 1} derivative(s) and {len(directions)} "
      "direction(s); it needs one direction for each derivative."
    )
  stacked = bool(directions) and _is_stacked(directions[0], full[0])
  projections = [full[0]]
  for order, term in enumerate(full[1:], start=1):
    if stacked:
      term = tf.expand_dims(term, 1)  # [B, 1, *out, *in, ...]
    for number, v in enumerate(directions[:order], start=1):
      term = _contract(term, v, number, kept=2 if stacked else 1)
    projections.append(term)
  return tuple(projections)


def value_of(f: typing.Callable, x: typing.Any) -> tf.Tensor:
  """f(x), refused where it is not floating or lacks the batch axis."""
  value = tf.convert_to_tensor(f(x))
  if not value.dtype.is_floating:
    raise ValueError(
      f"f(x) must be floating to be differentiated, but its dtype is "
      f"{value.dtype.name}."
    )
  if value.shape.rank == 0 or not value.shape[:1].is_compatible_with(
    x.shape[:1]
  ):
    raise ValueError(
      f"f(x) must keep the batch axis of x {x.shape}, but f(x) has shape "
      f"{value.shape}."
    )
  return value


def _derivatives(f, x, order, mode):
  if order == 0:
    return (value_of(f, x),)
  if mode == "forward":
    return _forward(f, x, order, mode)
  with tf.GradientTape(persistent=True) as tape:
    tape.watch(x)
    lower = _derivatives(f, x, order - 1, mode)
    rows = tf.reshape(lower[-1], [tf.shape(x)[0], -1])  # [B, M]
    rows = with_shape(rows, [None, lower[-1].shape[1:].num_elements()])
  if mode == "auto" and _forward_is_cheaper(rows, x):
    try:
      return _forward(f, x, order, mode)
    except NotImplementedError:
      pass  # An operation without a rule: tapes know it.
  flat = _jacobian(tape, rows, x, order)  # [B, M, *in]
  shape = tf.concat([tf.shape(lower[-1]), tf.shape(x)[1:]], axis=0)
  derivative = tf.reshape(flat, shape)
  derivative.set_shape(lower[-1].shape.concatenate(x.shape[1:]))
  return lower + (derivative,)


def _forward_is_cheaper(rows, x):
  """Whether forward mode takes fewer passes to differentiate rows `[B, M]`."""
  inputs, outputs = x.shape[1:].num_elements(), rows.shape[1]
  if inputs is None or outputs is None:
    return False
  if tf.executing_eagerly() and outputs <= _UNROLLED:
    return False
  return inputs < outputs


def _forward(f, x, order, mode):
  """The highest of the orders in forward mode, those below it as they come."""
  lower, derivative = forward_jacobian(
    lambda z: _derivatives(f, z, order - 1, mode), x, strict=mode == "auto"
  )
  return (*lower, derivative)


def _projected(f, x, directions):
  if not directions:
    return (value_of(f, x),)
  with tf.GradientTape(persistent=True) as tape:
    tape.watch(x)
    lower = _projected(f, x, directions[:-1])
    order = len(directions)
    v, term = tf.cast(directions[-1], lower[-1].dtype), lower[-1]
    stacked = _is_stacked(directions[0], lower[0])
    if order == 1 and stacked:
      term = tf.expand_dims(term, 1)  # [B, 1, *out] against v [B, P, *out]
    _check_direction(v, term, order, stacked)
    kept = 2 if stacked else 1
    axes = list(range(kept, v.shape.rank))
    rows = tf.reduce_sum(term * v, axis=axes)  # [B] or [B, P]
    if not stacked:
      rows = tf.expand_dims(rows, 1)  # [B, 1]
  gradient = _jacobian(tape, rows, x, order)  # [B, P or 1, *in]
  if not stacked:
    gradient = tf.squeeze(gradient, axis=1)
  return lower + (gradient,)


def _is_stacked(first_direction, value):
  return first_direction.shape.rank == value.shape.rank + 1


def _check_direction(v, term, order, stacked):
  wanted = term.shape
  if stacked and order == 1:
    wanted = wanted[:1].concatenate(v.shape[1:2]).concatenate(wanted[2:])
  if not v.shape.is_compatible_with(wanted):
    of = "f(x)" if order == 1 else "x"
    raise ValueError(
      f"direction {order} must have the shape of {of}, {wanted}, but it has "
      f"shape {v.shape}."
    )


def _jacobian(tape, rows, x, order):
  """Differentiates rows `[B, M]`, example by example: `[B, M, *in]`."""
  count = rows.shape[1]
  try:
    # Examples are independent, so the gradient of the sum over the batch holds
    # each example's own gradient.
    if count is not None and count <= _UNROLLED:
      gradients = [
        tape.gradient(
          rows,
          x,
          tf.zeros_like(rows) + tf.one_hot(row, count, dtype=rows.dtype),
        )
        for row in range(count)
      ]
    else:
      gradients = [tape.gradient(rows, x)]  # only to see whether there is one
  except LookupError as error:
    raise ValueError(
      f"f uses an operation without a derivative of order {order}: {error}"
    ) from error
  if all(gradient is None for gradient in gradients):
    if order == 1:
      raise ValueError(
        f"f(x) does not depend on x (shape {x.shape}) through differentiable "
        "TensorFlow operations, so it has no gradient; for a function outside "
        "TensorFlow use finite_differences."
      )
    # The derivative below does not depend on x: f is a polynomial of lower
    # degree (a linear layer, say), and this derivative is exactly zero.
    shape = tf.concat([tf.shape(rows), tf.shape(x)[1:]], axis=0)
    return tf.zeros(shape, x.dtype)
  if len(gradients) == count:
    return tf.stack(
      [tf.zeros_like(x) if g is None else g for g in gradients], axis=1
    )
  if _is_for_xla():
    return _row_by_row(tape, rows, x)
  return tape.batch_jacobian(rows, x)


def _is_for_xla():
  """Whether what is traced here belongs to a `jit_compile` function."""
  return control_flow_util.GraphOrParentsInXlaContext(
    tf.compat.v1.get_default_graph()
  )


def _row_by_row(tape, rows, x):
  """The Jacobian by a loop, whose own gradient XLA compiles only once."""

  def differentiate(row):
    return tape.gradient(rows, x, tf.broadcast_to(row, tf.shape(rows)))

  each = tf.map_fn(differentiate, tf.eye(tf.shape(rows)[1], dtype=rows.dtype))
  jacobian = tf.experimental.numpy.moveaxis(each, 0, 1)
  return with_shape(jacobian, rows.shape.concatenate(x.shape[1:]))


def _contract(term, v, number, kept):
  """Sums `term` `[B, (P,) *a, *rest]` over `*a` against `v` `[B, (P,) *a]`."""
  v = tf.cast(v, term.dtype)
  wanted = v.shape[:kept].concatenate(term.shape[kept : v.shape.rank])
  if not (
    v.shape.is_compatible_with(wanted)
    and v.shape[:1].is_compatible_with(term.shape[:1])
  ):
    raise ValueError(
      f"direction {number} has shape {v.shape}, which does not fit a "
      f"derivative whose remaining axes are {term.shape}."
    )
  extra = term.shape.rank - v.shape.rank
  shape = tf.concat([tf.shape(v), tf.ones([extra], tf.int32)], axis=0)
  axes = list(range(kept, v.shape.rank))
  return tf.reduce_sum(term * tf.reshape(v, shape), axis=axes)
