"""`SobolevModel.fit_full_batch`: its methods, guards and callbacks."""

import keras
import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

from sobolev_tf.model import SobolevModel
from sobolev_tf.training.minimisers import Adam
from sobolev_tf.training.resident_loss import ResidentLoss

_METHODS = ("adam", "lbfgs", "levenberg_marquardt")


def _labelled(count=24, seed=0):
  rng = np.random.default_rng(seed)
  x = rng.uniform(-1, 1, [count, 2])
  y = np.sin(3 * x[:, 0]) * x[:, 1]
  dy = np.stack([3 * np.cos(3 * x[:, 0]) * x[:, 1], np.sin(3 * x[:, 0])], 1)
  return x, (y, dy)


def _network(activation="tanh", units=8, outputs=1, **kwargs):
  def layer(size, activation, seed):
    initial = keras.initializers.GlorotUniform(seed)
    return keras.layers.Dense(
      size, activation, kernel_initializer=initial, **kwargs
    )

  return keras.Sequential(
    [layer(units, activation, 1), layer(outputs, None, 2)]
  )


def _model(network=None, scaling="standard", rate=1e-2, model=None, **kwargs):
  model = model or SobolevModel(network or _network(), scaling=scaling)
  model.compile(keras.optimizers.Adam(rate), **kwargs)
  return model


def _fit(model, method="adam", **kwargs):
  kwargs.setdefault("updates", 30)
  kwargs.setdefault("updates_per_epoch", 10)
  kwargs.setdefault("jit_compile", False)
  return model.fit_full_batch(*_labelled(), method=method, **kwargs)


@pytest.mark.parametrize("method", _METHODS)
def test_history_says_what_evaluate_says_of_the_final_weights(method):
  model = _model(derivative_weights=0.3)
  held_out = _labelled(9, seed=1)
  history = _fit(model, method, validation_data=held_out).history
  assert history["loss"][-1] < history["loss"][0]
  for data, prefix in ((_labelled(), ""), (held_out, "val_")):
    measured = model.evaluate(*data, verbose=0, return_dict=True)
    for name, value in measured.items():
      np.testing.assert_allclose(
        history[prefix + name][-1], value, rtol=2e-4, err_msg=name
      )


def test_adam_makes_the_updates_of_fit(float64):
  # With a schedule of the user's own nothing is left to differ.
  rate = keras.optimizers.schedules.ExponentialDecay(1e-2, 10, 0.9)
  models = [
    _model(_network(), rate=rate, derivative_weights=[0.7]) for _ in range(2)
  ]
  x, y = _labelled()
  models[0].fit(x, y, batch_size=len(x), epochs=6, shuffle=False, verbose=0)
  _fit(models[1], updates=6, updates_per_epoch=4)
  for a, b in zip(
    models[0].get_weights(), models[1].get_weights(), strict=True
  ):
    np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)


def test_the_rate_of_adam_ends_at_zero_and_is_given_back():
  model = _model(rate=0.02)
  seen = []
  watch = keras.callbacks.LambdaCallback(
    on_epoch_end=lambda epoch, logs: seen.append(
      [np.array(w) for w in model.get_weights()]
    )
  )
  _fit(model, updates=300, updates_per_epoch=100, callbacks=[watch])
  moved = [
    max(np.abs(a - b).max() for a, b in zip(*pair, strict=True))
    for pair in zip(seen[:-1], seen[1:], strict=True)
  ]
  assert moved[1] < moved[0]
  np.testing.assert_allclose(model.optimizer.learning_rate, 0.02)


