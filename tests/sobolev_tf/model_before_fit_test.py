"""What Keras does with a model works before `fit`, and after it alike."""

import keras
import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

from sobolev_tf.model import SobolevModel

_X = np.random.default_rng(0).uniform(-1, 1, [8, 2]).astype("float32")
_Y = np.sin(_X[:, 0]) * _X[:, 1]
_DY = np.stack([np.cos(_X[:, 0]) * _X[:, 1], np.sin(_X[:, 0])], axis=1)
_LABELS = (_Y, _DY)


def _fresh(kind="keras", scaling=None, **kwargs):
  if kind == "keras":
    dense = keras.layers.Dense
    network = keras.Sequential([dense(4, "tanh"), dense(1)])
  else:
    network = snt.nets.MLP([4, 1], activation=tf.tanh)
  model = SobolevModel(network, scaling=scaling)
  model.compile("sgd", **kwargs)
  return model


def _batches():
  for start in (0, 4):
    rows = slice(start, start + 4)
    yield _X[rows], (_Y[rows], _DY[rows])


def _without_shapes():
  types = (tf.float32, (tf.float32, tf.float32))
  return tf.data.Dataset.from_generator(_batches, output_types=types)


class Batches(keras.utils.PyDataset):
  def __len__(self):
    return 2

  def __getitem__(self, index):
    return list(_batches())[index]


@pytest.mark.parametrize("kind", ["keras", "sonnet"])
@pytest.mark.parametrize("run_eagerly", [False, True])
@pytest.mark.parametrize("method", ["evaluate", "test_on_batch"])
def test_a_fresh_model_is_measured_as_by_hand(method, run_eagerly, kind):
  model = _fresh(kind, run_eagerly=run_eagerly, metrics=["mae"])
  options = {"verbose": 0} if method == "evaluate" else {}
  logs = getattr(model, method)(_X, _LABELS, return_dict=True, **options)
  y, dy = model.predict_with_derivatives(_X)
  error = y[:, 0] - _Y
  expected = {
    "mae": np.abs(error).mean(),
    "value_mse": np.mean(error**2),
    "d1_mse": np.mean((dy[:, 0] - _DY) ** 2),
  }
  expected["loss"] = expected["value_mse"] + 2 * expected["d1_mse"]
  assert set(logs) == set(expected)
  for name in expected:
    np.testing.assert_allclose(logs[name], expected[name], rtol=1e-5)


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_a_fresh_model_trains_on_single_batches(run_eagerly):
  model = _fresh(run_eagerly=run_eagerly)
  first = model.train_on_batch(_X, _LABELS, sample_weight=np.ones(8))
  for _ in range(3):
    last = model.train_on_batch(_X, {"y": _Y[:, None], "dy": _DY})
  assert last[0] < first[0]


@pytest.mark.parametrize(
  "data",
  [_without_shapes, _batches, Batches, lambda: _without_shapes().repeat()],
)
def test_a_fresh_model_is_fitted_to_data_without_shapes(data):
  fitted, reference = _fresh(), _fresh()
  fitted.build((None, 2))
  reference.build((None, 2))
  reference.set_weights(fitted.get_weights())
  fitted = SobolevModel(fitted.network)  # not built itself
  fitted.compile("sgd")
  options = {"steps_per_epoch": 2, "verbose": 0, "shuffle": False}
  history = fitted.fit(data(), **options)
  reference.fit(_X, _LABELS, batch_size=4, shuffle=False, verbose=0)
  assert len(history.history["d1_mse"]) == 1
  for one, other in zip(fitted.weights, reference.weights, strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("scaling", ["standard", "dml"])
@pytest.mark.parametrize("data", [_without_shapes, Batches])
def test_a_scaling_is_fitted_to_data_without_shapes(data, scaling):
  model = _fresh(scaling=scaling)
  model.fit(data(), verbose=0)
  np.testing.assert_allclose(model.scaling.x_mean, _X.mean(axis=0), rtol=1e-5)
  assert model.predict(data(), verbose=0).shape == (8, 1)


@pytest.mark.parametrize(
  "call",
  [
    lambda model: model.predict(_X, verbose=0),
    lambda model: model.predict_on_batch(_X),
    lambda model: model.predict_with_derivatives(_X),
    lambda model: model.predict_derivatives(_X),
    lambda model: model.evaluate(_X, _LABELS, verbose=0),
    lambda model: model.test_on_batch(_X, _LABELS),
    lambda model: model.train_on_batch(_X, _LABELS),
  ],
)
def test_a_scaling_that_saw_no_data_is_named(call):
  model = _fresh(scaling="standard")
  with pytest.raises(ValueError, match=r"has not been fitted .* call adapt"):
    call(model)
  model.adapt(_X, _LABELS)
  call(model)


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch"])
def test_a_model_that_was_not_compiled_is_named(method):
  model = SobolevModel(keras.layers.Dense(1))
  with pytest.raises(ValueError, match=f"call compile before {method}"):
    getattr(model, method)(_X, _LABELS)


def _export(model, tmp_path):
  model.export(str(tmp_path / "exported"), verbose=False)
  loaded = tf.saved_model.load(str(tmp_path / "exported"))
  np.testing.assert_allclose(
    loaded.serve(_X), model.predict(_X, verbose=0), rtol=1e-5, atol=1e-6
  )


@pytest.mark.parametrize(
  "use",
  [
    lambda model: model.fit(_X, _LABELS, verbose=0),
    lambda model: model.fit(Batches(), verbose=0),
    lambda model: model.evaluate(_X, _LABELS, verbose=0),
    lambda model: model.train_on_batch(_X, _LABELS),
  ],
)
def test_a_model_is_exported_after_any_use(use, tmp_path):
  model = _fresh()
  use(model)
  _export(model, tmp_path)


def test_a_loaded_model_is_exported(tmp_path):
  model = _fresh(scaling="standard")
  model.fit(_X, _LABELS, verbose=0)
  model.save(tmp_path / "model.keras")
  _export(keras.models.load_model(tmp_path / "model.keras"), tmp_path)


def test_a_sonnet_model_is_exported(tmp_path):
  model = _fresh("sonnet", scaling="standard")
  model.fit(_X, _LABELS, verbose=0)
  _export(model, tmp_path)


@pytest.mark.parametrize("name", ["model.h5", "model.hdf5"])
def test_the_old_format_is_refused_before_a_file_is_made(name, tmp_path):
  model = _fresh()
  model.build((None, 2))
  with pytest.raises(ValueError, match=r"cannot be saved as \.h5; .*\.keras"):
    model.save(tmp_path / name)
  assert not list(tmp_path.iterdir())
  # Keras' own function has opened the file before it asks the model.
  with pytest.raises(ValueError, match=r"cannot be saved as \.h5; .*\.keras"):
    keras.models.save_model(model, tmp_path / name)


def test_what_is_minimised_has_a_name_where_others_look_for_it():
  assert _fresh().loss == "l2"
  assert _fresh(loss="huber").loss == "huber"


def test_scikit_learns_wrapper_takes_the_model():
  def make(X, y):
    return _fresh(derivative_weights=0)

  regressor = keras.wrappers.SKLearnRegressor(make, fit_kwargs={"verbose": 0})
  regressor.fit(_X, _Y)
  assert regressor.predict(_X).shape in ((8,), (8, 1))
