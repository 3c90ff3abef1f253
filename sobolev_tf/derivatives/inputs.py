"""What every function of this room asks of x."""

import typing

import tensorflow as tf


def as_input(x: typing.Any) -> tf.Tensor:
  """x as a tensor `[B, *in]`; refuses what cannot be differentiated."""
  x = tf.convert_to_tensor(x)
  if not x.dtype.is_floating:
    raise ValueError(
      f"x must be floating to be differentiated, but its dtype is "
      f"{x.dtype.name}; convert it to float32 or float64."
    )
  if x.shape.rank == 0:
    raise ValueError("x must have a batch axis, but it is a scalar.")
  if x.shape.as_list() == [0]:
    raise ValueError(
      "x holds nothing, not even the shape of an example; give an array "
      "[B, *in]."
    )
  return x


def with_shape(tensor: tf.Tensor, shape: tf.TensorShape) -> tf.Tensor:
  """The tensor, of which more is known than a graph can tell.

  Unlike `tf.ensure_shape` this makes no operation, which TensorFlow Lite would
  not know.
  """
  tensor.set_shape(shape)
  return tensor
