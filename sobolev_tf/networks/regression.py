"""The network of the function-regression experiment (paper §4.1)."""

from collections.abc import Sequence

import sonnet as snt
import tensorflow as tf

from sobolev_tf.derivatives.dense_networks import value_and_gradient


class RegressionMLP(snt.Module):
  """Multi-layer perceptrons for regression, one per seed, side by side.

  Several networks that differ in their seed alone run as one batched matrix
  product per layer, which uses a processor better than one small network after
  the other. They share nothing: each has its own weights and examples.

  The paper gives two hidden layers of 256 ReLU units and a linear output; it
  does not state the initialisation. Ours is the one of Sonnet's `Linear`:
  weights from a truncated normal of deviation 1/sqrt(fan_in), biases zero.
  """

  def __init__(
    self,
    num_inputs: int,
    seeds: Sequence[int] = (0,),
    hidden_sizes: Sequence[int] = (256, 256),
    num_outputs: int = 1,
    dtype: tf.DType = tf.float32,
    name: str | None = None,
  ):
    """Creates the variables.

    Args:
      num_inputs: dimension of x.
      seeds: one integer per network; a network's initial weights depend on its
        own seed only.
      hidden_sizes: units of each hidden layer.
      num_outputs: dimension of the output.
      dtype: floating dtype of the weights.
      name: module name.
    """
    super().__init__(name=name)
    sizes = (num_inputs, *hidden_sizes, num_outputs)
    self._num_networks = len(seeds)
    self._shapes = tuple(zip(sizes[:-1], sizes[1:], strict=True))
    self.weights = [
      tf.Variable(
        tf.zeros([len(seeds), fan_in, fan_out], dtype), name=f"w{layer}"
      )
      for layer, (fan_in, fan_out) in enumerate(self._shapes)
    ]  # each [S, fan_in, fan_out]
    self.biases = [
      tf.Variable(tf.zeros([len(seeds), 1, fan_out], dtype), name=f"b{layer}")
      for layer, (_, fan_out) in enumerate(self._shapes)
    ]  # each [S, 1, fan_out]
    self.reset(seeds)

  def reset(self, seeds: Sequence[int]) -> None:
    """Draws the initial weights anew; `seeds` has one entry per network."""
    for layer, (fan_in, fan_out) in enumerate(self._shapes):
      draws = [
        tf.random.stateless_truncated_normal(
          [fan_in, fan_out], seed=[seed, layer], dtype=self.weights[layer].dtype
        )
        for seed in seeds
      ]
      self.weights[layer].assign(tf.stack(draws) / fan_in**0.5)
      self.biases[layer].assign(tf.zeros_like(self.biases[layer]))

  def __call__(self, x: tf.Tensor) -> tf.Tensor:
    """Evaluates network s on the s-th share of the batch.

    Args:
      x: `[S * B, num_inputs]`, the examples of the first network first.

    Returns:
      `[S * B, num_outputs]` in the same order.
    """
    h = self._split(x)  # [S, B, in]
    for layer, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
      h = tf.matmul(h, w) + b
      if layer < len(self.weights) - 1:
        h = tf.nn.relu(h)
    return tf.reshape(h, [-1, h.shape[-1]])

  def value_and_gradient(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """What `derivatives(self, x, 1)` gives, at two thirds of a step's cost.

    Nested tapes need six matrix products per layer for the gradient of a
    Sobolev loss w.r.t. the weights. A network that is piecewise linear in x
    and has one output needs four: see `derivatives.dense_networks`.

    Args:
      x: `[S * B, num_inputs]`.

    Returns:
      Values `[S * B, 1]` and gradients `[S * B, 1, num_inputs]`.

    Raises:
      ValueError: the networks have more than one output.
    """
    if self._shapes[-1][1] != 1:
      raise ValueError(
        f"value_and_gradient needs one output, but this network has "
        f"{self._shapes[-1][1]}; use derivatives."
      )
    value, gradient = value_and_gradient(
      self._split(x), self.weights, self.biases
    )
    return (
      tf.reshape(value, [-1, 1]),
      tf.reshape(gradient, [-1, 1, x.shape[-1]]),
    )

  def _split(self, x):
    return tf.reshape(x, [self._num_networks, -1, x.shape[-1]])
