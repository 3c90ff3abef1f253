"""Saving, stock callbacks and strategies: what Keras does around a model."""

import csv
import os
import subprocess
import textwrap

import keras
import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

from sobolev_tf.model import SobolevModel
from tests import warm_python

# What is saved and called does not depend on how a step is compiled.
pytestmark = pytest.mark.usefixtures("eagerly")


@keras.saving.register_keras_serializable(package="model_callbacks_test")
def halving(step):
  """A schedule that a user might write and register."""
  return 0.5 ** tf.cast(step, tf.float32)


def _data(count=10):
  rng = np.random.default_rng(0)
  x = rng.uniform(-1, 1, [count, 2]).astype("float32")
  y = np.sin(2 * x[:, 0]) * x[:, 1]
  dy = np.stack([2 * np.cos(2 * x[:, 0]) * x[:, 1], np.sin(2 * x[:, 0])], 1)
  return x, (5 * y, 5 * dy)


def _model(kind, seed=0, weights=1.0, learning_rate=0.01, **kwargs):
  if kind == "keras":
    keras.utils.set_random_seed(seed)
    network = keras.Sequential(
      [keras.layers.Dense(4, "tanh"), keras.layers.Dense(1)]
    )
  else:
    tf.random.set_seed(seed)
    network = snt.nets.MLP([4, 1], activation=tf.tanh)
  model = SobolevModel(network, scaling="dml", **kwargs)
  model.compile(
    keras.optimizers.Adam(learning_rate), derivative_weights=weights
  )
  return model


def _fit(model, epochs=2, **kwargs):
  x, labels = _data()
  return model.fit(
    x, labels, batch_size=4, epochs=epochs, shuffle=False, verbose=0, **kwargs
  )


def _assert_same(one, other):
  assert len(one.weights) == len(other.weights)
  for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
  "weights",
  [
    0.3,
    halving,
    [keras.optimizers.schedules.ExponentialDecay(1.0, 2, 0.5), 0.2],
  ],
)
def test_a_loaded_model_continues_as_the_saved_one_would(weights, tmp_path):
  order = len(weights) if isinstance(weights, list) else 1
  x, labels = _data()
  labels = (*labels, np.zeros([10, 2, 2]))[: order + 1]
  model = _model("keras", weights=weights, order=order, num_projections=2)
  data = {"batch_size": 4, "shuffle": False, "verbose": 0}
  model.fit(x, labels, **data)
  model.save(tmp_path / "model.keras")
  loaded = keras.models.load_model(tmp_path / "model.keras")
  _assert_same(model, loaded)
  for one, other in zip(
    model.predict_with_derivatives(x),
    loaded.predict_with_derivatives(x),
    strict=True,
  ):
    np.testing.assert_array_equal(one, other)
  first = model.fit(x, labels, **data).history
  second = loaded.fit(x, labels, **data).history
  assert first == second
  _assert_same(model, loaded)


def test_a_lambda_as_weight_is_refused_when_it_is_saved(tmp_path):
  model = _model("keras", weights=lambda step: 1.0)
  _fit(model, epochs=1)
  with pytest.raises(ValueError, match="holds a lambda, which cannot be saved"):
    model.save(tmp_path / "model.keras")


def test_a_sonnet_model_is_not_saved_as_a_whole(tmp_path):
  model = _model("sonnet")
  _fit(model, epochs=1)
  with pytest.raises(ValueError, match="save_weights"):
    model.save(tmp_path / "model.keras")
  assert not os.listdir(tmp_path)


@pytest.mark.parametrize("kind", ["keras", "sonnet"])
@pytest.mark.parametrize("way", ["weights", "checkpoint"])
def test_weights_and_optimizer_are_restored(kind, way, tmp_path):
  model, other = _model(kind), _model(kind, seed=1)
  _fit(model)
  _fit(other, epochs=1)
  if way == "weights":
    model.save_weights(tmp_path / "a.weights.h5")
    other.load_weights(tmp_path / "a.weights.h5")
  else:
    path = tf.train.Checkpoint(model=model).save(tmp_path / "checkpoint")
    restored = tf.train.Checkpoint(model=other).restore(path)
    restored.assert_existing_objects_matched()
  _assert_same(model, other)
  _fit(model)
  _fit(other)
  _assert_same(model, other)


