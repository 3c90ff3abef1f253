"""Rules of what tapes record: with them `jet` goes forward over reverse."""

import tensorflow as tf

from sobolev_tf.derivatives import series_functions as functions
from sobolev_tf.derivatives.programs import execute
from sobolev_tf.derivatives.series import Series, primal_of
from sobolev_tf.derivatives.taylor_rules.registry import (
  primal_output,
  rule,
)


@rule("TanhGrad")
def _tanh_grad(op, inputs):
  y, dy = inputs
  square = functions.multiply(y, y)
  return [functions.multiply(dy, one_minus(square))]


@rule("SigmoidGrad")
def _sigmoid_grad(op, inputs):
  y, dy = inputs
  return [functions.multiply(dy, functions.multiply(y, one_minus(y)))]


@rule("SoftplusGrad")
def _softplus_grad(op, inputs):
  gradients, features = inputs
  if isinstance(features, Series):
    slope = functions.sigmoid(features)
  else:
    slope = tf.sigmoid(features)
  return [functions.multiply(gradients, slope)]


@rule("ReluGrad", "Relu6Grad", "LeakyReluGrad")
def _relu_grad(op, inputs):
  gradients, features = inputs
  primal = primal_output(op, inputs)
  if not isinstance(gradients, Series):
    return [primal]
  # The operation is linear in the gradients, with this slope.
  slope = execute(op, [tf.ones_like(gradients.primal), primal_of(features)])[0]
  return [functions.masked(gradients, slope, primal)]


def one_minus(value: Series | tf.Tensor) -> Series | tf.Tensor:
  """`1 - value` of a series or of a tensor that does not depend on x."""
  if isinstance(value, Series):
    return functions.subtract(tf.ones_like(value.primal), value)
  return 1 - value
