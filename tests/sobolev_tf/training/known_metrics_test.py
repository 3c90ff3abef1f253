"""Metrics of labels that may be unknown."""

import keras
import numpy as np
import pytest

from sobolev_tf.training.known_metrics import (
  EveryOrderHasLabels,
  KnownMeanSquaredError,
  put_first,
)


def test_the_error_of_no_label_is_not_a_perfect_score():
  metric = KnownMeanSquaredError(name="error")
  assert np.isnan(float(metric.result()))
  metric.update_state([[0.0], [0.0]], [[3.0], [5.0]], [0, 0])
  assert np.isnan(float(metric.result()))
  metric.update_state([[0.0], [0.0]], [[3.0], [5.0]], [1, 0])
  assert float(metric.result()) == 9.0
  metric.reset_state()
  assert np.isnan(float(metric.result()))


@pytest.mark.parametrize(
  "logs, refused",
  [
    ({"loss": 1.0, "d1_mse": np.nan}, True),
    ({"loss": 1.0, "d1_mse": 0.5}, False),
    ({"loss": np.nan, "d1_mse": np.nan}, False),  # diverged: Keras' to tell
    ({"loss": 1.0, "val_d1_mse": np.nan}, False),
  ],
)
def test_an_epoch_without_one_label_of_an_order_ends_with_an_error(
  logs, refused
):
  guard = EveryOrderHasLabels(["value_mse", "d1_mse"])
  if refused:
    with pytest.raises(ValueError, match="d1_mse is NaN: not one label"):
      guard.on_epoch_end(0, logs)
  else:
    guard.on_epoch_end(0, logs)
  guard.on_epoch_end(1, logs)  # Later ones are left alone.


def test_a_callback_is_put_before_what_saves():
  save, first = keras.callbacks.TerminateOnNaN(), EveryOrderHasLabels([])
  for given in (save, [save], [[save]]):
    assert put_first(first, given) == [first, save]
  assert put_first(first, None) == [first]
  given = keras.callbacks.CallbackList([save])
  assert put_first(first, given) is given
  assert given.callbacks == [first, save]