def test_relu_networks_take_the_exact_shortcut_to_the_same_weights(float64):
  fitted = []
  for wrapped in (False, True):
    network = _network("relu")
    if wrapped:  # A model in a model is left to nested tapes.
      network = keras.Sequential([network])
    model = _model(network)
    _fit(model, updates=20)
    fitted.append(model.predict_with_derivatives(_labelled()[0]))
  for a, b in zip(*fitted, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method", ("adam", "lbfgs"))
def test_xla_makes_the_same_updates(method, float64):
  plain, compiled = _model(), _model()
  _fit(plain, method, updates=5)
  _fit(compiled, method, updates=5, jit_compile=True)
  weights = zip(compiled.get_weights(), plain.get_weights(), strict=True)
  for fast, slow in weights:
    np.testing.assert_allclose(fast, slow, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
  ("wanted", "updates", "inputs", "compiled"),
  [
    (None, 4999, 2, False),  # would take longer than it saves
    (None, 5000, 2, True),
    (None, 5000, 9, False),  # a Hessian of so many rows
    (True, 1, 9, True),
    (False, 5000, 2, False),
  ],
)
def test_xla_is_for_long_training(wanted, updates, inputs, compiled):
  model = SobolevModel(_network(), order=2)
  model.compile("adam", derivative_weights=[1.0, 1.0])
  x = np.zeros([1, inputs])
  labels = np.zeros(1), np.zeros([1, inputs]), np.zeros([1, inputs, inputs])
  x, y = model.receive(x, labels)
  model.prepare(x, y)
  minimiser = Adam(
    model,
    x,
    y,
    sample_weight=None,
    l2=0.0,
    batch_size=None,
    updates=updates,
    updates_per_epoch=1,
    jit_compile=wanted,
  )
  assert minimiser.uses_xla is compiled


@pytest.mark.parametrize("method", ("lbfgs", "levenberg_marquardt"))
def test_second_order_methods_reach_what_adam_does_not(method):
  slow, fast = _model(), _model()
  slow = _fit(slow, updates=200).history["loss"][-1]
  fast = _fit(fast, method, updates=200).history["loss"][-1]
  assert fast < 0.1 * slow


def test_levenberg_marquardt_minimises_what_the_loss_says(float64):
  """Its residuals' squares are the loss, with weights, NaN, scaling and L2."""
  x, (y, dy) = _labelled(10)
  y, dy = y.copy(), dy.copy()
  y[2], dy[3, 1] = np.nan, np.nan
  for scaling in ("standard", "dml", None):
    model = _model(scaling=scaling, derivative_weights=np.array([[0.3, 2.0]]))
    model.prepare(x, (y, dy))
    loss = ResidentLoss(model, x, (y, dy), np.arange(10.0), l2=0.01)
    residuals = loss.residuals(0)
    np.testing.assert_allclose(tf.reduce_sum(residuals**2), loss(0), rtol=1e-12)


def test_batches_meet_every_example_equally_often_and_depend_on_the_seed():
  def rows(seed, first, count):
    model = SobolevModel(_network(), seed=seed)
    _model(model=model)
    x, y = _labelled(10)
    model.prepare(x, y)
    adam = Adam(
      model,
      x,
      y,
      sample_weight=None,
      l2=0.0,
      batch_size=4,
      updates=10,
      updates_per_epoch=5,
      jit_compile=False,
    )
    return adam._rows(first, count)

  whole = rows(0, 0, 5)
  np.testing.assert_array_equal(np.bincount(whole.ravel()), np.full(10, 2))
  np.testing.assert_array_equal(rows(0, 2, 3), whole[2:])
  assert (rows(1, 0, 5) != whole).any()


def test_mini_batches_train():
  history = _fit(
    _model(rate=0.03), updates=200, updates_per_epoch=50, batch_size=7
  )
  assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]


def test_an_infinite_loss_stops_before_the_first_update():
  x, (y, dy) = _labelled()
  huge = np.full(len(x), 1e308)  # their sum is infinite in float64, too
  for method in _METHODS:
    model = _model(scaling=None)
    model.prepare(x, (y, dy))
    before = model.get_weights()
    with pytest.raises(FloatingPointError, match="not finite at update 0"):
      model.fit_full_batch(
        x, (y, dy), method=method, sample_weight=huge, jit_compile=False
      )
    for a, b in zip(before, model.get_weights(), strict=True):
      np.testing.assert_array_equal(a, b)


def test_a_diverging_run_keeps_the_weights_before_the_update():
  model = _model(scaling=None, rate=1e30, loss="l2")
  with pytest.raises(FloatingPointError, match="not finite at update [1-9]"):
    _fit(model, updates=20)
  assert all(np.isfinite(w).all() for w in model.get_weights())
  assert int(model.optimizer.iterations) < 20


