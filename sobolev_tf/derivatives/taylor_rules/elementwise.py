"""Rules of elementwise operations and of softmax."""

import functools

import tensorflow as tf

from sobolev_tf.derivatives import series_functions as functions
from sobolev_tf.derivatives.moments import is_mean_of_moments
from sobolev_tf.derivatives.programs import execute
from sobolev_tf.derivatives.series import (
  Series,
  as_series,
  primal_of,
)
from sobolev_tf.derivatives.taylor_rules.registry import (
  RULES,
  as_mask,
  primal_output,
  rule,
)


# Piecewise constant: whatever comes out has derivative zero.
@rule(
  "Sign",
  "Floor",
  "Ceil",
  "Round",
  "Rint",
  "ZerosLike",
  "OnesLike",
)
def _constant(op, inputs):
  return execute(op, [primal_of(value) for value in inputs])


@rule("StopGradient")
def _stop_gradient(op, inputs):
  if is_mean_of_moments(op):
    return list(inputs)
  return _constant(op, inputs)


@rule("Identity", "IdentityN", "Snapshot", "PreventGradient", "CheckNumerics")
def _identity(op, inputs):
  del op
  return list(inputs)


# Elementwise arithmetic.
@rule("Add", "AddV2")
def _add(op, inputs):
  return [functions.add(*inputs)]


@rule("AddN")
def _add_n(op, inputs):
  return [functools.reduce(functions.add, inputs)]


@rule("Sub")
def _subtract(op, inputs):
  return [functions.subtract(*inputs)]


@rule("Mul")
def _multiply(op, inputs):
  return [functions.multiply(*inputs)]


@rule("Div", "RealDiv")
def _divide(op, inputs):
  return [functions.divide(*inputs)]


@rule("Neg")
def _negate(op, inputs):
  return [inputs[0].map(tf.negative, -inputs[0].primal)]


@rule("Square")
def _square(op, inputs):
  return [functions.multiply(inputs[0], inputs[0])]


@rule("SquaredDifference")
def _squared_difference(op, inputs):
  difference = functions.subtract(*inputs)
  return [functions.multiply(difference, difference)]


@rule("Reciprocal", "Inv")
def _reciprocal(op, inputs):
  return [functions.divide(tf.ones_like(inputs[0].primal), inputs[0])]


@rule("Sqrt")
def _sqrt(op, inputs):
  return [functions.square_root(inputs[0])]


@rule("Rsqrt")
def _rsqrt(op, inputs):
  root = functions.square_root(inputs[0])
  return [functions.divide(tf.ones_like(root.primal), root)]


@rule("Pow")
def _pow(op, inputs):
  base, exponent = inputs
  if isinstance(exponent, Series):
    # a^b = exp(b log a), which wants a > 0, as the derivative w.r.t. b does.
    logarithm = functions.log(as_series(base, exponent))
    return [functions.exp(functions.multiply(exponent, logarithm))]
  known = tf.get_static_value(exponent)
  if known is not None and not known.ndim and known in range(1, 17):
    return [functions.whole_power(base, int(known))]
  if (
    exponent.shape.rank is None or exponent.shape.rank > base.primal.shape.rank
  ):
    raise NotImplementedError("an exponent of more axes than its base")
  return [functions.power(base, exponent, primal_output(op, inputs))]


@rule("BiasAdd")
def _bias_add(op, inputs):
  value, bias = inputs
  if isinstance(bias, Series) or not isinstance(value, Series):
    if op.get_attr("data_format") != b"NHWC":
      raise NotImplementedError("BiasAdd of a bias that depends on x")
    return [functions.add(value, bias)]
  return [value.map(lambda term: term, primal_output(op, inputs))]


# Elementary functions.
def _elementary(function):
  def apply_rule(op, inputs):
    return [function(inputs[0], primal_output(op, inputs))]

  return apply_rule


RULES.update(
  Exp=_elementary(functions.exp),
  Log=_elementary(functions.log),
  Tanh=_elementary(functions.tanh),
  Sigmoid=_elementary(functions.sigmoid),
  Softplus=_elementary(functions.softplus),
  Erf=_elementary(functions.erf),
)


@rule("Expm1")
def _expm1(op, inputs):
  grown = functions.exp(inputs[0])
  return [grown.map(lambda term: term, primal_output(op, inputs))]


@rule("Log1p")
def _log1p(op, inputs):
  shifted = functions.add(inputs[0], tf.ones_like(inputs[0].primal))
  return [functions.log(shifted, primal_output(op, inputs))]


