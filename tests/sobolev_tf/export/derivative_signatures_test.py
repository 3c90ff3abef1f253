"""Exported networks against the networks themselves."""

import hashlib
import json
import subprocess

import keras
import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import sobolev_tf
from sobolev_tf import SobolevModel
from sobolev_tf.derivatives import derivatives
from sobolev_tf.derivatives.finite_differences import finite_differences
from tests import warm_python

_DENSE = keras.layers.Dense
_X = np.random.default_rng(0).uniform(-1, 1, [6, 2]).astype(np.float32)


@pytest.fixture(scope="module")
def trained():
  """A `SobolevModel` of order 2 with offsets and scales to undo."""
  x = _X * [2, 30] + [5, -100]
  y = 1000 + 7 * np.sin(_X).sum(axis=1, keepdims=True)
  network = keras.Sequential([_DENSE(5, "tanh"), _DENSE(1)])
  model = SobolevModel(network, order=2, scaling="standard")
  model.compile("adam", derivative_weights=0.0)
  model.fit(x, y, verbose=0)
  return model, x.astype(np.float32)


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
  path = tmp_path_factory.mktemp("exported") / "model"
  sobolev_tf.export(
    trained[0], path, card={"data": "sines", "licence": "CC0-1.0"}
  )
  return path


def test_values_and_derivatives_equal_pythons(trained, exported):
  model, x = trained
  loaded = tf.saved_model.load(str(exported))
  wanted = model.predict_with_derivatives(x)
  terms = loaded.signatures["value_and_derivatives"](x=tf.constant(x))
  for name, value in zip(("y", "dy", "d2y"), wanted, strict=True):
    np.testing.assert_allclose(terms[name], value, rtol=1e-5, atol=1e-6)
  served = loaded.signatures["serving_default"](x=tf.constant(x[:1]))["y"]
  np.testing.assert_allclose(served, wanted[0][:1], rtol=1e-6)


def test_products_with_directions_are_contractions(trained, exported):
  model, x = trained
  _, gradient, hessian = model.predict_with_derivatives(x)
  loaded = tf.saved_model.load(str(exported))
  u = np.random.default_rng(1).normal(size=x.shape).astype(np.float32)
  arguments = {"x": tf.constant(x), "u": tf.constant(u)}
  np.testing.assert_allclose(
    loaded.signatures["jvp"](**arguments)["jvp"],
    np.einsum("boi,bi->bo", gradient, u),
    rtol=1e-4,
    atol=1e-5,
  )
  np.testing.assert_allclose(
    loaded.signatures["hvp"](**arguments)["hvp"],
    np.einsum("boij,bj->boi", hessian, u),
    rtol=1e-4,
    atol=1e-5,
  )


def test_second_order_survives_with_its_parameter_gradients(tmp_path):
  network = keras.Sequential(
    [
      keras.Input([2], dtype="float64"),
      _DENSE(4, "tanh", dtype="float64"),
      _DENSE(1, dtype="float64"),
    ]
  )
  sobolev_tf.export(network, tmp_path / "model")
  loaded = tf.saved_model.load(str(tmp_path / "model"))
  x = tf.constant(_X, tf.float64)

  def penalty():
    return tf.reduce_sum(loaded.value_and_derivatives(x)["dy"] ** 2)

  with tf.GradientTape() as tape:
    loss = penalty()
  kernel = next(v for v in loaded.parameters if v.shape == [2, 4])
  gradient = tape.gradient(loss, kernel)
  start = kernel.numpy()

  def moved(flat):
    kernel.assign(flat.reshape(start.shape))
    return penalty().numpy()

  numeric = finite_differences(moved, start.reshape(1, -1), batched=False)
  np.testing.assert_allclose(
    gradient, np.reshape(numeric, start.shape), rtol=1e-5, atol=1e-8
  )


def test_a_sonnet_network_needs_the_shape_of_x(tmp_path):
  network = snt.nets.MLP([4, 3], activation=tf.tanh)
  with pytest.raises(ValueError, match=r"no variables yet.*\.$"):
    sobolev_tf.export(network, tmp_path / "model", input_shape=[2])
  wanted = derivatives(network, _X, 1)
  with pytest.raises(ValueError, match=r"input_shape=.*\.$"):
    sobolev_tf.export(network, tmp_path / "model")
  sobolev_tf.export(network, tmp_path / "model", input_shape=[2])
  loaded = tf.saved_model.load(str(tmp_path / "model"))
  terms = loaded.value_and_derivatives(tf.constant(_X))
  np.testing.assert_allclose(terms["dy"], wanted[1], rtol=1e-5, atol=1e-6)