def test_early_stopping_restores_the_best_weights_on_held_out_data():
  model = _model()
  stop = keras.callbacks.EarlyStopping(
    "val_loss", patience=2, restore_best_weights=True
  )
  history = _fit(
    model,
    "lbfgs",
    updates=400,
    validation_split=0.4,
    callbacks=[stop],
  )
  losses = history.history["val_loss"]
  assert len(losses) < 40
  x, (y, dy) = _labelled()
  kept = int(len(x) * 0.6)
  measured = model.evaluate(
    x[kept:], (y[kept:], dy[kept:]), verbose=0, return_dict=True
  )
  np.testing.assert_allclose(measured["loss"], min(losses), rtol=1e-4)


class _Stop(keras.callbacks.Callback):
  """Ends training as a killed process would: without `on_train_end`."""

  def on_epoch_end(self, epoch, logs=None):
    if epoch == 1:
      raise KeyboardInterrupt


def test_backup_and_restore_resumes_adam_exactly(tmp_path):
  def run(callbacks, **kwargs):
    model = _model()
    model.build((None, 2))
    _fit(model, callbacks=callbacks, batch_size=5, updates=40, **kwargs)
    return model

  backup = lambda: keras.callbacks.BackupAndRestore(str(tmp_path))  # noqa: E731
  with pytest.raises(KeyboardInterrupt):
    run([backup(), _Stop()])
  resumed, whole = run([backup()]), run([])
  for a, b in zip(resumed.get_weights(), whole.get_weights(), strict=True):
    np.testing.assert_array_equal(a, b)


def test_stock_callbacks_work(tmp_path):
  model = _model()
  checkpoint = str(tmp_path / "best.weights.h5")
  history = _fit(
    model,
    callbacks=[
      keras.callbacks.CSVLogger(str(tmp_path / "log.csv")),
      keras.callbacks.TensorBoard(str(tmp_path)),
      keras.callbacks.ModelCheckpoint(checkpoint, save_weights_only=True),
      keras.callbacks.ReduceLROnPlateau("loss", patience=1),
    ],
    verbose=2,
  )
  assert len((tmp_path / "log.csv").read_text().splitlines()) == 4
  assert history.epoch == [0, 1, 2]


def test_l2_shrinks_kernels_and_spares_biases():
  def kernels(l2):
    model = _model()
    _fit(model, "lbfgs", l2=l2, updates=100)
    return sum((w**2).sum() for w in model.get_weights() if w.ndim == 2)

  assert kernels(1.0) < 0.1 * kernels(0.0)


def test_a_sonnet_network_is_trained_in_its_own_precision():
  model = _model(snt.nets.MLP([8, 1], activation=tf.tanh))
  history = _fit(model, "lbfgs", updates=60).history["loss"]
  assert history[-1] < 0.3 * history[0]


def test_projections_train_with_every_method():
  for method in _METHODS:
    model = SobolevModel(_network(outputs=2), num_projections=1)
    x, (y, dy) = _labelled()
    y, dy = np.stack([y, -y], axis=1), np.stack([dy, -dy], axis=1)
    _model(model=model)
    history = model.fit_full_batch(
      x, (y, dy), method=method, updates=40, jit_compile=False
    )
    assert np.isfinite(history.history["loss"][-1])


@pytest.mark.parametrize(
  "kwargs, message",
  [
    ({"method": "bfgs"}, "method must be one of 'adam', 'lbfgs'"),
    ({"updates": 0}, "updates must be a whole number"),
    ({"batch_size": 4, "method": "lbfgs"}, "needs all examples"),
    ({"l2": -1.0}, "l2 must be a number at least 0"),
  ],
)
def test_wrong_arguments_are_refused_in_one_sentence(kwargs, message):
  with pytest.raises(ValueError, match=message):
    _fit(_model(), **kwargs)


def test_methods_refuse_what_they_cannot_do():
  model = _model()
  model.compile(keras.optimizers.SGD(0.1))
  with pytest.raises(ValueError, match="must be Adam"):
    _fit(model)
  with pytest.raises(ValueError, match="sums of squares"):
    _fit(_model(derivative_losses="l1"), "levenberg_marquardt")
  with pytest.raises(ValueError, match="no regularisation but"):
    _fit(_model(_network(kernel_regularizer="l2")), "levenberg_marquardt")
  x, (y, dy) = _labelled()
  with pytest.raises(ValueError, match=r"y must have shape \[24, 1\]"):
    _model().fit_full_batch(x, (y[1:], dy))


