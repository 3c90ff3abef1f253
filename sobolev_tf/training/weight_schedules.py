"""Weights of the derivative losses: numbers, arrays, functions of the step."""

import numbers
import typing

import keras
import numpy as np
import tensorflow as tf

from sobolev_tf.training.losses import exact_cast


def checked(weight: typing.Any) -> typing.Any:
  """Brings the weight of one derivative order into one form.

  Args:
    weight: a non-negative number, a NumPy array with one for each component of
      the derivative, or a schedule: a
      `keras.optimizers.schedules.LearningRateSchedule` or any callable of the
      optimizer step, which it gets as a float32 scalar.

  Returns:
    A float, an array or a callable.

  Raises:
    ValueError: it is no weight.
  """
  if callable(weight):
    return weight
  is_array = isinstance(weight, np.ndarray) and weight.dtype.kind in "fiu"
  if not (isinstance(weight, numbers.Real) or is_array):
    raise ValueError(
      "derivative_weights must be numbers, NumPy arrays or callables of the "
      f"step, but one is {weight!r}."
    )
  if not np.all(np.isfinite(weight)) or np.any(weight < 0):
    raise ValueError(
      f"derivative_weights must be finite and at least 0, but one is {weight}."
    )
  return np.array(weight, float) if np.ndim(weight) else float(weight)


def highest_active_order(weights: tuple) -> int:
  """The highest derivative order that a loss with these weights needs.

  Only the plain number 0 switches an order off: the value of a schedule is not
  known when the training step is built.
  """
  return max(
    (
      j for j, w in enumerate(weights, start=1) if callable(w) or np.any(w != 0)
    ),
    default=0,
  )


def weight_at(
  weight: typing.Any, step: tf.Tensor | int, dtype: tf.DType
) -> tf.Tensor:
  """Evaluates a weight at an optimizer step: a tensor of `dtype`."""
  if callable(weight):
    # As float32, in which `0.95**step` and `step / 1000` mean what they say.
    weight = weight(tf.cast(step, tf.float32))
  return exact_cast(weight, dtype)


def serialize_weights(weights: tuple) -> list:
  """Turns weights into what `keras.saving.deserialize_keras_object` reads.

  Raises:
    ValueError: a weight is a lambda, which has no name to be found by again.
  """
  for weight in weights:
    if getattr(weight, "__name__", "") == "<lambda>":
      raise ValueError(
        "derivative_weights holds a lambda, which cannot be saved; use a "
        "schedule of keras.optimizers.schedules, or a function registered "
        "with keras.saving.register_keras_serializable."
      )
  return [keras.saving.serialize_keras_object(weight) for weight in weights]