def test_the_card_says_what_the_files_are(exported):
  card = json.loads((exported / "card.json").read_text())
  assert card["data"] == "sines"
  assert card["licence"] == "CC0-1.0"
  assert card["limits"] == "not stated"
  assert card["scaling"] == "standard"
  assert card["x"] == {"shape": [None, 2], "dtype": "float32"}
  assert card["signatures"]["value_and_derivatives"] == ["d2y", "dy", "y"]
  assert "saved_model.pb" in card["sha256"]
  for name, digest in card["sha256"].items():
    content = (exported / name).read_bytes()
    assert hashlib.sha256(content).hexdigest() == digest


def test_it_is_whole_or_absent(exported, trained, tmp_path):
  with pytest.raises(ValueError, match=r"not empty.*\.$"):
    sobolev_tf.export(trained[0], exported)
  with pytest.raises(ValueError, match=r"JSON.*\.$"):
    sobolev_tf.export(trained[0], tmp_path / "model", card={"data": object()})
  assert not (tmp_path / "model").exists()


def test_saved_model_cli_shows_and_runs_it(exported, tmp_path):
  # From another folder: nothing of this package can be imported there.
  cli = "tensorflow.python.tools.saved_model_cli"
  python = warm_python.command()
  np.savez(tmp_path / "in.npz", x=_X, u=_X)
  commands = {
    "show": ["--all"],
    "run": [
      *("--tag_set", "serve", "--signature_def", "jvp"),
      *("--inputs", "x=in.npz[x];u=in.npz[u]"),
    ],
  }
  running = [
    subprocess.Popen(
      [python, "-m", cli, name, "--dir", exported, *options],
      cwd=tmp_path,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    for name, options in commands.items()
  ]
  (shown, _), (ran, error) = (process.communicate() for process in running)
  for name in ("serving_default", "value_and_derivatives", "hvp"):
    assert f"signature_def['{name}']" in shown
  assert "Result for output key jvp" in ran, error


def _decoupled():
  keras.utils.set_random_seed(0)
  segments = [_DENSE(6, "tanh"), _DENSE(3)]
  critic = sobolev_tf.synthetic_gradients.LossCritic(_DENSE(3))
  return sobolev_tf.synthetic_gradients.DecoupledNetwork(segments, [critic])


@pytest.mark.parametrize("as_model", [False, True])
def test_a_decoupled_network_is_exported_without_its_estimators(
  as_model, tmp_path
):
  network = _decoupled()
  network(_X)
  given = (
    sobolev_tf.synthetic_gradients.DecoupledModel(network)
    if as_model
    else network
  )
  sobolev_tf.export(given, tmp_path / "model", input_shape=[2])
  loaded = tf.saved_model.load(str(tmp_path / "model"))
  assert sum(v.shape.num_elements() for v in loaded.parameters) == 39
  wanted = derivatives(network, tf.constant(_X), 1)
  found = loaded.value_and_derivatives(tf.constant(_X))
  np.testing.assert_allclose(found["y"], wanted[0], rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(found["dy"], wanted[1], rtol=1e-5, atol=1e-6)


def test_inputs_that_float32_would_blur_are_float64(tmp_path):
  x = 1e7 + np.random.default_rng(0).uniform(-1, 1, [20, 1])
  y = np.sin(x - 1e7)
  model = SobolevModel(keras.Sequential([_DENSE(1)]), scaling="standard")
  model.compile(derivative_weights=0.0)
  model.fit(x, y, verbose=0)
  sobolev_tf.export(model, tmp_path / "model")
  loaded = tf.saved_model.load(str(tmp_path / "model"))
  found = loaded.value_and_derivatives(tf.constant(x))
  wanted = model.predict_with_derivatives(x)
  np.testing.assert_allclose(found["y"], wanted[0], rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(found["dy"], wanted[1], rtol=1e-5)
  assert np.ptp(found["y"]) > 0
  # The network is linear.
  np.testing.assert_array_equal(loaded.hvp(tf.constant(x), x)["hvp"], 0)


@pytest.mark.parametrize("name", ["value_and_derivatives", "jvp"])
def test_a_signature_runs_in_tflite_with_its_own_operations(
  name, exported, trained
):
  _, x = trained
  converter = tf.lite.TFLiteConverter.from_saved_model(
    str(exported), signature_keys=[name]
  )
  interpreter = tf.lite.Interpreter(model_content=converter.convert())
  run = interpreter.get_signature_runner(name)
  inputs = {"x": x, "u": x} if name == "jvp" else {"x": x}
  found = run(**inputs)
  signature = tf.saved_model.load(str(exported)).signatures[name]
  wanted = signature(**{k: tf.constant(v) for k, v in inputs.items()})
  assert set(found) == set(wanted)
  for key, value in wanted.items():
    np.testing.assert_allclose(found[key], value, rtol=1e-4, atol=1e-4)
