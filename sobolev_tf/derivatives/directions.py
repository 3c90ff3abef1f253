"""Random directions on the unit sphere (paper §2, Eq. 2)."""

import typing
from collections.abc import Sequence

import tensorflow as tf

from sobolev_tf.derivatives.arguments import as_seed, as_shape


def random_directions(
  shape: Sequence[int] | tf.Tensor,
  seed: typing.Any,
  dtype: tf.DType = tf.float32,
) -> tf.Tensor:
  """Draws one direction per example, uniformly from the unit sphere.

  A normalised Gaussian vector is uniform on the sphere in any dimension. The
  draw is a function of `seed` alone, so a run that resumes at a step draws the
  direction that it would have drawn without the interruption.

  Args:
    shape: `[B, ...]`; everything but the batch axis is one vector of length 1.
      For shape `[B]` or `[B, 1]` the sphere is the two points -1 and 1.
    seed: an integer, or a pair of integers such as `(seed, step)`; tensors are
      welcome.
    dtype: floating dtype of the result.

  Returns:
    Tensor of the given shape; the Euclidean norm over all non-batch axes is 1.

  Raises:
    ValueError: the shape or the seed is none.
  """
  shape = as_shape(shape)
  normal = tf.random.stateless_normal(shape, as_seed(seed), dtype=dtype)
  flat = tf.reshape(normal, [shape[0], -1])  # [B, M]
  norm = tf.norm(flat, axis=1, keepdims=True)  # [B, 1]
  # An all-zero draw has probability about 0; it must still not become NaN.
  tiny = tf.constant(normal.dtype.as_numpy_dtype(1e-30), normal.dtype)
  return tf.reshape(flat / tf.maximum(norm, tiny), shape)
