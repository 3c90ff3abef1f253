"""What the library asks of arguments: one sentence for each kind of them."""

import math
import numbers
import typing
from collections.abc import Sequence

import numpy as np
import tensorflow as tf


def check_function(f: typing.Any, name: str = "f") -> None:
  """Raises a `ValueError` unless an argument can be called."""
  if not callable(f):
    raise ValueError(
      f"{name} must be a function or a network, but it is of type "
      f"{type(f).__name__}; hand over the function itself."
    )


def check_whole(name: str, number: typing.Any, least: int) -> None:
  """Raises a `ValueError` unless a number is whole and not below `least`."""
  if not isinstance(number, numbers.Integral) or number < least:
    raise ValueError(
      f"{name} must be a whole number of at least {least}, but it is "
      f"{number!r}."
    )


def check_real(
  name: str,
  number: typing.Any,
  least: float = -math.inf,
  above: float = -math.inf,
  most: float = math.inf,
  below: float = math.inf,
) -> None:
  """Raises a `ValueError` unless a number is real and in its range.

  Args:
    name: of the argument.
    number: what was given. Infinity is a number, NaN is none.
    least: it may be this one.
    above: it may not be this one.
    most: it may be this one.
    below: it may not be this one.
  """
  if isinstance(number, numbers.Real) and least <= number <= most:
    is_above = number > above or above == -math.inf
    if is_above and (number < below or below == math.inf):
      return
  rules = {"at least": least, "above": above, "at most": most, "below": below}
  ends = [f"{rule} {end:g}" for rule, end in rules.items() if abs(end) < 1e300]
  wanted = " ".join(["a number", " and ".join(ends)]).strip()
  raise ValueError(f"{name} must be {wanted}, but it is {number!r}.")


def as_tensors(name: str, values: typing.Any) -> list:
  """A sequence of arrays of real numbers as tensors; else a `ValueError`."""
  if isinstance(values, list | tuple):
    return [as_real(f"{name}[{i}]", one) for i, one in enumerate(values)]
  raise ValueError(
    f"{name} must be a tuple of arrays, but it is a {type(values).__name__}; "
    f"write ({name},) for a single one."
  )


def as_real(name: str, value: typing.Any) -> tf.Tensor:
  """An array of real numbers as a tensor; else a `ValueError`."""
  try:
    tensor = tf.convert_to_tensor(value)
    if tensor.dtype.is_floating or tensor.dtype.is_integer:
      return tensor
  except (TypeError, ValueError):
    pass
  raise _not_real(name, value)


def as_numbers(name: str, value: typing.Any) -> np.ndarray:
  """An array of real numbers in float64; else a `ValueError`."""
  try:
    array = np.asarray(value)
    if array.dtype.kind in "fiub":
      return array.astype(np.float64)
  except (TypeError, ValueError):
    pass
  raise _not_real(name, value)


def _not_real(name, value):
  return ValueError(
    f"{name} must be an array of real numbers, but it is of type "
    f"{type(value).__name__}."
  )


def as_shape(shape: Sequence[int] | tf.Tensor) -> tf.Tensor:
  """A shape `[B, ...]` as an int32 tensor; `ValueError` if it is none."""
  try:
    sizes = tf.convert_to_tensor(shape, tf.int32)
    known = tf.get_static_value(sizes)
    is_shape = sizes.shape.rank == 1 and sizes.shape[0] != 0
    if is_shape and (known is None or (known >= 0).all()):
      return sizes
  except (TypeError, ValueError):
    pass
  raise ValueError(
    f"shape must be whole numbers, [B, ...], but it is {shape!r}."
  )


def as_seed(seed: typing.Any) -> tf.Tensor:
  """A seed as two integers; `ValueError` if it is neither one nor a pair."""
  try:
    pair = tf.convert_to_tensor(seed)
    if pair.dtype.is_integer and pair.shape.rank == 0:
      return tf.stack([pair, tf.zeros_like(pair)])
    if pair.dtype.is_integer and pair.shape.is_compatible_with([2]):
      return pair
  except (TypeError, ValueError):
    pass
  raise ValueError(
    f"seed must be an integer or a pair of them, but it is {seed!r}."
  )
