"""Rules of matrix products, convolutions, pooling and normalisation."""

import tensorflow as tf

from sobolev_tf.derivatives import series_functions as functions
from sobolev_tf.derivatives.inputs import with_shape
from sobolev_tf.derivatives.programs import execute
from sobolev_tf.derivatives.series import (
  Series,
  as_series,
  first_series,
  primal_of,
  product,
  product_term,
)
from sobolev_tf.derivatives.taylor_rules.registry import (
  RULES,
  count_of,
  join_batch,
  linear_only,
  primal_output,
  repeated,
  rule,
  split_batch,
)

# Up to this many directions an operation of any layout is repeated.
_UNROLLED = 8


@rule("MatMul")
def _matmul(op, inputs):
  a_turned, b_turned = op.get_attr("transpose_a"), op.get_attr("transpose_b")
  return [_matrix_product(op, inputs, a_turned, b_turned)]


@rule("BatchMatMulV2", "BatchMatMulV3", "BatchMatMul")
def _batch_matmul(op, inputs):
  return [
    _matrix_product(op, inputs, op.get_attr("adj_x"), op.get_attr("adj_y"))
  ]


def _matrix_product(op, inputs, a_turned, b_turned):
  def multiply(a, b):
    if a.shape.rank > 2 and b.shape.rank == 2 and not a_turned:
      # One large product instead of one for each direction.
      rows = tf.reshape(a, [-1, a.shape[-1] or tf.shape(a)[-1]])
      columns = tf.matmul(rows, b, transpose_b=b_turned)
      shape = tf.concat([tf.shape(a)[:-1], tf.shape(columns)[-1:]], axis=0)
      result = tf.reshape(columns, shape)
      return with_shape(result, a.shape[:-1].concatenate(columns.shape[-1:]))
    return tf.matmul(a, b, transpose_a=a_turned, transpose_b=b_turned)

  like = first_series(inputs)
  a, b = (as_series(value, like) for value in inputs)
  return product(multiply, a, b, primal_output(op, inputs))


@rule("Einsum")
def _einsum(op, inputs):
  equation = op.get_attr("equation").decode()
  if len(inputs) > 2:
    raise NotImplementedError("Einsum of more than two operands")
  operands, result = equation.replace(" ", "").split("->")
  operands = operands.split(",")
  letter = next(c for c in "PQRSTUVWXYZ" if c not in equation)
  primal = primal_output(op, inputs)
  if len(inputs) == 1:
    lifted = f"{letter}{operands[0]}->{letter}{result}"
    return [inputs[0].map(lambda term: tf.einsum(lifted, term), primal)]
  ranks = [primal_of(value).shape.rank for value in inputs]

  def multiply(a, b):
    lifts = [
      letter if tensor.shape.rank > rank else ""
      for tensor, rank in zip((a, b), ranks, strict=True)
    ]
    sides = ",".join(x + y for x, y in zip(lifts, operands, strict=True))
    return tf.einsum(f"{sides}->{letter}{result}", a, b)

  like = first_series(inputs)
  a, b = (as_series(value, like) for value in inputs)
  # Ranks tell primals and terms apart, so nothing may be aligned here.
  terms = [
    product_term(multiply, a.coefficients, b.coefficients, k, like.collapses(k))
    for k in range(1, like.order + 1)
  ]
  return [Series((primal, *terms), like.collapsed)]


# Linear operations on a batch: the directions join its axis.
def _in_batch(position, *batch_sizes):
  """A rule for an operation that is linear in one input `[B, ...]`.

  Args:
    position: which input.
    *batch_sizes: inputs that hold B in front, as a shape does.
  """

  def apply_rule(op, inputs):
    linear_only(inputs, position)
    value = inputs[position]

    def apply(term):
      count = count_of(term)
      arguments = list(inputs)
      for size in batch_sizes:
        arguments[size] = tf.concat(
          [inputs[size][:1] * count, inputs[size][1:]], axis=0
        )
      arguments[position] = join_batch(term)
      return split_batch(execute(op, arguments)[0], count, primal)

    primal = primal_output(op, inputs)
    return [value.map(apply, primal)]

  return apply_rule


