"""A smooth network and a training loop, small enough for demonstrations."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import sonnet as snt
import tensorflow as tf


class SmoothMLP(snt.Module):
  """A perceptron with tanh units and a linear output.

  The theory speaks of C1 functions, and second-order matching needs a second
  derivative that is not zero: a ReLU network offers neither. The initial
  weights are a function of the seed.
  """

  def __init__(
    self,
    sizes: Sequence[int],
    seed: int = 0,
    dtype: tf.DType = tf.float32,
    name: str | None = None,
  ):
    """Creates the variables.

    Args:
      sizes: units per layer, from the dimension of x to that of the output.
      seed: an integer.
      dtype: floating dtype of the weights.
      name: module name.
    """
    super().__init__(name=name)
    self.weights, self.biases = [], []
    for layer, (fan_in, fan_out) in enumerate(
      zip(sizes[:-1], sizes[1:], strict=True)
    ):
      draw = tf.random.stateless_normal(
        [fan_in, fan_out], seed=[seed, layer], dtype=dtype
      )
      self.weights.append(tf.Variable(draw / fan_in**0.5, name=f"w{layer}"))
      self.biases.append(tf.Variable(tf.zeros([fan_out], dtype), name="b"))

  def __call__(self, x: tf.Tensor) -> tf.Tensor:
    """Evaluates `[B, in]` to `[B, out]`."""
    for w, b in zip(self.weights[:-1], self.biases[:-1], strict=True):
      x = tf.tanh(tf.matmul(x, w) + b)
    return tf.matmul(x, self.weights[-1]) + self.biases[-1]


def minimise(
  objective: Callable,
  variables: Sequence[tf.Variable],
  num_steps: int,
  learning_rate: float = 3e-3,
) -> np.ndarray:
  """Minimises a scalar with Adam, all steps in one compiled loop.

  Args:
    objective: function of nothing that returns a scalar tensor.
    variables: list of variables to change.
    num_steps: updates; the learning rate falls to 0 over them as a cosine.
    learning_rate: at the start.

  Returns:
    The objective before each update, numpy `[num_steps]`.
  """
  schedule = keras.optimizers.schedules.CosineDecay(learning_rate, num_steps)
  optimizer = keras.optimizers.Adam(schedule)
  optimizer.build(variables)

  @tf.function
  def descend():
    losses = tf.TensorArray(tf.float64, num_steps)
    for step in tf.range(num_steps):
      with tf.GradientTape() as tape:
        loss = objective()
      optimizer.apply(tape.gradient(loss, variables), variables)
      losses = losses.write(step, tf.cast(loss, tf.float64))
    return losses.stack()

  return descend().numpy()
