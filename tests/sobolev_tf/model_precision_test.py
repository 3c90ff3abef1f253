"""float64 data with offsets that float32 could not hold."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from sobolev_tf.model import SobolevModel

_T, _E = 1.7e9, -3e5  # seconds since 1970, a total energy


def _data(count=40, seed=0):
  x = np.random.default_rng(seed).uniform(-1, 1, [count, 2])
  y = 1e-2 * np.sin(2 * x[:, 0]) * x[:, 1]
  dy = 1e-2 * np.stack(
    [2 * np.cos(2 * x[:, 0]) * x[:, 1] / 86400, np.sin(2 * x[:, 0])], axis=1
  )
  return x * [86400, 1], y, dy


def _model(scaling="standard", **kwargs):
  keras.utils.set_random_seed(0)
  layers = [keras.layers.Dense(8, "tanh"), keras.layers.Dense(1)]
  model = SobolevModel(keras.Sequential(layers), scaling=scaling)
  model.compile(keras.optimizers.Adam(0.01), run_eagerly=True, **kwargs)
  return model


def _fit(model, way, x, y, dy):
  if way == "arrays":
    held_out = (x[30:], (y[30:], dy[30:]), np.ones(10))
    history = model.fit(
      x[:30],
      (y[:30], dy[:30]),
      epochs=3,
      shuffle=False,
      verbose=0,
      validation_data=held_out,
      sample_weight=np.ones(30),
    )
    return {**history.history}
  if way == "full batch":
    model.fit_full_batch(x, (y, dy), updates=2, updates_per_epoch=1)
    return {"loss": model.history.history["loss"]}
  if way == "split":
    return model.fit(
      x, (y, dy), epochs=3, shuffle=False, verbose=0, validation_split=0.25
    ).history
  data = tf.data.Dataset.from_tensor_slices((x, (y, dy))).batch(8)
  return model.fit(data, epochs=3, verbose=0).history


@pytest.mark.parametrize("way", ["arrays", "split", "dataset", "full batch"])
def test_an_offset_changes_neither_training_nor_answers(way):
  x, y, dy = _data()
  near, far = _model(), _model()
  history = _fit(near, way, x, y, dy)
  other = _fit(far, way, x + [_T, 0], y + _E, dy)
  assert history["loss"][-1] < history["loss"][0]
  for name, values in history.items():
    np.testing.assert_allclose(other[name], values, rtol=2e-3)
  new = _data(20, seed=1)
  value = far.predict(new[0] + [_T, 0], verbose=0)
  assert value.dtype == np.float64
  wanted = near.predict(new[0], verbose=0)
  np.testing.assert_allclose(value - _E, wanted, atol=1e-6)
  value, slope = far.predict_with_derivatives(new[0] + [_T, 0])
  np.testing.assert_allclose(value - _E, wanted, atol=1e-6)
  wanted = near.predict_with_derivatives(new[0])[1]
  np.testing.assert_allclose(slope, wanted, rtol=1e-3, atol=1e-9)
  measured = far.evaluate(
    new[0] + [_T, 0], (new[1] + _E, new[2]), verbose=0, return_dict=True
  )
  wanted = near.evaluate(new[0], new[1:], verbose=0, return_dict=True)
  for name, value in wanted.items():
    np.testing.assert_allclose(measured[name], value, rtol=2e-3)


def test_batches_of_an_own_loop_and_loaded_models_keep_the_offset(tmp_path):
  x, y, dy = _data()
  model = _model()
  model.build((None, 2))
  model.adapt(x + [_T, 0], (y + _E, dy))
  batch = [tf.constant(array) for array in (x + [_T, 0], y + _E, dy)]
  loss = [
    model.train_on_batch(batch[0], tuple(batch[1:]), return_dict=True)["loss"]
    for _ in range(5)
  ]
  assert loss[-1] < loss[0]
  value = model.predict(x + [_T, 0], verbose=0)
  assert np.unique(value).size == len(x)
  model.save(tmp_path / "model.keras")
  loaded = keras.models.load_model(tmp_path / "model.keras")
  np.testing.assert_array_equal(loaded.predict(x + [_T, 0], verbose=0), value)


def test_ordinary_data_is_answered_in_single_precision():
  x, y, dy = _data()
  model = _model()
  with warnings.catch_warnings():
    warnings.simplefilter("error", UserWarning)
    _fit(model, "split", x + [100, 0], y + 1, dy)
  assert model.predict(x, verbose=0).dtype == np.float32
  assert model.predict_with_derivatives(x)[0].dtype == np.float32


def test_what_no_scaling_can_mend_is_said():
  x, y, dy = _data()
  with pytest.warns(UserWarning, match=r"x\[:, 0\] has an offset"):
    _fit(_model(None), "split", x + [_T, 0], y, dy)
  with pytest.warns(UserWarning, match="^y has an offset"):
    _fit(_model(None), "split", x, y + _E, dy)
  with pytest.warns(UserWarning, match=r"x\[:, 0\] has an offset"):
    _fit(_model(), "split", np.float32(x + [_T, 0]), y, dy)
  with pytest.warns(UserWarning, match="metrics given to compile"):
    _fit(_model(metrics=["mae"]), "split", x, y + _E, dy)


def test_a_double_network_gets_double_arrays():
  x, y, dy = _data()
  network = keras.Sequential([keras.layers.Dense(1, dtype="float64")])
  model = SobolevModel(network, dtype="float64")
  model.compile(run_eagerly=True)
  model.build((None, 2))
  y = y[:, np.newaxis] * 0 + model.predict(x / 86400, verbose=0)
  dy = np.broadcast_to(network.weights[0].numpy().T, [40, 1, 2])
  measured = model.evaluate(x / 86400, (y, dy), verbose=0, return_dict=True)
  assert 0 <= measured["loss"] < 1e-25
