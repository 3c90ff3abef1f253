"""`SobolevModel` on derivatives along random directions."""

import keras
import numpy as np

from sobolev_tf.model import SobolevModel


def _network(outputs=1):
  keras.utils.set_random_seed(0)
  dense = keras.layers.Dense
  return keras.Sequential([dense(5, "tanh"), dense(outputs)])


def _labelled(count=12):
  x = np.random.default_rng(0).uniform(-1, 2, [count, 2])
  y = 3 * np.sin(x[:, 0]) * x[:, 1] + 1
  sin, cos = np.sin(x[:, 0]), np.cos(x[:, 0])
  dy = 3 * np.stack([cos * x[:, 1], sin], axis=1)
  d2y = 3 * np.stack([-sin * x[:, 1], cos, cos, 0 * sin], axis=1)
  return x, y, dy, d2y.reshape([count, 2, 2])


def _step(num_projections):
  """The weights after one full-batch step of SGD."""
  x, y, dy, _ = _labelled()
  model = SobolevModel(_network(), num_projections=num_projections)
  model.compile(keras.optimizers.SGD(1.0))
  model.fit(x, (y, dy), batch_size=len(x), shuffle=False, verbose=0)
  return model.get_weights()


def test_projections_of_one_output_are_the_full_first_derivative(float64):
  for one, other in zip(_step(None), _step(3), strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_projections_repeat_with_the_seed_and_change_with_the_step():
  x, y, dy, d2y = _labelled()
  losses = []
  for seed in (3, 3, 4):
    model = SobolevModel(_network(), order=2, num_projections=1, seed=seed)
    model.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    history = model.fit(x, (y, dy, d2y), shuffle=False, epochs=2, verbose=0)
    losses.append(history.history["loss"])
    one, two = (model.evaluate(x, (y, dy, d2y), verbose=0) for _ in range(2))
    assert one == two
  assert losses[0] == losses[1] != losses[2]
  assert losses[0][0] != losses[0][1]


def test_many_projections_approach_the_mean_over_directions(float64):
  x, y, dy, d2y = _labelled()
  labels = (np.stack([y, 2 * y], 1), np.stack([dy, 2 * dy], 1))
  losses = []
  for num_projections in (None, 2000):
    model = SobolevModel(_network(outputs=2), num_projections=num_projections)
    model.compile("sgd")
    model(x[:1])
    logs = model.evaluate(x, labels, verbose=0, return_dict=True)
    losses.append(logs["loss"] - 2 * logs["value_mse"])
    losses.append(logs["d1_mse"])
  # E<v, e>^2 = |e|^2 / 2 for two outputs; the metric makes up for that.
  np.testing.assert_allclose(losses[2], losses[0] / 2, rtol=0.05)
  np.testing.assert_allclose(losses[3], losses[1], rtol=0.05)


def test_compiled_projections_repeat_and_learn(float64):
  x, y, dy, _ = _labelled(count=4)
  model = SobolevModel(_network(), num_projections=1)
  model.compile(keras.optimizers.Adam(0.02), jit_compile=True)
  model(x[:1])
  model.optimizer.build(model.trainable_variables)
  variables = [*model.variables, *model.optimizer.variables]
  start = [variable.numpy() for variable in variables]
  losses = []
  for _ in range(2):
    for variable, value in zip(variables, start, strict=True):
      variable.assign(value)
    history = model.fit(x, (y, dy), shuffle=False, epochs=20, verbose=0)
    losses.append(history.history["loss"])
  assert losses[0] == losses[1]
  assert np.mean(losses[0][-10:]) < 0.9 * np.mean(losses[0][:10])
