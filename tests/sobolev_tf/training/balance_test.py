"""Weights that follow from gradients: closed forms, training, saving."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from sobolev_tf.model import SobolevModel
from sobolev_tf.training import balance
from sobolev_tf.training.balance import GradientBalance


def _gradients(count, seed=0):
  rng = np.random.default_rng(seed)
  return [
    [tf.constant(rng.normal(size=[3, 2])), tf.constant(rng.normal(size=[2]))]
    for _ in range(count)
  ]


def _flat(gradient):
  return np.concatenate([np.ravel(g) for g in gradient])


def _model(method="balanced", order=1, rate=1e-2, **kwargs):
  layers = [
    keras.layers.Dense(
      units, activation, kernel_initializer=keras.initializers.GlorotUniform(i)
    )
    for i, (units, activation) in enumerate([(6, "tanh"), (1, None)])
  ]
  model = SobolevModel(
    keras.Sequential([keras.Input([2]), *layers]), order=order, seed=3
  )
  model.compile(
    keras.optimizers.Adam(rate), derivative_weights=method, **kwargs
  )
  return model


def _data(order=1, sign=1.0):
  x = np.random.default_rng(1).uniform(-1, 1, [12, 2]).astype("float32")
  a, b = x.T
  labels = (
    np.sin(a) * b,
    sign * np.stack([np.cos(a) * b, np.sin(a)], axis=1),
    np.stack(
      [[-np.sin(a) * b, np.cos(a)], [np.cos(a), 0 * a]], axis=0
    ).transpose(2, 0, 1),
  )
  return x, labels[: order + 1]


def test_balanced_gradients_of_all_orders_are_as_long_as_the_value_s():
  gradients = _gradients(3)
  state = GradientBalance("balanced", 2, dtype="float64")
  combined = _flat(state.combine(gradients))
  flat = [_flat(g) for g in gradients]
  norms = [np.linalg.norm(g) for g in flat]
  expected = sum(g * norms[0] / n for g, n in zip(flat, norms, strict=True))
  np.testing.assert_allclose(combined, expected, rtol=1e-12)
  np.testing.assert_allclose(
    state.weights_now.numpy(), [norms[0] / n for n in norms[1:]], rtol=1e-12
  )
  cosine = flat[0] @ flat[1] / norms[0] / norms[1]
  np.testing.assert_allclose(state.cosines_now.numpy()[0], cosine, rtol=1e-12)


def test_norms_are_exponential_averages():
  state = GradientBalance("balanced", 1, dtype="float64")
  averages = np.zeros(2)
  for seed in range(3):
    gradients = _gradients(2, seed)
    state.combine(gradients)
    norms = np.array([np.linalg.norm(_flat(g)) for g in gradients])
    averages = 0.99 * averages + 0.01 * norms
  np.testing.assert_allclose(
    state.weights_now.numpy(), averages[:1] / averages[1:], rtol=1e-12
  )


@pytest.mark.parametrize("count", [2, 3])
def test_conflict_free_gradient_has_equal_positive_cosines_with_all(count):
  gradients = _gradients(count, seed=4)
  # Opposed on purpose, of very different lengths.
  gradients[1] = [-3 * a + 0.3 * b for a, b in zip(*gradients[:2], strict=True)]
  flat = [_flat(g) for g in gradients]
  assert flat[0] @ flat[1] < 0
  state = GradientBalance("conflict_free", count - 1, dtype="float64")
  combined = _flat(state.combine(gradients))
  units = [g / np.linalg.norm(g) for g in flat]
  length = np.linalg.norm(combined)
  cosines = [unit @ combined / length for unit in units]
  assert cosines[0] > 0.01
  np.testing.assert_allclose(cosines, cosines[0], rtol=1e-3)
  projections = sum(g @ combined / length for g in flat)
  np.testing.assert_allclose(length, projections, rtol=1e-12)


def test_conflict_free_direction_of_two_is_the_bisector():
  gradients = _gradients(2, seed=7)
  units = [_flat(g) / np.linalg.norm(_flat(g)) for g in gradients]
  combined = _flat(
    GradientBalance("conflict_free", 1, dtype="float64").combine(gradients)
  )
  bisector = sum(units) / np.linalg.norm(sum(units))
  np.testing.assert_allclose(
    combined / np.linalg.norm(combined), bisector, rtol=1e-9
  )


@pytest.mark.parametrize("method", balance.METHODS)
def test_an_order_without_gradient_takes_no_part(method):
  first = _gradients(1)[0]
  absent = [[0 * g for g in first], [None, None]]
  state = GradientBalance(method, 2, dtype="float64")
  combined = _flat(state.combine([first, *absent]))
  np.testing.assert_allclose(combined, _flat(first), rtol=1e-5)
  np.testing.assert_array_equal(state.weights_now.numpy(), [0, 0])


def test_a_gradient_that_is_not_finite_leaves_the_state_as_it_was():
  state = GradientBalance("balanced", 1, dtype="float64")
  state.combine(_gradients(2))
  before = [v.numpy() for v in state.variables]
  state.combine(
    [_gradients(1)[0], [tf.constant(np.full([3, 2], np.nan)), None]]
  )
  for old, variable in zip(before, state.variables, strict=True):
    np.testing.assert_array_equal(old, variable.numpy())


def test_the_first_step_takes_the_ratio_of_both_gradients():
  x, labels = _data()
  weights = {}
  for weight in (0.0, 1.0):
    model = _model(weight)
    model.compile(
      keras.optimizers.SGD(1.0), derivative_weights=weight, run_eagerly=True
    )
    before = model.get_weights()
    model.train_on_batch(x, labels if weight else labels[0])
    after = model.get_weights()
    weights[weight] = [a - b for a, b in zip(before, after, strict=True)]
  value = _flat(weights[0.0])
  slope = _flat(weights[1.0]) - value
  model = _model()
  model.compile(keras.optimizers.SGD(1.0), derivative_weights="balanced")
  before = model.network.get_weights()
  logs = model.train_on_batch(x, labels, return_dict=True)
  after = model.network.get_weights()
  ratio = np.linalg.norm(value) / np.linalg.norm(slope)
  np.testing.assert_allclose(logs["derivative_weight"], ratio, rtol=1e-4)
  taken = _flat([a - b for a, b in zip(before, after, strict=True)])
  np.testing.assert_allclose(taken, value + ratio * slope, rtol=1e-3, atol=1e-6)


def test_full_batch_makes_the_updates_that_fit_makes():
  x, labels = _data()
  rate = keras.optimizers.schedules.ExponentialDecay(1e-2, 5, 0.9)
  one, other = _model(run_eagerly=True), _model()
  for model in (one, other):
    model.compile(
      keras.optimizers.Adam(rate),
      derivative_weights="balanced",
      run_eagerly=model is one,
    )
  for _ in range(3):
    logs = one.train_on_batch(x, labels, return_dict=True)
  history = other.fit_full_batch(
    x, labels, updates=3, updates_per_epoch=3, jit_compile=False
  ).history
  for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
  for name in ("derivative_weight", "gradient_cosine"):
    np.testing.assert_allclose(history[name][-1], logs[name], rtol=1e-3)


def test_each_order_has_a_weight_of_its_own():
  model = _model(order=2, run_eagerly=True)
  logs = model.train_on_batch(*_data(order=2), return_dict=True)
  assert logs["derivative_weight"] != logs["derivative_weight_d2"]
  assert -1 <= logs["gradient_cosine_d2"] <= 1


def test_balance_is_saved_and_restored(tmp_path):
  x, labels = _data()
  model = _model(run_eagerly=True)
  model.train_on_batch(x, labels)
  path = tmp_path / "model.keras"
  model.save(path)
  loaded = keras.models.load_model(path)
  assert loaded.derivative_weights == "balanced"
  for a, b in zip(
    model.balance.variables, loaded.balance.variables, strict=True
  ):
    np.testing.assert_array_equal(a.numpy(), b.numpy())
  assert model.balance.weights_now.numpy()[0] != 1


def test_opposed_gradients_are_told_once():
  state = GradientBalance("balanced", 1, dtype="float64")
  gradient = _gradients(1)[0]
  opposed = [gradient, [-g for g in gradient]]
  combine = tf.function(state.combine)
  for _ in range(99):
    combine(opposed)
  state.warn_of_conflict()  # not yet
  combine(opposed)
  with pytest.warns(UserWarning, match="order 1 have opposed each other"):
    state.warn_of_conflict()
  state.warn_of_conflict()


def test_conflicts_are_looked_for_beside_a_callback_list(monkeypatch):
  asked = []

  def ask(balance):
    asked.append(balance)

  monkeypatch.setattr(GradientBalance, "warn_of_conflict", ask)
  model = _model(run_eagerly=True)
  callbacks = keras.callbacks.CallbackList(add_history=True, model=model)
  model.fit(*_data(), batch_size=12, callbacks=callbacks, verbose=0)
  assert asked == [model.balance]


def test_what_cannot_be_balanced_is_refused():
  with pytest.raises(ValueError, match="'balanced', 'conflict_free', but it"):
    _model("automatic")
  with pytest.raises(ValueError, match="changes with every update"):
    _model().fit_full_batch(*_data(), method="lbfgs")
