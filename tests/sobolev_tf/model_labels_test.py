"""Labels of a `SobolevModel` in every form that a user has them in."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from sobolev_tf.model import SobolevModel

_X = np.random.default_rng(0).uniform(-1, 1, [8, 2]).astype("float32")
_Y = np.sin(_X[:, 0]) * _X[:, 1]
_DY = np.stack([np.cos(_X[:, 0]) * _X[:, 1], np.sin(_X[:, 0])], axis=1)
_UNKNOWN = np.full_like(_DY, np.nan)


def _model(order=1, activation="tanh", scaling=None, **kwargs):
  keras.utils.set_random_seed(0)
  dense = keras.layers.Dense
  network = keras.Sequential([dense(4, activation), dense(1)])
  model = SobolevModel(network, order=order, scaling=scaling)
  kwargs.setdefault("run_eagerly", True)
  model.compile("sgd", **kwargs)
  return model


def _data_set(*parts):
  return tf.data.Dataset.from_tensor_slices(parts).batch(4)


def test_both_ranks_of_labels_are_taken_one_after_the_other():
  model = _model(run_eagerly=False)
  losses = [
    model.evaluate(_X, labels, verbose=0)[0]
    for labels in (
      (_Y, _DY),
      (_Y[:, None], _DY[:, None]),
      [_Y, _DY[:, None]],
      {"dy": _DY, "y": _Y[:, None]},
    )
  ]
  losses += [
    model.evaluate(_data_set(_X, labels), verbose=0)[0]
    for labels in (
      (_Y, _DY),
      (_Y[:, None], _DY[:, None]),
      {"y": _Y, "dy": _DY[:, None]},
      (_Y, _DY),
    )
  ]
  np.testing.assert_allclose(losses, losses[0], rtol=1e-6)


def test_derivatives_alone_are_trained():
  model = _model(scaling="standard", metrics=None)
  history = model.fit(_X, {"dy": _DY}, verbose=0).history
  assert set(history) == {"loss", "d1_mse"}
  with pytest.raises(ValueError, match="metrics given to compile need y"):
    _model(metrics=["mae"]).fit(_X, {"dy": _DY}, verbose=0)
  with pytest.raises(ValueError, match="y is missing, and all .* weight 0"):
    _model(derivative_weights=0).fit(_X, {"dy": _DY}, verbose=0)


@pytest.mark.parametrize("num_projections", [None, 2])
def test_an_order_in_between_may_be_left_out(num_projections):
  model = SobolevModel(
    keras.Sequential([keras.layers.Dense(4, "tanh"), keras.layers.Dense(1)]),
    order=2,
    num_projections=num_projections,
    scaling="dml",
  )
  model.compile("sgd", run_eagerly=True)
  labels = {"y": _Y, "d2y": np.ones([8, 2, 2])}
  history = model.fit(_X, labels, verbose=0).history
  assert set(history) == {"loss", "value_mse", "d2_mse"}


def test_labels_that_training_needs_are_asked_for():
  with pytest.raises(ValueError, match="dy is missing: training order 1"):
    _model().fit(_X, {"y": _Y}, verbose=0)
  with pytest.raises(ValueError, match="d2y is missing: training order 2"):
    _model(order=2).fit(_X, {"dy": _DY}, verbose=0)
  with pytest.raises(ValueError, match=r"labels are missing; give y, or"):
    _model().fit(_X, verbose=0)


@pytest.mark.parametrize(
  "fit",
  [
    lambda model: model.fit(_data_set(_X, _Y, _DY), verbose=0),
    lambda model: model.fit(_data_set(_X, _Y, _DY, _DY), verbose=0),
    lambda model: model.fit(
      _X, (_Y, _DY), validation_data=(_X, _Y, _DY), verbose=0
    ),
    lambda model: model.evaluate(_data_set(_X, _Y, _DY), verbose=0),
    lambda model: model.fit(
      ((_X, _Y, _DY) for _ in range(2)), verbose=0, shuffle=False
    ),
  ],
)
def test_labels_side_by_side_are_not_taken_for_sample_weights(fit):
  with pytest.raises(ValueError, match=r"give all labels as one tuple"):
    fit(_model())


def test_validation_may_measure_values_alone():
  for held_out in ((_X, _Y), _data_set(_X, _Y)):
    model = _model(scaling="standard", metrics=["mae"])
    history = model.fit(
      _X, (_Y, _DY), validation_data=held_out, verbose=0
    ).history
    assert "d1_mse" in history and "val_d1_mse" not in history
    value = model.scaling.y_scale.numpy() ** -2 * history["val_value_mse"][-1]
    np.testing.assert_allclose(history["val_loss"][-1], value, rtol=1e-5)


@pytest.mark.parametrize(
  "labels, message",
  [
    ((_Y, _UNKNOWN), "dy holds no known label"),
    ((_Y * np.nan, _DY), "y holds no known label"),
    ((_Y, _DY * np.inf), "infinite labels"),
    ((1e39 * _Y.astype(float), _DY), "beyond float32"),
  ],
)
@pytest.mark.parametrize("scaling", [None, "dml"])
def test_labels_that_cannot_be_learnt_end_fit(labels, message, scaling):
  with pytest.raises(ValueError, match=message):
    _model(scaling=scaling).fit(_X, labels, verbose=0)


def test_a_data_set_without_one_label_ends_fit_before_anything_is_saved(
  tmp_path,
):
  save = keras.callbacks.ModelCheckpoint(tmp_path / "model.keras")
  with pytest.raises(ValueError, match="d1_mse is NaN: not one label"):
    _model().fit(
      _data_set(_X, (_Y, _UNKNOWN)),
      validation_data=(_X, (_Y, _DY)),
      callbacks=[save],
      verbose=0,
    )
  assert not list(tmp_path.iterdir())


def test_a_single_known_label_is_enough():
  dy = _UNKNOWN.copy()
  dy[3, 1] = 0.5
  history = _model().fit(_X, (_Y, dy), batch_size=2, verbose=0).history
  assert np.isfinite(history["d1_mse"][0])


def test_the_error_of_unknown_labels_is_unknown():
  logs = _model().evaluate(_X, (_Y, _UNKNOWN), verbose=0, return_dict=True)
  assert np.isnan(logs["d1_mse"]) and np.isfinite(logs["value_mse"])
  history = _model().fit(
    _X, (_Y, _DY), validation_data=(_X, (_Y, _UNKNOWN)), verbose=0
  )
  assert np.isnan(history.history["val_d1_mse"][0])


def test_masked_labels_are_unknown():
  masked = np.ma.masked_array(np.where(_DY > 0, _DY, 1e16), mask=_DY <= 0)
  model = _model()
  logs = model.evaluate(_X, (_Y, masked), verbose=0, return_dict=True)
  unknown = np.where(_DY > 0, _DY, np.nan)
  expected = model.evaluate(_X, (_Y, unknown), verbose=0, return_dict=True)
  assert logs == expected and logs["loss"] < 100


@pytest.mark.parametrize("monitor", ["val_d1_mse", "val_value_mse", "d1_mse"])
def test_callbacks_know_that_less_error_is_better(monitor, tmp_path):
  callbacks = [
    keras.callbacks.EarlyStopping(monitor, patience=3),
    keras.callbacks.ReduceLROnPlateau(monitor),
    keras.callbacks.ModelCheckpoint(
      tmp_path / "best.weights.h5",
      monitor=monitor,
      save_best_only=True,
      save_weights_only=True,
    ),
  ]
  _model().fit(
    _X,
    (_Y, _DY),
    validation_data=(_X, (_Y, _DY)),
    callbacks=callbacks,
    epochs=2,
    verbose=0,
  )
  for callback in callbacks:
    assert callback.monitor_op is keras.ops.less


def test_metrics_keep_their_order():
  model = _model(metrics=["mae"])
  numbers = model.evaluate(_X, (_Y, _DY), verbose=0)
  logs = model.evaluate(_X, (_Y, _DY), verbose=0, return_dict=True)
  names = ["loss", "mae", "value_mse", "d1_mse"]
  assert numbers == [logs[name] for name in names]


@pytest.mark.parametrize("factor, warned", [(1e4, True), (1.0, False)])
@pytest.mark.parametrize("scaling", [None, "standard"])
def test_orders_that_drown_each_other_are_told_of(factor, warned, scaling):
  model = _model(scaling=scaling)
  with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    model.fit(_X, (_Y, factor * _DY), verbose=0)
  told = any("times as large as" in str(w.message) for w in caught)
  assert told == (warned and scaling is None)


def test_a_relu_network_is_refused_at_order_two_unless_it_is_off():
  labels = (_Y, _DY, np.ones([8, 2, 2]))
  for train in (
    lambda model: model.fit(_X, labels, verbose=0),
    lambda model: model.fit(_data_set(_X, labels), verbose=0),
    lambda model: model.train_on_batch(_X, labels),
  ):
    with pytest.raises(ValueError, match=r"order 2 .*\(relu\) is linear in"):
      train(_model(order=2, activation="relu"))
  off = _model(order=2, activation="relu", derivative_weights=(1, 0))
  off.fit(_X, labels, verbose=0)