def _along_all_directions(outputs=2, inputs=2, count=6):
  """Full labels, and the same along the directions of all inputs/outputs."""
  rng = np.random.default_rng(3)
  x, y = rng.normal(size=[count, inputs]), rng.normal(size=[count, outputs])
  dy = rng.normal(size=[count, outputs, inputs])
  half = rng.normal(size=[count, outputs, inputs, inputs])
  d2y = half + np.swapaxes(half, 2, 3)
  units = [np.tile(np.eye(n), [count, 1, 1]) for n in (inputs, outputs)]
  v, u = np.repeat(units[1], inputs, axis=1), np.tile(units[0], [1, outputs, 1])
  vhvp = (v, u, d2y.reshape(count, -1, inputs))
  full = {"y": y, "dy": dy, "d2y": d2y}
  jvp = {"y": y, "jvp": (units[0], np.swapaxes(dy, 1, 2)), "vhvp": vhvp}
  return x, full, (jvp, {"y": y, "vjp": (units[1], dy), "d2y": d2y})


def test_all_basis_directions_train_as_the_full_labels_do(float64):
  """Loss, gradient and residuals: what every method is made of."""
  x, full, alternatives = _along_all_directions()
  model = _model(
    model=SobolevModel(
      _network(outputs=2, units=4), order=2, scaling="standard"
    )
  )
  model.prepare(x, full)
  found = []
  for labels in (full, *alternatives):
    loss = ResidentLoss(model, x, labels)
    with tf.GradientTape() as tape:
      value = loss(0)
    gradient = tape.gradient(value, [v.value for v in loss.variables])
    squares = tf.reduce_sum(loss.residuals(0) ** 2)
    found.append([value, squares, *gradient])
  for other in found[1:]:
    for a, b in zip(other, found[0], strict=True):
      np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("method", _METHODS)
def test_every_method_learns_from_directions_of_the_users_own(method):
  x, (y, dy) = _labelled()
  u = np.random.default_rng(1).normal(size=[len(x), 2])
  labels = {"y": y, "jvp": (u, np.sum(dy * u, axis=1))}
  history = (
    _model()
    .fit_full_batch(
      x,
      labels,
      method=method,
      updates=20,
      updates_per_epoch=10,
      jit_compile=False,
    )
    .history
  )
  assert history["jvp_mse"][-1] < history["jvp_mse"][0]


@pytest.mark.parametrize("scaling", ["standard", None])
def test_an_update_along_directions_makes_no_full_derivative(scaling):
  count, inputs, outputs = 4, 50, 40
  rng = np.random.default_rng(0)
  x, y = rng.normal(size=[count, inputs]), rng.normal(size=[count, outputs])
  labels = {"y": y, "jvp": (x, y), "vjp": (y, x), "vhvp": (y, x, x)}
  model = _model(
    model=SobolevModel(_network(outputs=outputs), order=2, scaling=scaling)
  )
  model.prepare(x, labels)
  loss = ResidentLoss(model, x, labels)

  @tf.function(autograph=False)
  def update():
    with tf.GradientTape() as tape:
      value = loss(0)
    return tape.gradient(value, [v.value for v in loss.variables])

  graph = update.get_concrete_function().graph
  sizes = [
    tensor.shape.num_elements() or 0
    for op in graph.get_operations()
    for tensor in op.outputs
    if tensor.shape.is_fully_defined()
  ]
  assert count * inputs in sizes
  assert max(sizes) < outputs * inputs


@pytest.mark.parametrize(
  ("changes", "phrase"),
  [
    ({"x": iter([1])}, "all examples in memory, but x is a list_iterator"),
    ({"y": None}, "labels are missing"),
    ({"sample_weight": np.ones([5])}, "for the 24 examples"),
    ({"validation_data": (1, 2, 3)}, r"a pair \(x, y\).* a tuple of 3"),
    ({"validation_data": 3}, r"a pair \(x, y\).* a int"),
  ],
)
def test_what_is_no_set_of_arrays_is_refused(changes, phrase):
  x, labels = _labelled()
  with pytest.raises(ValueError, match=phrase):
    _model().fit_full_batch(**{"x": x, "y": labels, "updates": 1, **changes})
