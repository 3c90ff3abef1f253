"""The table of rules, and what they share."""

import typing

import tensorflow as tf

from sobolev_tf.derivatives.inputs import with_shape
from sobolev_tf.derivatives.programs import execute
from sobolev_tf.derivatives.series import Series, primal_of, spread

RULES = {}

# Elementwise, so that terms `[P, 1, ...]`, the same for every example, stay so.
_ELEMENTWISE = frozenset(
  "Add AddV2 BiasAdd Cast Exp Identity LeakyRelu Mul Neg Relu Sigmoid Softplus "
  "Square Sub Tanh".split()
)


def rule(*types) -> typing.Callable:
  """Registers a function of (operation, inputs) for types of operations."""

  def register(function):
    RULES.update(dict.fromkeys(types, function))
    return function

  return register


def primal_output(op: tf.Operation, inputs: typing.Sequence) -> tf.Tensor:
  """The operation's only output at the primals."""
  return execute(op, [primal_of(value) for value in inputs])[0]


def linear_only(inputs: typing.Sequence, position: int) -> None:
  """Refuses series in inputs in which the operation is not linear."""
  for number, value in enumerate(inputs):
    if isinstance(value, Series) and number != position:
      raise NotImplementedError(f"input {number} depends on x")


def shifted_axes(axis: typing.Any) -> typing.Any:
  """Axes of `[*s]` as axes of `[P, *s]`; negative ones stay."""
  if isinstance(axis, int):
    return axis + 1 if axis >= 0 else axis
  known = tf.get_static_value(axis)
  if known is None:
    return tf.where(axis >= 0, axis + 1, axis)
  return (known + (known >= 0)).tolist()


def shaped_as(term: tf.Tensor, primal: tf.Tensor) -> tf.Tensor:
  """`[P, ...]` as `[P, *primal's shape]`."""
  return split_batch(term, count_of(term), primal)


def count_of(term: tf.Tensor) -> int | tf.Tensor:
  """P, as a number if it is known."""
  return tf.shape(term)[0] if term.shape[0] is None else term.shape[0]


def join_batch(term: tf.Tensor) -> tf.Tensor:
  """`[P, B, ...]` as `[P B, ...]`."""
  return tf.reshape(term, tf.concat([[-1], tf.shape(term)[2:]], axis=0))


def split_batch(
  joined: tf.Tensor, count: int | tf.Tensor, primal: tf.Tensor
) -> tf.Tensor:
  """Numbers of P directions as `[P, *primal's shape]`."""
  shape = tf.concat([[count], tf.shape(primal)], axis=0)
  result = tf.reshape(joined, shape)
  known = tf.TensorShape([tf.get_static_value(count)])
  return with_shape(result, known.concatenate(primal.shape))


def repeated(primal: tf.Tensor, count: int | tf.Tensor) -> tf.Tensor:
  """`[B, ...]` as `[P B, ...]`."""
  ones = tf.ones([primal.shape.rank - 1], tf.int32)
  return tf.tile(primal, tf.concat([[count], ones], axis=0))


def zeros_for(primal: tf.Tensor, count: int | tf.Tensor) -> tf.Tensor:
  """Zero terms `[P, *primal's shape]`."""
  shape = tf.concat([[count], tf.shape(primal)], axis=0)
  return tf.zeros(shape, primal.dtype)


def filled(op: tf.Operation, inputs: typing.Sequence) -> list:
  """The inputs as most rules want them: terms `[P, B, ...]`, not `[P, 1, ...]`.

  The directions of all inputs are the same for every example. What does not
  mix examples keeps them so, which makes a first layer as cheap as for one.
  """
  if op.type in _ELEMENTWISE:
    return list(inputs)
  if op.type == "MatMul" and not op.get_attr("transpose_a"):
    if not isinstance(inputs[1], Series):
      return list(inputs)
  return [_filled(v) if isinstance(v, Series) else v for v in inputs]


def _filled(value):
  def fill(term):
    same = term.shape[1:2] == [1] and value.primal.shape[:1] != [1]
    return spread(term, value.primal) if same else term

  return value.map(fill, value.primal)


def as_mask(condition: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
  """1 where the condition holds, else 0, in the dtype of `like`."""
  return tf.cast(condition, like.dtype)
