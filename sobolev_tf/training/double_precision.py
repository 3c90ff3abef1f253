"""float64 arrays on their way through Keras, which would round them.

`fit`, `evaluate` and `predict` of Keras convert every floating array to
`keras.config.floatx()` before a model sees it, and leave integers alone. So
float64 numbers travel as the integers of the same bits.
"""

import typing

import numpy as np
import tensorflow as tf


class DoubleBits(typing.NamedTuple):
  """A float64 array or tensor as int64 with the same bits."""

  bits: typing.Any


def pack(data: typing.Any) -> typing.Any:
  """Wraps the float64 arrays in nested lists, tuples and dicts of data."""
  if type(data) in (list, tuple):
    return type(data)(pack(item) for item in data)
  if type(data) is dict:
    return {name: pack(item) for name, item in data.items()}
  if hasattr(data, "to_numpy"):  # pandas
    data = data.to_numpy()
  is_array = hasattr(data, "__array__") and hasattr(data, "dtype")
  if not is_array or data.dtype != np.float64:
    return data
  return DoubleBits(np.ascontiguousarray(data).view(np.int64))


def unpack(data: typing.Any) -> typing.Any:
  """Undoes `pack`, in tensors."""
  if isinstance(data, DoubleBits):
    return tf.bitcast(data.bits, tf.float64)
  if type(data) in (list, tuple):
    return type(data)(unpack(item) for item in data)
  if type(data) is dict:
    return {name: unpack(item) for name, item in data.items()}
  return data
