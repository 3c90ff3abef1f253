"""Rules of operations that move or add numbers up, axis by axis."""

import tensorflow as tf

from sobolev_tf.derivatives.programs import execute
from sobolev_tf.derivatives.series import (
  Series,
  aligned,
  as_series,
  first_series,
  primal_of,
)
from sobolev_tf.derivatives.taylor_rules.registry import (
  as_mask,
  count_of,
  linear_only,
  primal_output,
  rule,
  shaped_as,
  shifted_axes,
  zeros_for,
)


@rule("Reshape", "ExpandDims", "Squeeze")
def _reshape(op, inputs):
  linear_only(inputs, 0)
  primal = primal_output(op, inputs)
  return [inputs[0].map(lambda term: shaped_as(term, primal), primal)]


@rule("Cast")
def _cast(op, inputs):
  primal = primal_output(op, inputs)
  if not primal.dtype.is_floating:
    return [primal]
  return [inputs[0].map(lambda term: tf.cast(term, primal.dtype), primal)]


@rule("Transpose")
def _transpose(op, inputs):
  perm = tf.concat([[0], inputs[1] + 1], axis=0)
  primal = primal_output(op, inputs)
  return [inputs[0].map(lambda term: tf.transpose(term, perm), primal)]


@rule("Sum", "Mean")
def _reduce(op, inputs):
  axes, keep = shifted_axes(inputs[1]), op.get_attr("keep_dims")
  reduce = tf.reduce_sum if op.type == "Sum" else tf.reduce_mean

  def apply(term):
    return reduce(term, axis=axes, keepdims=keep)

  return [inputs[0].map(apply, primal_output(op, inputs))]


@rule("Max", "Min")
def _reduce_extreme(op, inputs):
  x, axes, keep = inputs[0], inputs[1], op.get_attr("keep_dims")
  reduce = tf.reduce_max if op.type == "Max" else tf.reduce_min
  best = reduce(x.primal, axis=axes, keepdims=True)
  chosen = as_mask(tf.equal(x.primal, best), x.primal)
  # Ties share, as in TensorFlow's gradient.
  chosen = chosen / tf.reduce_sum(chosen, axis=axes, keepdims=True)

  def apply(term):
    return tf.reduce_sum(term * chosen, axis=shifted_axes(axes), keepdims=keep)

  return [x.map(apply, primal_output(op, inputs))]


@rule("BroadcastTo")
def _broadcast(op, inputs):
  primal = primal_output(op, inputs)

  def apply(term):
    shape = tf.concat([tf.shape(term)[:1], tf.shape(primal)], axis=0)
    return tf.broadcast_to(aligned(term, primal.shape.rank), shape)

  return [inputs[0].map(apply, primal)]


@rule("Tile")
def _tile(op, inputs):
  multiples = tf.concat([[1], inputs[1]], axis=0)
  primal = primal_output(op, inputs)
  return [inputs[0].map(lambda term: tf.tile(term, multiples), primal)]


@rule("Pad", "PadV2", "MirrorPad")
def _pad(op, inputs):
  linear_only(inputs, 0)
  paddings = tf.pad(inputs[1], [[1, 0], [0, 0]])
  mode = "CONSTANT"
  if op.type == "MirrorPad":
    mode = op.get_attr("mode").decode()
  primal = primal_output(op, inputs)
  return [inputs[0].map(lambda term: tf.pad(term, paddings, mode), primal)]


@rule("Slice")
def _slice(op, inputs):
  begin = tf.concat([[0], inputs[1]], axis=0)
  size = tf.concat([[-1], inputs[2]], axis=0)
  primal = primal_output(op, inputs)
  return [inputs[0].map(lambda term: tf.slice(term, begin, size), primal)]


@rule("StridedSlice")
def _strided_slice(op, inputs):
  value, begin, end, strides = inputs
  masks = {
    name: op.get_attr(name) << 1
    for name in ("ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
  }
  masks.update(
    {name: op.get_attr(name) << 1 | 1 for name in ("begin_mask", "end_mask")}
  )
  begin, end = (tf.concat([[0], part], axis=0) for part in (begin, end))
  strides = tf.concat([[1], strides], axis=0)

  def apply(term):
    return tf.strided_slice(term, begin, end, strides, **masks)

  return [value.map(apply, primal_output(op, inputs))]


@rule("GatherV2")
def _gather(op, inputs):
  linear_only(inputs, 0)
  if op.get_attr("batch_dims"):
    raise NotImplementedError("GatherV2 with batch_dims")
  value, indices, axis = inputs
  axis = shifted_axes(axis)

  def apply(term):
    return tf.gather(term, indices, axis=axis)

  return [value.map(apply, primal_output(op, inputs))]


@rule("ConcatV2")
def _concat(op, inputs):
  axis = shifted_axes(inputs[-1])
  return [
    _joined(op, inputs, inputs[:-1], lambda terms: tf.concat(terms, axis))
  ]


@rule("Pack")
def _pack(op, inputs):
  axis = shifted_axes(op.get_attr("axis"))
  return [_joined(op, inputs, inputs, lambda terms: tf.stack(terms, axis))]


def _joined(op, inputs, values, join):
  like = first_series(values)
  values = [as_series(value, like) for value in values]
  coefficients = [primal_output(op, inputs)]
  for k in range(1, like.order + 1):
    terms = [value.coefficients[k] for value in values]
    known = next((term for term in terms if term is not None), None)
    if known is None:
      coefficients.append(None)
      continue
    filled = [
      zeros_for(value.primal, count_of(known)) if term is None else term
      for value, term in zip(values, terms, strict=True)
    ]
    coefficients.append(join(filled))
  return Series(tuple(coefficients), like.collapsed)


@rule("Split", "SplitV", "Unpack")
def _split_up(op, inputs):
  if op.type == "Unpack":
    value, axis = inputs[0], shifted_axes(op.get_attr("axis"))

    def apply(term):
      return tf.unstack(term, op.get_attr("num"), axis)
  elif op.type == "Split":
    value, axis = inputs[1], shifted_axes(inputs[0])

    def apply(term):
      return tf.split(term, op.get_attr("num_split"), axis)
  else:
    value, axis = inputs[0], shifted_axes(inputs[2])

    def apply(term):
      return tf.split(term, inputs[1], axis, op.get_attr("num_split"))

  primals = execute(op, [primal_of(part) for part in inputs])
  parts = [
    [None] * len(primals) if term is None else apply(term)
    for term in value.coefficients[1:]
  ]
  return [
    Series((primal, *terms), value.collapsed)
    for primal, *terms in zip(primals, *parts, strict=True)
  ]
