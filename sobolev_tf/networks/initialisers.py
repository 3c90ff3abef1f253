"""Initial weights that are a function of a seed alone."""

import math
from collections.abc import Sequence

import sonnet as snt
import tensorflow as tf


class FanInNormal(snt.initializers.Initializer):
  """Truncated normal of deviation 1/sqrt(fan_in), Sonnet's own default.

  Sonnet draws from a global generator, whose numbers depend on everything that
  was drawn before; these depend on the seed alone, so that the same network
  starts from the same weights on any number of devices.
  """

  def __init__(self, *seed: int):
    """Takes two integers, such as a run's seed and the layer's number."""
    self._seed = seed

  def __call__(self, shape: Sequence[int], dtype: tf.DType) -> tf.Tensor:
    fan_in = max(math.prod(shape[:-1]), 1)
    draw = tf.random.stateless_truncated_normal(shape, self._seed, dtype=dtype)
    return draw / tf.cast(fan_in**0.5, dtype)


class Orthogonal(snt.initializers.Initializer):
  """A matrix with orthonormal rows or columns, whichever are fewer, scaled."""

  def __init__(self, seed: int, layer: int, gain: float = 1.0):
    """Takes a run's seed, the layer's number and the factor on the matrix."""
    self._seed, self._gain = (seed, layer), gain

  def __call__(self, shape: Sequence[int], dtype: tf.DType) -> tf.Tensor:
    rows, columns = math.prod(shape[:-1]), shape[-1]
    draw = tf.random.stateless_normal(
      [max(rows, columns), min(rows, columns)], self._seed, dtype=tf.float64
    )
    q, r = tf.linalg.qr(draw)
    # Without the signs the distribution would not be uniform.
    q *= tf.sign(tf.linalg.diag_part(r))
    if rows < columns:
      q = tf.linalg.matrix_transpose(q)
    return tf.cast(self._gain * tf.reshape(q, shape), dtype)