def test_weights_of_another_sonnet_network_are_refused(tmp_path):
  model = _model("sonnet")
  _fit(model, epochs=1)
  model.save_weights(tmp_path / "a.weights.h5")
  other = SobolevModel(snt.nets.MLP([4, 4, 1]), scaling="dml")
  other(np.zeros([1, 2], "float32"))
  with pytest.raises(ValueError, match="holds 4 variables.* has 6"):
    other.load_weights(tmp_path / "a.weights.h5")


@pytest.mark.parametrize("kind", ["keras", "sonnet"])
def test_parameters_are_counted_once_and_listed(kind):
  model = _model(kind)
  _fit(model, epochs=1)
  trained = 2 * 4 + 4 + 4 + 1
  assert sum(v.numpy().size for v in model.trainable_variables) == trained
  # x and y have a mean and a scale, dy a root mean square; and one flag.
  assert model.count_params() == trained + 2 * 2 + 2 + 2 + 1
  lines = []
  model.summary(print_fn=lines.append)
  assert " Trainable params: 17 " in "\n".join(lines)
  model.trainable = False
  assert not model.trainable_variables


@pytest.mark.parametrize("kind", ["keras", "sonnet"])
def test_early_stopping_restores_the_best_weights(kind):
  model = _model(kind)

  class Spoil(keras.callbacks.Callback):
    """Throws the weights off before every epoch but the first."""

    def on_epoch_begin(self, epoch, logs=None):
      if epoch > 0:
        weights = self.model.get_weights()
        self.model.set_weights([weight + 100 for weight in weights])

    def on_epoch_end(self, epoch, logs=None):
      if epoch == 0:
        self.best = self.model.get_weights()

  spoil = Spoil()
  stopping = keras.callbacks.EarlyStopping(
    "val_value_mse", mode="min", patience=2, restore_best_weights=True
  )
  history = _fit(
    model,
    epochs=9,
    validation_data=_data(),
    callbacks=[spoil, stopping],
  )
  assert history.epoch == [0, 1, 2]
  for one, other in zip(model.get_weights(), spoil.best, strict=True):
    np.testing.assert_array_equal(one, other)


def test_model_checkpoint_saves_the_whole_model(tmp_path):
  model = _model("keras")
  path = tmp_path / "{epoch}.keras"
  _fit(model, callbacks=[keras.callbacks.ModelCheckpoint(path)])
  assert sorted(os.listdir(tmp_path)) == ["1.keras", "2.keras"]
  _assert_same(model, keras.models.load_model(tmp_path / "2.keras"))


@pytest.mark.parametrize("kind", ["keras", "sonnet"])
def test_model_checkpoint_saves_the_best_weights(kind, tmp_path):
  model = _model(kind)
  callback = keras.callbacks.ModelCheckpoint(
    tmp_path / "best.weights.h5",
    monitor="val_value_mse",
    mode="min",
    save_best_only=True,
    save_weights_only=True,
  )
  history = _fit(
    model, epochs=3, callbacks=[callback], validation_data=_data()
  ).history
  other = _model(kind, seed=1)
  _fit(other, epochs=1)
  other.load_weights(tmp_path / "best.weights.h5")
  x, labels = _data()
  logs = other.evaluate(x, labels, verbose=0, return_dict=True)
  best = min(history["val_value_mse"])
  np.testing.assert_allclose(logs["value_mse"], best, rtol=1e-5)


@pytest.mark.parametrize("kind", ["keras", "sonnet"])
def test_the_stock_loggers_and_schedulers_work(kind, tmp_path):
  model = _model(kind)
  plateau = keras.callbacks.ReduceLROnPlateau(
    "loss", factor=0.5, patience=1, min_delta=1e9
  )
  callbacks = [
    keras.callbacks.TensorBoard(tmp_path / "events", histogram_freq=1),
    keras.callbacks.CSVLogger(tmp_path / "log.csv"),
    keras.callbacks.TerminateOnNaN(),
    plateau,
  ]
  _fit(model, epochs=3, callbacks=callbacks, validation_data=_data())
  assert os.listdir(tmp_path / "events")
  with open(tmp_path / "log.csv", newline="") as file:
    rows = list(csv.DictReader(file))
  assert len(rows) == 3
  names = {"loss", "value_mse", "d1_mse"}
  assert names | {f"val_{name}" for name in names} <= set(rows[0])
  assert float(model.optimizer.learning_rate) < 0.01
  scheduler = keras.callbacks.LearningRateScheduler(lambda epoch: 0.125)
  _fit(model, epochs=1, callbacks=[scheduler])
  assert float(model.optimizer.learning_rate) == 0.125


