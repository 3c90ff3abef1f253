"""What `SobolevModel` learns from few points and their derivatives."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from sobolev_tf.model import SobolevModel


def _network(hidden, layers=1, decay=0.0):
  penalty = keras.regularizers.L2(decay) if decay else None

  def dense(units, activation, seed):
    return keras.layers.Dense(
      units,
      activation,
      kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
      kernel_regularizer=penalty,
    )

  hidden_layers = [dense(hidden, "tanh", seed) for seed in range(layers)]
  return keras.Sequential([*hidden_layers, dense(1, None, 9)])


def _r2(predicted, y):
  return 1 - np.mean((predicted - y) ** 2) / np.var(y)


def _fitted(network, x, labels, epochs, weight=1.0):
  """Trains on data that is repeated inside compiled loops."""
  model = SobolevModel(network, scaling="standard")
  rate = keras.optimizers.schedules.CosineDecay(0.01, epochs)
  model.compile(
    keras.optimizers.Adam(rate),
    derivative_weights=weight,
    steps_per_execution=100,
    jit_compile=True,
  )
  x, labels = x.astype("f"), tuple(label.astype("f") for label in labels)
  data = tf.data.Dataset.from_tensors((x, labels)).repeat(epochs)
  model.adapt(x, labels)
  model.fit(data, verbose=0)
  return model


def test_rosenbrock_is_learnt_from_nine_points_with_gradients():
  axis = np.linspace(-2, 2, 3)
  x = np.stack(np.meshgrid(axis, axis), axis=-1).reshape([9, 2])
  axis = np.linspace(-2, 2, 15)
  test_x = np.stack(np.meshgrid(axis, axis), axis=-1).reshape([-1, 2])

  def value(x):
    return 100 * (x[:, 1] - x[:, 0] ** 2) ** 2 + (x[:, 0] - 1) ** 2

  valley = x[:, 1] - x[:, 0] ** 2
  dy = np.stack(
    [-400 * x[:, 0] * valley + 2 * (x[:, 0] - 1), 200 * valley], axis=1
  )
  network = _network(hidden=12, layers=2, decay=3e-3)
  model = _fitted(network, x, (value(x), dy), epochs=1500)
  assert _r2(model.predict(test_x, verbose=0)[:, 0], value(test_x)) > 0.98


@pytest.mark.parametrize("weight", [0, 1])
def test_a_sinusoid_from_four_points_needs_their_slopes(weight):
  x = np.linspace(-np.pi, np.pi, 4)[:, None]
  test_x = np.linspace(-np.pi, np.pi, 100)[:, None]

  def wave(x):
    return x * np.sin(x)

  labels = wave(x)[:, 0], np.sin(x) + x * np.cos(x)
  network = _network(hidden=12)
  model = _fitted(network, x, labels, epochs=2000, weight=weight)
  r2 = _r2(model.predict(test_x, verbose=0), wave(test_x))
  assert r2 > 0.95 if weight else r2 < 0.5


def test_the_example_of_the_documentation_works():
  x = np.random.default_rng(0).uniform(-1, 1, [200, 2])
  y = np.sin(3 * x[:, 0]) * x[:, 1]
  dy = np.stack(
    [3 * np.cos(3 * x[:, 0]) * x[:, 1], np.sin(3 * x[:, 0])], axis=1
  )
  network = _network(hidden=64, layers=2)
  model = SobolevModel(network, scaling="standard")
  model.compile(keras.optimizers.Adam(3e-3), derivative_weights=1.0)
  # As many steps as 60 epochs, without what an epoch costs.
  data = tf.data.Dataset.from_tensor_slices((x, (y, dy)))
  data = data.shuffle(200, seed=0).repeat(60).batch(32)
  model.fit(data, verbose=0)
  y_new, dy_new = model.predict_with_derivatives([[0.5, 0.5]])
  assert y_new.shape == (1, 1) and dy_new.shape == (1, 1, 2)
  np.testing.assert_allclose(y_new, [[np.sin(1.5) / 2]], atol=0.05)
  np.testing.assert_allclose(
    dy_new, [[[1.5 * np.cos(1.5), np.sin(1.5)]]], atol=0.2
  )
