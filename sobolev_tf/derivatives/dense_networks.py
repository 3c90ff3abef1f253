"""Values and input gradients of dense networks, cheaper than nested tapes.

A network of dense layers with ReLU, leaky ReLU or no activation is affine
around x. With the slopes D_l of its units, layer by layer,
`h_l = D_l (h_{l-1} W_l + b_l)`, and the gradient comes back as
`g_l = D_l (g_{l+1} W_{l+1}^T)`, `grad m = g_1 W_1^T`.

A loss sends back `delta = dL/dm` and `u = dL/d(grad m)`. Both reach W_l over
the same g_l: `delta h_{l-1}^T g_l` from the value and `(D..W_1 u)^T g_l` from
the gradient. So both travel forward as one vector, `t_0 = delta x + u`,
`t_l = D_l (t_{l-1} W_l + delta b_l)`, and `dL/dW_l = t_{l-1}^T g_l`: four
matrix products per layer, where nested tapes take six and training on values
alone takes three.
"""

import typing

import keras
import numpy as np
import tensorflow as tf

from sobolev_tf.derivatives.nested_tapes import derivatives


def value_and_gradient(
  x: tf.Tensor,
  weights: typing.Sequence,
  biases: typing.Sequence,
  negative_slope: float = 0.0,
) -> tuple[tf.Tensor, tf.Tensor]:
  """Values and input gradients of networks with one output, side by side.

  Args:
    x: `[S, B, in]`, the examples of S networks.
    weights: one per layer, each `[S, fan_in, fan_out]`; the last fan_out is 1.
    biases: one per layer, each `[S, 1, fan_out]`.
    negative_slope: of the hidden units where their input is below zero: 0 for
      ReLU, 1 for none. The last layer is linear.

  Returns:
    Values `[S, B, 1]` and gradients `[S, B, in]`, which can be differentiated
    once more w.r.t. x, weights and biases.
  """
  weights = [tf.convert_to_tensor(w) for w in weights]
  biases = [tf.convert_to_tensor(b) for b in biases]

  @tf.custom_gradient
  def evaluate(x, *parameters):
    layers = len(parameters) // 2
    return _evaluate(
      x, parameters[:layers], parameters[layers:], negative_slope
    )

  return evaluate(x, *weights, *biases)


class PiecewiseLinearNetwork:
  """A Keras network of dense layers that knows its input gradients.

  It shows the network's variables as they are now, so that training it trains
  the network. `f(x)` and `f.derivatives(x, order)` are what the network and
  `derivatives` give.
  """

  def __init__(
    self, layers: typing.Sequence[keras.layers.Dense], negative_slope: float
  ):
    """Takes Keras' dense layers; see `dense_network_of`."""
    self._layers = layers
    self._negative_slope = negative_slope

  def __call__(self, x: tf.Tensor) -> tf.Tensor:
    """Values `[B, 1]` at x `[B, in]`."""
    for layer in self._layers:
      x = layer(x)
    return x

  def derivatives(self, x: tf.Tensor, order: int) -> tuple:
    """As `derivatives(self, x, order)`."""
    if order != 1:
      return derivatives(self, x, order)
    value, gradient = value_and_gradient(
      x[tf.newaxis],
      [layer.kernel[tf.newaxis] for layer in self._layers],
      [layer.bias[tf.newaxis, tf.newaxis] for layer in self._layers],
      self._negative_slope,
    )
    return value[0], tf.transpose(gradient, [1, 0, 2])  # [B, 1], [B, 1, in]


def dense_network_of(network: typing.Any) -> "PiecewiseLinearNetwork | None":
  """A `PiecewiseLinearNetwork` of the same variables, or None.

  Args:
    network: anything; a built `keras.Sequential` of dense layers with biases,
      one kind of piecewise linear activation, a linear last layer with one
      unit, and inputs `[B, in]` is what has one.
  """
  if type(network) is not keras.Sequential:
    return None
  layers = list(network.layers)
  if not all(_is_plain_dense(layer) for layer in layers):
    return None
  *hidden, last = layers
  slopes = {_negative_slope(layer.activation) for layer in hidden} or {1.0}
  if len(slopes) > 1 or None in slopes:
    return None
  if last.units != 1 or last.activation is not keras.activations.linear:
    return None
  if len(network.input_shape) != 2:
    return None
  return PiecewiseLinearNetwork(layers, slopes.pop())


def _is_plain_dense(layer):
  return (
    type(layer) is keras.layers.Dense
    and layer.use_bias
    and layer.built
    and layer.activity_regularizer is None
  )


def _negative_slope(activation):
  """What a hidden unit multiplies negative inputs with; None if not linear."""
  if activation is keras.activations.relu:
    return 0.0
  if activation is keras.activations.leaky_relu:
    # Keras' default, as TensorFlow's kernel rounds it also in float64.
    return float(np.float32(0.2))
  return 1.0 if activation is keras.activations.linear else None


def _evaluate(x, weights, biases, negative_slope):
  """What `value_and_gradient` returns, and the function that goes back."""
  h, slopes = x, []
  for w, b in zip(weights[:-1], biases[:-1], strict=True):
    a = tf.matmul(h, w) + b
    slope = tf.cast(a > 0, a.dtype)
    if negative_slope:
      slope = slope + (1 - slope) * negative_slope
    slopes.append(slope)
    h = slope * a if negative_slope else tf.nn.relu(a)
  value = tf.matmul(h, weights[-1]) + biases[-1]  # [S, B, 1]

  g = tf.ones_like(value)
  backward = [g]  # g_L, ..., g_1
  for layer in range(len(slopes), 0, -1):
    if layer == len(slopes):  # a product with a column of ones
      g = tf.linalg.matrix_transpose(weights[layer])  # [S, 1, units]
    else:
      g = tf.matmul(g, weights[layer], transpose_b=True)
    g = slopes[layer - 1] * g
    backward.append(g)
  gradient = tf.matmul(g, weights[0], transpose_b=True)  # [S, B, in]

  def differentiate(delta, u):
    t = delta * x + u
    of_weights, of_biases = [], []
    for layer, g in enumerate(reversed(backward)):
      of_weights.append(tf.matmul(t, g, transpose_a=True))
      of_biases.append(tf.reduce_sum(delta * g, axis=1, keepdims=True))
      if layer < len(slopes):
        t = tf.matmul(t, weights[layer]) + delta * biases[layer]
        t = slopes[layer] * t
    # The gradient itself does not change with x: the network is affine there.
    return (delta * gradient, *of_weights, *of_biases)

  return (value, gradient), differentiate
