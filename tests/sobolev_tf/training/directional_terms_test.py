"""Training on products with directions against training on all components."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from sobolev_tf.derivatives.nested_tapes import derivatives
from sobolev_tf.model import SobolevModel
from sobolev_tf.training.objective import Objective
from sobolev_tf.training.scaling import Scaling

_SIZE, _INPUTS = 5, 3


def _random(*shape, seed=0):
  return np.random.default_rng(seed).normal(size=shape)


def _network(outputs):
  first, second = _random(_INPUTS, 4, seed=1), _random(4, outputs, seed=2)
  return lambda z: tf.tanh(z @ first) @ second


def _labels(outputs):
  """x, y, dy and d2y with units of their own."""
  x = _random(_SIZE, _INPUTS) * [1, 20, 0.1] + [0, 5, 1]
  y = _random(_SIZE, outputs, seed=3) * 7 + 2
  dy = _random(_SIZE, outputs, _INPUTS, seed=4)
  half = _random(_SIZE, outputs, _INPUTS, _INPUTS, seed=5)
  return x, y, dy, half + np.swapaxes(half, 2, 3)


def _scaling(kind, x, labels):
  scaling = Scaling(kind, order=2, dtype="float64")
  scaling.build((None, _INPUTS), (None, labels[0].shape[1]))
  if kind is not None:
    scaling.adapt([(x, labels)])
  return scaling


def _losses(kind, outputs, labels, full, loss="l2"):
  """The losses of some labels, scaled as the full ones say."""
  x = full[0]
  objective = Objective.of(loss, loss, [0.7, 0.3], order=2)
  losses, _ = objective(
    _network(outputs),
    tf.constant(x),
    labels,
    _scaling(kind, x, full[1:]),
    0,
  )
  return losses


def _units(count):
  return np.tile(np.eye(count), [_SIZE, 1, 1])


@pytest.mark.parametrize("kind", [None, "standard", "dml"])
@pytest.mark.parametrize("outputs", [1, 2])
def test_all_basis_directions_are_the_full_derivatives(kind, outputs):
  full = _labels(outputs)
  _, y, dy, d2y = full
  whole = _losses(kind, outputs, (y, dy, d2y), full)
  columns = (_units(_INPUTS), np.swapaxes(dy, 1, 2))
  rows = (_units(outputs), dy)
  v = np.repeat(_units(outputs), _INPUTS, axis=1)
  u = np.tile(_units(_INPUTS), [1, outputs, 1])
  every = (v, u, d2y.reshape(_SIZE, -1, _INPUTS))
  alternatives = [
    {"y": y, "jvp": columns, "d2y": d2y},
    {"y": y, "vjp": rows, "d2y": d2y},
    {"y": y, "dy": dy, "vhvp": every},
  ]
  if outputs == 1:
    hessian = (_units(_INPUTS), d2y[:, 0])
    alternatives.append({"y": y, "jvp": columns, "hvp": hessian})
  for labels in alternatives:
    losses = _losses(kind, outputs, labels, full)
    np.testing.assert_allclose(losses, whole, rtol=1e-12)


@pytest.mark.parametrize("kind", [None, "standard"])
def test_a_true_label_along_any_direction_costs_nothing(kind):
  outputs, full = 2, _labels(2)
  x, network = full[0], _network(2)
  scaling = _scaling(kind, x, full[1:])

  def f(x):
    return scaling.unscale((network(scaling.scale_inputs(x)),))[0]

  y, dy, d2y = (term.numpy() for term in derivatives(f, tf.constant(x), 2))
  u, v = _random(_SIZE, 4, _INPUTS, seed=6), _random(_SIZE, 4, outputs, seed=7)
  labels = {
    "jvp": (u, np.einsum("boi,bpi->bpo", dy, u)),
    "vjp": (v, np.einsum("boi,bpo->bpi", dy, v)),
    "vhvp": (v, u, np.einsum("boij,bpo,bpj->bpi", d2y, v, u)),
  }
  losses = _losses(kind, outputs, {"y": y, **labels}, full)
  np.testing.assert_allclose(losses, 0, atol=1e-20)
  wrong = {**labels, "jvp": (u, labels["jvp"][1] + 1)}
  assert (_losses(kind, outputs, {"y": y, **wrong}, full).numpy() > 1e-4).all()


def test_unknown_products_and_directions_contribute_nothing():
  full = _labels(2)
  y, u = full[1], _random(_SIZE, 2, _INPUTS, seed=6)
  product = _random(_SIZE, 2, 2, seed=7)
  known = {"y": y, "jvp": (u[:, :1], product[:, :1])}
  for part in (0, 1):
    parts = [u.copy(), product.copy()]
    parts[part][:, 1] = np.nan
    labels = {"y": y, "jvp": tuple(parts), "vjp": (y, np.nan * full[0])}
    variable = tf.Variable(_random(_INPUTS, 4, seed=1))
    with tf.GradientTape() as tape:
      losses, _ = Objective.of("l2", "l2", [0.7, 0.0], order=2)(
        lambda z, w=variable: tf.tanh(z @ w) @ _random(4, 2, seed=2),
        tf.constant(full[0]),
        labels,
        _scaling(None, full[0], full[1:]),
        0,
      )
    assert np.isfinite(tape.gradient(losses, variable)).all()
    wanted = Objective.of("l2", "l2", [0.7, 0.0], order=2)(
      _network(2),
      tf.constant(full[0]),
      known,
      _scaling(None, None, full[1:]),
      0,
    )[0]
    np.testing.assert_allclose(losses, wanted, rtol=1e-12)


def _sines():
  x = np.random.default_rng(0).uniform(-1, 1, [64, 2]).astype(np.float32)
  u = np.random.default_rng(1).normal(size=[64, 2]).astype(np.float32)
  y = np.sin(2 * x).sum(axis=1, keepdims=True)
  jvp = (2 * np.cos(2 * x) * u).sum(axis=1, keepdims=True)
  hvp = -4 * np.sin(2 * x) * u
  return x, {"y": y, "jvp": (u, jvp), "hvp": (u, hvp)}


def _model():
  keras.utils.set_random_seed(0)
  dense = keras.layers.Dense
  network = keras.Sequential([dense(16, "tanh"), dense(1)])
  model = SobolevModel(network, order=2, scaling="standard")
  model.compile(keras.optimizers.Adam(1e-2), derivative_weights=0.5)
  return model


def test_fit_takes_arrays_and_data_sets_and_learns():
  x, labels = _sines()
  model = _model()
  history = model.fit(x, labels, batch_size=64, epochs=1, verbose=0).history
  assert {"value_mse", "jvp_mse", "hvp_mse"} <= set(history)
  assert "d1_mse" not in history
  data = tf.data.Dataset.from_tensor_slices((x, labels)).batch(64)
  before = model.evaluate(data, return_dict=True, verbose=0)
  model.fit(data.repeat(200), verbose=0)  # One epoch: epochs cost time.
  after = model.evaluate(x, labels, return_dict=True, verbose=0)
  for name in ("value_mse", "jvp_mse", "hvp_mse"):
    assert after[name] < 0.2 * before[name]
  # One direction per example is enough for the whole gradient.
  gradient = model.predict_with_derivatives(x)[1][:, 0]
  assert np.mean((gradient - 2 * np.cos(2 * x)) ** 2) < 0.2


def test_no_tensor_of_the_full_jacobian_is_made():
  inputs, outputs = 60, 50
  first = tf.constant(_random(inputs, 8, seed=1))
  second = tf.constant(_random(8, outputs, seed=2))
  scaling = Scaling("standard", order=1, dtype="float64")
  scaling.build((None, inputs), (None, outputs))
  objective = Objective.of(order=1)

  @tf.function(autograph=False)
  def step(x, y, u, v):
    with tf.GradientTape() as tape:
      tape.watch(first)
      losses, _ = objective(
        lambda z: tf.tanh(z @ first) @ second,
        x,
        {"y": y, "jvp": (u, y), "vjp": (v, x)},
        scaling,
        0,
      )
    return tape.gradient(losses, first)

  x, y = tf.zeros([4, inputs], tf.float64), tf.zeros([4, outputs], tf.float64)
  graph = step.get_concrete_function(x, y, x, y).graph
  sizes = [
    tensor.shape.num_elements() or 0
    for op in graph.get_operations()
    for tensor in op.outputs
    if tensor.shape.is_fully_defined()
  ]
  assert max(sizes) < outputs * inputs


def test_a_missing_order_is_named():
  x, labels = _sines()
  del labels["hvp"]
  with pytest.raises(ValueError, match="d2y"):
    _model().fit(x, labels, verbose=0)
