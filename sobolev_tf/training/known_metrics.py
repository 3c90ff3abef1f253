"""Metrics of labels some of which are unknown; a guard where all are."""

import typing

import keras
import numpy as np
import tensorflow as tf


class KnownMeanSquaredError(keras.metrics.MeanSquaredError):
  """The mean squared error over known labels, NaN where there is none.

  Keras' own says 0, a perfect score, of no label at all.
  """

  def result(self) -> tf.Tensor:
    """A scalar; NaN before the first known label."""
    known = tf.convert_to_tensor(self.count) > 0
    result = super().result()
    return tf.where(known, result, tf.cast(float("nan"), result.dtype))


def put_first(
  callback: keras.callbacks.Callback, callbacks: typing.Any
) -> typing.Any:
  """The callbacks of `fit` with one more before them, and so before any saves.

  Args:
    callback: the one.
    callbacks: None, a callback, a list of them or a `CallbackList`.
  """
  if isinstance(callbacks, keras.callbacks.CallbackList):
    callbacks.callbacks.insert(0, callback)
    return callbacks
  return [callback, *keras.tree.flatten(callbacks or [])]


class EveryOrderHasLabels(keras.callbacks.Callback):
  """Ends the first epoch with an error if no label of an order was known."""

  def __init__(self, names: typing.Iterable):
    """Waits for the first epoch's end.

    Args:
      names: of the metrics of the orders, in `KnownMeanSquaredError`.
    """
    super().__init__()
    self._names = set(names)
    self._is_done = False

  def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
    """Looks at the errors of the first epoch."""
    if self._is_done or logs is None:
      return
    self._is_done = True
    if np.isnan(logs.get("loss", np.nan)):
      return  # Nothing was known of the network either.
    for name, error in logs.items():
      if name in self._names and np.isnan(error):
        raise ValueError(
          f"{name} is NaN: not one label of that order was known; leave these "
          "labels out, or give them the weight 0."
        )