RULES.update(
  Conv2D=_in_batch(0),
  Conv3D=_in_batch(0),
  DepthwiseConv2dNative=_in_batch(0),
  AvgPool=_in_batch(0),
  AvgPool3D=_in_batch(0),
  DepthToSpace=_in_batch(0),
  SpaceToDepth=_in_batch(0),
  ResizeBilinear=_in_batch(0),
  ResizeNearestNeighbor=_in_batch(0),
  Conv2DBackpropInput=_in_batch(2, 0),
  Conv3DBackpropInputV2=_in_batch(2, 0),
  DepthwiseConv2dNativeBackpropInput=_in_batch(2, 0),
  AvgPoolGrad=_in_batch(1, 0),
)


def _unrolled(position):
  """A rule for an operation that is linear in one input, of any layout."""

  def apply_rule(op, inputs):
    linear_only(inputs, position)

    def run(part):
      arguments = [*inputs[:position], part, *inputs[position + 1 :]]
      return execute(op, arguments)[0]

    def apply(term):
      if term.shape[0] is None or term.shape[0] > _UNROLLED:
        return tf.vectorized_map(run, term)
      return tf.stack([run(part) for part in tf.unstack(term)])

    return [inputs[position].map(apply, primal_output(op, inputs))]

  return apply_rule


RULES.update(
  dict.fromkeys(
    (
      "SpaceToBatchND",
      "BatchToSpaceND",
      "Cumsum",
      "ReverseV2",
      "Roll",
      "GatherNd",
      "MatrixBandPart",
      "MatrixDiagV3",
      "MatrixDiagPartV3",
      "UnsortedSegmentSum",
    ),
    _unrolled(0),
  ),
  ScatterNd=_unrolled(1),
  StridedSliceGrad=_unrolled(4),
)


@rule("MaxPool")
def _max_pool(op, inputs):
  x, primal = inputs[0], primal_output(op, inputs)

  def chosen(term):
    count = count_of(term)
    result = tf.raw_ops.MaxPoolGradGrad(
      orig_input=repeated(x.primal, count),
      orig_output=repeated(primal, count),
      grad=join_batch(term),
      ksize=op.get_attr("ksize"),
      strides=op.get_attr("strides"),
      padding=op.get_attr("padding"),
      data_format=op.get_attr("data_format"),
    )
    return split_batch(result, count, primal)

  return [x.map(chosen, primal)]


@rule("MaxPoolGrad")
def _max_pool_grad(op, inputs):
  # The choice of the largest does not change around a point.
  before, after = (primal_of(value) for value in inputs[:2])
  primal = primal_output(op, inputs)
  if not isinstance(inputs[2], Series):
    return [primal]

  def sent_back(term):
    count = count_of(term)
    arguments = [
      repeated(before, count),
      repeated(after, count),
      join_batch(term),
    ]
    return split_batch(execute(op, arguments)[0], count, primal)

  return [inputs[2].map(sent_back, primal)]


@rule("FusedBatchNormV3")
def _batch_norm(op, inputs):
  if op.get_attr("is_training"):
    raise NotImplementedError("FusedBatchNormV3 in training mode")
  linear_only(inputs, 0)
  x, gamma, _, _, variance = inputs
  slope = gamma * tf.math.rsqrt(variance + op.get_attr("epsilon"))
  if op.get_attr("data_format") != b"NHWC":
    slope = tf.reshape(slope, [-1] + [1] * (x.primal.shape.rank - 2))
  outputs = execute(op, [x.primal, *inputs[1:]])
  return [functions.masked(x, slope, outputs[0]), *outputs[1:]]