@rule("Erfc")
def _erfc(op, inputs):
  return [functions.erf(inputs[0]).map(tf.negative, primal_output(op, inputs))]


@rule("Sin")
def _sin(op, inputs):
  return [functions.sine_and_cosine(inputs[0])[0]]


@rule("Cos")
def _cos(op, inputs):
  return [functions.sine_and_cosine(inputs[0])[1]]


@rule("Atan")
def _atan(op, inputs):
  x = inputs[0].truncate()
  one = tf.ones_like(x.primal)
  slope = functions.divide(one, functions.add(functions.multiply(x, x), one))
  return [functions.integrate(inputs[0], slope, primal_output(op, inputs))]


@rule("Sinh", "Cosh")
def _hyperbolic(op, inputs):
  grown = functions.exp(inputs[0])
  shrunk = functions.divide(tf.ones_like(grown.primal), grown)
  combine = functions.subtract if op.type == "Sinh" else functions.add
  doubled = combine(grown, shrunk)
  return [doubled.map(lambda term: term / 2, primal_output(op, inputs))]


@rule("Softsign")
def _softsign(op, inputs):
  (size,) = _absolute(op, inputs)
  one = tf.ones_like(size.primal)
  return [functions.divide(inputs[0], functions.add(size, one))]


# Activations with kinks: the slope at a kink is TensorFlow's.
@rule("Abs")
def _absolute(op, inputs):
  x = inputs[0]
  return [functions.masked(x, tf.sign(x.primal), tf.abs(x.primal))]


@rule("Relu")
def _relu(op, inputs):
  x, primal = inputs[0], primal_output(op, inputs)
  return [functions.masked(x, as_mask(x.primal > 0, primal), primal)]


@rule("Relu6")
def _relu6(op, inputs):
  x, primal = inputs[0], primal_output(op, inputs)
  inside = (x.primal > 0) & (x.primal < 6)
  return [functions.masked(x, as_mask(inside, primal), primal)]


@rule("LeakyRelu")
def _leaky_relu(op, inputs):
  x, primal = inputs[0], primal_output(op, inputs)
  below = tf.constant(op.get_attr("alpha"), primal.dtype)
  slope = tf.where(x.primal > 0, tf.ones_like(below), below)
  return [functions.masked(x, slope, primal)]


_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


@rule("Elu", "Selu")
def _elu(op, inputs):
  x, primal = inputs[0], primal_output(op, inputs)
  scale, alpha = (1, 1) if op.type == "Elu" else (_SELU_SCALE, _SELU_ALPHA)
  below = x.primal < 0
  # exp of what is not used must not overflow.
  safe = x._replace(
    coefficients=(tf.where(below, x.primal, 0), *x.coefficients[1:])
  )
  grown = functions.exp(safe).map(lambda term: scale * alpha * term, primal)
  return [
    functions.selected(below, grown, x.map(lambda t: scale * t, primal), primal)
  ]


@rule("Maximum", "Minimum")
def _extreme(op, inputs):
  a, b = (primal_of(value) for value in inputs)
  first = a >= b if op.type == "Maximum" else a <= b
  return [functions.selected(first, *inputs, primal_output(op, inputs))]


@rule("Select", "SelectV2")
def _select(op, inputs):
  condition, a, b = inputs
  if op.type == "Select" and condition.shape.rank != primal_of(a).shape.rank:
    raise NotImplementedError("Select by rows")
  return [functions.selected(condition, a, b, primal_output(op, inputs))]


@rule("ClipByValue")
def _clip(op, inputs):
  x, low, high = inputs
  inside = (x.primal >= low) & (x.primal <= high)
  primal = primal_output(op, inputs)
  return [functions.masked(x, as_mask(inside, primal), primal)]


# Softmax and its like, along the last axis.
def _shifted_exponentials(x):
  """(x - max, exp(x - max), their sum along the last axis)."""
  top = tf.reduce_max(x.primal, axis=-1, keepdims=True)
  x = functions.subtract(x, tf.stop_gradient(top))
  grown = functions.exp(x)
  return x, grown, _sum_last(grown)


def _sum_last(x):
  def add_up(term):
    return tf.reduce_sum(term, axis=-1, keepdims=True)

  return x.map(add_up, add_up(x.primal))


@rule("Softmax")
def _softmax(op, inputs):
  _, grown, sums = _shifted_exponentials(inputs[0])
  return [functions.divide(grown, sums)]


@rule("LogSoftmax")
def _log_softmax(op, inputs):
  shifted, _, sums = _shifted_exponentials(inputs[0])
  return [functions.subtract(shifted, functions.log(sums))]