def test_terminate_on_nan_stops():
  model = _model("sonnet", learning_rate=1e38)
  history = _fit(model, 20, callbacks=[keras.callbacks.TerminateOnNaN()])
  assert len(history.epoch) < 20


@pytest.mark.parametrize("kind", ["keras", "sonnet"])
def test_backup_and_restore_resumes_at_the_epoch_it_left(kind, tmp_path):
  class Interrupt(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
      if epoch == 2:
        raise KeyboardInterrupt

  backup = str(tmp_path / "backup")
  interrupted = _model(kind, num_projections=1)
  with pytest.raises(KeyboardInterrupt):
    _fit(
      interrupted,
      epochs=4,
      callbacks=[keras.callbacks.BackupAndRestore(backup), Interrupt()],
    )
  resumed = _model(kind, seed=1, num_projections=1)
  history = _fit(
    resumed, epochs=4, callbacks=[keras.callbacks.BackupAndRestore(backup)]
  )
  assert history.epoch == [2, 3]
  uninterrupted = _model(kind, num_projections=1)
  _fit(uninterrupted, epochs=4)
  _assert_same(resumed, uninterrupted)


_MIRRORED = """
  import sys

  import keras
  import numpy as np
  import sonnet as snt
  import tensorflow as tf

  from sobolev_tf.model import SobolevModel

  tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
  )
  rng = np.random.default_rng(0)
  # Batches of 4, 4 and 1: the last gives one replica an example, one none.
  x = rng.uniform(-1, 1, [9, 2]).astype("float32")
  y = np.stack([np.sin(2 * x[:, 0]) * x[:, 1], x[:, 0] ** 2], 1)
  zero = np.zeros(9, "float32")
  dy = np.stack(
    [2 * np.cos(2 * x[:, 0]) * x[:, 1], np.sin(2 * x[:, 0]), 2 * x[:, 0], zero],
    axis=1,
  ).reshape([9, 2, 2])

  def train(kind, scope, num_projections, weights):
    with scope:
      keras.utils.set_random_seed(0)
      if kind == "keras":
        network = keras.Sequential(
          [keras.layers.Dense(4, "tanh"), keras.layers.Dense(2)]
        )
      else:
        network = snt.nets.MLP([4, 2], activation=tf.tanh)
      model = SobolevModel(
        network, scaling="standard", num_projections=num_projections
      )
      model.compile(keras.optimizers.SGD(0.1), derivative_weights=weights)
    data = tf.data.Dataset.from_tensor_slices((x, (y, dy), x[:, 0] + 2))
    history = model.fit(
      data.batch(4), epochs=2, verbose=0, validation_data=data.batch(4)
    )
    assert model.optimizer.iterations.numpy() == 6
    return model.get_weights(), history.history

  for kind, num_projections, weights in (
    ("keras", None, "balanced"),
    ("sonnet", 2, 0.3),
  ):
    strategy = tf.distribute.MirroredStrategy(
      ["CPU:0", "CPU:1"],
      cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )
    assert strategy.num_replicas_in_sync == 2
    mirrored = train(kind, strategy.scope(), num_projections, weights)
    single = train(kind, tf.device("CPU:0"), num_projections, weights)
    for one, other in zip(mirrored[0], single[0], strict=True):
      np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)
    assert set(mirrored[1]) == set(single[1])
    for name in single[1]:
      np.testing.assert_allclose(
        mirrored[1][name], single[1][name], rtol=1e-5, err_msg=name
      )
  print("all equal")
"""


def test_two_replicas_train_as_one_device_does():
  root = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
  # Logical devices have to be set before TensorFlow starts: a new process.
  result = subprocess.run(
    [warm_python.command(), "-c", textwrap.dedent(_MIRRORED)],
    env={**os.environ, "PYTHONPATH": root, "TF_CPP_MIN_LOG_LEVEL": "3"},
    capture_output=True,
    text=True,
    timeout=300,
    check=False,
  )
  assert "all equal" in result.stdout, result.stderr[-3000:]
