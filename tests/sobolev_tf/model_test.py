import keras
import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

from sobolev_tf.model import SobolevModel

_HIDDEN = 5


@pytest.fixture
def float64():
  keras.config.set_floatx("float64")  # Of arrays that fit is given.
  keras.config.set_dtype_policy("float64")
  yield
  keras.config.set_floatx("float32")
  keras.config.set_dtype_policy("float32")


def _keras_network(outputs=1, hidden=_HIDDEN, layers=1, decay=0.0):
  penalty = keras.regularizers.L2(decay) if decay else None
  hidden_layers = [
    keras.layers.Dense(
      hidden,
      "tanh",
      kernel_initializer=keras.initializers.GlorotUniform(seed=layer),
      kernel_regularizer=penalty,
    )
    for layer in range(layers)
  ]
  last = keras.layers.Dense(
    outputs,
    kernel_initializer=keras.initializers.GlorotUniform(seed=9),
    kernel_regularizer=penalty,
  )
  return keras.Sequential([*hidden_layers, last])


class Tanh64(snt.Module):
  """A Sonnet network in float64 that makes its variables when first called."""

  @snt.once
  def _create(self, inputs):
    rng = np.random.default_rng(1)
    self.w0 = tf.Variable(rng.normal(size=[inputs, _HIDDEN]), name="w0")
    self.b0 = tf.Variable(np.zeros([_HIDDEN]), name="b0")
    self.w1 = tf.Variable(rng.normal(size=[_HIDDEN, 1]), name="w1")
    self.b1 = tf.Variable(np.zeros([1]), name="b1")

  def __call__(self, x):
    self._create(x.shape[-1])
    return tf.tanh(x @ self.w0 + self.b0) @ self.w1 + self.b1


def _network(kind):
  return _keras_network() if kind == "keras" else Tanh64()


def _labelled(count=12, seed=0):
  rng = np.random.default_rng(seed)
  x = rng.uniform(-1, 2, [count, 2])
  y = 3 * np.sin(x[:, 0]) * x[:, 1] + 1
  dy = 3 * np.stack([np.cos(x[:, 0]) * x[:, 1], np.sin(x[:, 0])], axis=1)
  sin, cos = np.sin(x[:, 0]), np.cos(x[:, 0])
  d2y = np.stack([-sin * x[:, 1], cos, cos, 0 * sin], axis=1)
  return x, y, dy, 3 * d2y.reshape([count, 2, 2])


def _one_step(model, x, labels, learning_rate=1.0, **kwargs):
  """The change of the trainable weights in one full-batch step of SGD."""
  model.compile(keras.optimizers.SGD(learning_rate), **kwargs)
  model(x[:1])
  before = [v.numpy() for v in model.trainable_weights]
  model.fit(x, labels, batch_size=len(x), shuffle=False, verbose=0)
  after = [v.numpy() for v in model.trainable_weights]
  return [b - a for a, b in zip(after, before, strict=True)]


def _tanh_network_by_hand(parameters, x):
  """Value `[B]` and gradient `[B, 2]` of the networks above, in NumPy."""
  w0, b0, w1, b1 = parameters
  hidden = np.tanh(x @ w0 + b0)  # [B, H]
  return (
    (hidden @ w1 + b1)[:, 0],
    ((1 - hidden**2) * w1[:, 0]) @ w0.T,
  )


def _loss_by_hand(parameters, x, y, dy, scaling, weight, norm):
  value_weight, mean = 1.0, np.sum
  if scaling:
    sx, sy = x.std(axis=0), y.std()
    x, y, dy = (x - x.mean(axis=0)) / sx, (y - y.mean()) / sy, dy * sx / sy
  value, gradient = _tanh_network_by_hand(parameters, x)
  error = gradient - dy
  if scaling == "dml":
    error = error / np.sqrt(np.mean(dy**2, axis=0))
    value_weight, weight, mean = 1 / 3, weight * 2 / 3, np.mean
  if norm:
    derivative = np.sqrt(mean(error**2, axis=1))
  else:
    derivative = mean(error**2, axis=1)
  return np.mean(value_weight * (value - y) ** 2 + weight * derivative)


@pytest.mark.parametrize(
  "network, scaling, loss",
  [
    ("keras", None, "l2"),
    ("sonnet", None, "norm"),
    ("keras", "standard", "l2"),
    ("sonnet", "dml", "l2"),
  ],
)
def test_a_step_follows_the_numerical_gradient_of_the_loss(
  network, scaling, loss, float64
):
  x, y, dy, _ = _labelled()
  model = SobolevModel(_network(network), scaling=scaling)
  model(x[:1])
  # In the order w0, b0, w1, b1 for both; Sonnet sorts its own by name.
  order = [0, 1, 2, 3] if network == "keras" else [2, 0, 3, 1]
  parameters = [model.trainable_weights[i].numpy() for i in order]
  step = _one_step(
    model, x, (y, dy), derivative_weights=0.3, derivative_losses=loss
  )
  for i, parameter in enumerate(parameters):
    numerical = np.zeros_like(parameter)
    for index in np.ndindex(parameter.shape):
      losses = []
      for shift in (1e-5, -1e-5):
        moved = [p.copy() for p in parameters]
        moved[i][index] += shift
        losses.append(
          _loss_by_hand(moved, x, y, dy, scaling, 0.3, loss == "norm")
        )
      numerical[index] = (losses[0] - losses[1]) / 2e-5
    np.testing.assert_allclose(step[order[i]], numerical, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_weight_zero_is_plain_training_bit_for_bit(optimizer):
  x, y, dy, _ = _labelled()
  plain = _keras_network()
  plain.compile(optimizer, loss="mse")
  plain.fit(x, y[:, None], batch_size=5, epochs=3, shuffle=False, verbose=0)
  model = SobolevModel(_keras_network())
  model.compile(optimizer, derivative_weights=0)
  model.fit(x, (y, dy), batch_size=5, epochs=3, shuffle=False, verbose=0)
  for one, other in zip(plain.weights, model.weights, strict=True):
    np.testing.assert_array_equal(one, other)


def test_a_schedule_that_returns_zero_is_plain_training_bit_for_bit():
  x, y, dy, _ = _labelled()
  steps = []
  for weights in (0, lambda step: 0.0 * tf.cast(step, tf.float32)):
    model = SobolevModel(_keras_network())
    steps.append(_one_step(model, x, (y, dy), derivative_weights=weights))
  for one, other in zip(*steps, strict=True):
    np.testing.assert_array_equal(one, other)


class NotDifferentiable(keras.layers.Layer):
  def build(self, input_shape):
    self.w = self.add_weight(shape=(2, 1))

  def call(self, x):
    return tf.stop_gradient(x) @ self.w


def test_weight_zero_does_not_differentiate_and_needs_no_labels():
  x, y, dy, _ = _labelled()
  model = SobolevModel(NotDifferentiable())
  model.compile("sgd", derivative_weights=0)
  history = model.fit(x, y, verbose=0).history
  assert set(history) == {"loss", "value_mse"}
  model.fit(x, (y, dy), verbose=0)
  model.compile("sgd", derivative_weights=1e-9)
  with pytest.raises(ValueError, match="does not depend on x"):
    model.fit(x, (y, dy), verbose=0)


def test_only_the_orders_above_the_highest_weight_are_left_out():
  x, y, dy, _ = _labelled()
  model = SobolevModel(_keras_network(), order=2)
  model.compile("sgd", derivative_weights=(1, 0))
  history = model.fit(x, (y, dy), verbose=0).history
  assert set(history) == {"loss", "value_mse", "d1_mse"}


def test_weights_follow_a_schedule_of_the_optimizer_step(float64):
  x, y, dy, _ = _labelled()
  data = {"batch_size": len(x), "shuffle": False, "verbose": 0}
  scheduled = SobolevModel(_keras_network())
  schedule = keras.optimizers.schedules.PiecewiseConstantDecay([1], [0.5, 2.0])
  scheduled.compile(keras.optimizers.SGD(0.1), derivative_weights=schedule)
  scheduled.fit(x, (y, dy), epochs=3, **data)
  # Step 0 and 1 have the first weight: the boundary belongs to it.
  by_hand = SobolevModel(_keras_network())
  for weight in (0.5, 0.5, 2.0):
    by_hand.compile(keras.optimizers.SGD(0.1), derivative_weights=weight)
    by_hand.fit(x, (y, dy), **data)
  for one, other in zip(scheduled.weights, by_hand.weights, strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-12)


def test_every_accepted_label_shape_gives_the_same_step(float64):
  x, y, dy, d2y = _labelled()
  short, full = (y, dy, d2y), (y[:, None], dy[:, None], d2y[:, None])
  steps = [
    _one_step(SobolevModel(_keras_network(), order=2), x, labels)
    for labels in (short, full, [y, dy[:, None], d2y])
  ]
  for one, two, three in zip(*steps, strict=True):
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one, three)


@pytest.mark.parametrize("scaling", [None, "standard"])
@pytest.mark.parametrize(
  "cut, message",
  [
    (lambda y, dy: (y, dy[:, :1]), r"dy must have shape \[\w+, 1, 2\] or"),
    (lambda y, dy: (y, y), r"dy must .* but it has shape \[\w+\]"),
    (lambda y, dy: (dy, dy), r"y must have shape \[\w+, 1\] or \[\w+\]"),
    (lambda y, dy: (y, dy, dy), "holds 3 arrays, .* order 1 takes 2"),
    (lambda y, dy: y, "dy is missing"),
  ],
)
def test_labels_that_do_not_fit_are_named(scaling, cut, message):
  x, y, dy, _ = _labelled()
  model = SobolevModel(_keras_network(), scaling=scaling)
  model.compile("sgd")
  with pytest.raises(ValueError, match=message):
    model.fit(x, cut(y, dy), verbose=0)


def test_labels_of_several_outputs_must_have_their_axis():
  x, y, dy, _ = _labelled()
  model = SobolevModel(_keras_network(outputs=2))
  model.compile("sgd")
  with pytest.raises(ValueError, match=r"y must have shape \[\w+, 2\], but"):
    model.fit(x, (y, dy), verbose=0)
  y, dy = np.stack([y, -y], axis=1), np.stack([dy, -dy], axis=1)
  model.fit(x, (y, dy), verbose=0)
  value, derivative = model.predict_with_derivatives(x, batch_size=5)
  assert value.shape == (12, 2) and derivative.shape == (12, 2, 2)


@pytest.mark.parametrize("num_projections", [None, 2])
@pytest.mark.parametrize("scaling", [None, "dml"])
def test_missing_labels_contribute_no_gradient(
  scaling, num_projections, float64
):
  x, y, dy, _ = _labelled()
  model = SobolevModel(
    _keras_network(), scaling=scaling, num_projections=num_projections
  )
  if scaling:
    model.adapt(x, (y, dy))
  start = model.get_weights() if model.built else None
  missing_y, missing_dy = y.copy(), dy.copy()
  missing_y[4], missing_dy[4] = np.nan, np.nan
  step = _one_step(model, x, (missing_y, missing_dy))
  if start is None:
    reference = SobolevModel(_keras_network(), num_projections=num_projections)
  else:
    model.set_weights(start)
    reference = model
  sample_weight = np.ones(12)
  sample_weight[4] = 0
  reference.compile(keras.optimizers.SGD(1.0))
  reference(x[:1])
  before = [v.numpy() for v in reference.trainable_weights]
  reference.fit(
    x,
    (y, dy),
    sample_weight=sample_weight,
    batch_size=12,
    shuffle=False,
    verbose=0,
  )
  for b, a, change in zip(
    before, reference.trainable_weights, step, strict=True
  ):
    np.testing.assert_allclose(b - a.numpy(), change, rtol=1e-9, atol=1e-12)


def test_sample_weights_weigh_examples(float64):
  x, y, dy, _ = _labelled()
  half = np.repeat([1.0, 0.0], 6)
  model = SobolevModel(_keras_network())
  model.compile(keras.optimizers.SGD(2.0))
  model.fit(
    x, (y, dy), sample_weight=half, batch_size=12, shuffle=False, verbose=0
  )
  first_half = SobolevModel(_keras_network())
  first_half.compile(keras.optimizers.SGD(1.0))
  first_half.fit(x[:6], (y[:6], dy[:6]), shuffle=False, verbose=0)
  for one, other in zip(model.weights, first_half.weights, strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


def test_the_last_partial_batch_is_not_dropped():
  x, y, dy, _ = _labelled(count=10)
  trained = []
  for labels in ((y, dy), (np.append(y[:8], [9, 9]), dy)):
    model = SobolevModel(_keras_network())
    model.compile(keras.optimizers.SGD(0.1))
    model.fit(x, labels, batch_size=4, shuffle=False, verbose=0)
    assert int(model.optimizer.iterations) == 3
    trained.append(model.get_weights())
  assert not np.array_equal(trained[0][0], trained[1][0])


@pytest.mark.parametrize("order", [1, 2])
def test_metrics_are_in_the_users_units(order):
  x, *labels = _labelled()
  labels = [100 * label for label in labels[: order + 1]]
  labels[1][2, 0] = np.nan
  model = SobolevModel(_keras_network(), order=order, scaling="dml")
  model.compile("sgd", metrics=["mae"])
  model.fit(x, labels, verbose=0)
  measured = model.evaluate(
    x, labels, batch_size=5, verbose=0, return_dict=True
  )
  predicted = model.predict_with_derivatives(x, batch_size=7)
  np.testing.assert_allclose(
    predicted[0], model.predict(x, verbose=0), rtol=1e-5
  )
  for name, one, other in zip(
    ("value_mse", "d1_mse", "d2_mse"), predicted, labels, strict=False
  ):
    expected = np.nanmean((one[:, 0] - other) ** 2)
    np.testing.assert_allclose(measured[name], expected, rtol=1e-4)
  error = np.abs(predicted[0][:, 0] - labels[0]).mean()
  np.testing.assert_allclose(measured["mae"], error, rtol=1e-4)


def test_regularisation_losses_are_added():
  x, y, dy, _ = _labelled()
  network = keras.Sequential(
    [keras.layers.Dense(1, kernel_regularizer=keras.regularizers.L2(10.0))]
  )
  model = SobolevModel(network)
  model.compile("sgd", derivative_weights=0)
  model(x[:1])
  logs = model.evaluate(x, (y, dy), verbose=0, return_dict=True)
  penalty = 10 * np.sum(network.weights[0].numpy() ** 2)
  np.testing.assert_allclose(
    logs["loss"], logs["value_mse"] + penalty, rtol=1e-5
  )


def test_trainable_batch_normalization_is_refused():
  x, y, dy, _ = _labelled()
  normalization = keras.layers.BatchNormalization()
  model = SobolevModel(keras.Sequential([normalization, _keras_network()]))
  model.compile("sgd")
  with pytest.raises(ValueError, match="mixes the examples of a batch"):
    model.fit(x, (y, dy), verbose=0)
  normalization.trainable = False
  model.compile("sgd")
  model.fit(x, (y, dy), verbose=0)


def test_projections_of_one_output_are_the_full_first_derivative(float64):
  x, y, dy, _ = _labelled()
  full = _one_step(SobolevModel(_keras_network()), x, (y, dy))
  projected = _one_step(
    SobolevModel(_keras_network(), num_projections=3), x, (y, dy)
  )
  for one, other in zip(full, projected, strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_projections_repeat_with_the_seed_and_change_with_the_step():
  x, y, dy, d2y = _labelled()
  losses = []
  for seed in (3, 3, 4):
    model = SobolevModel(
      _keras_network(), order=2, num_projections=1, seed=seed
    )
    model.compile(keras.optimizers.SGD(0.0))
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
    model = SobolevModel(
      _keras_network(outputs=2), num_projections=num_projections
    )
    model.compile("sgd")
    model(x[:1])
    logs = model.evaluate(x, labels, verbose=0, return_dict=True)
    losses.append(logs["loss"] - 2 * logs["value_mse"])
    losses.append(logs["d1_mse"])
  # E<v, e>^2 = |e|^2 / 2 for two outputs; the metric makes up for that.
  np.testing.assert_allclose(losses[2], losses[0] / 2, rtol=0.05)
  np.testing.assert_allclose(losses[3], losses[1], rtol=0.05)


def test_scaling_is_fitted_to_the_training_part_alone():
  x, y, dy, _ = _labelled(count=20)
  model = SobolevModel(_keras_network(), scaling="standard")
  model.compile("sgd")
  model.fit(x, (y, dy), validation_split=0.25, verbose=0)
  np.testing.assert_allclose(
    model.scaling.x_mean, x[:15].mean(axis=0), rtol=1e-5
  )
  model.fit(10 * x, (y, dy), verbose=0)  # A second fit leaves it alone.
  np.testing.assert_allclose(
    model.scaling.x_mean, x[:15].mean(axis=0), rtol=1e-5
  )


def test_a_data_set_gives_the_same_training_as_arrays(float64):
  x, y, dy, _ = _labelled(count=10)
  weight = np.linspace(0.5, 2, 10)
  data = tf.data.Dataset.from_tensor_slices((x, (y, dy), weight)).batch(4)
  models = [SobolevModel(_keras_network(), scaling="dml") for _ in range(2)]
  for model in models:
    model.compile(keras.optimizers.SGD(0.01))
  models[0].fit(
    x,
    (y, dy),
    sample_weight=weight,
    batch_size=4,
    shuffle=False,
    epochs=2,
    verbose=0,
  )
  models[1].fit(data, validation_data=data, epochs=2, verbose=0)
  for one, other in zip(models[0].weights, models[1].weights, strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-12)


def test_an_endless_data_set_needs_a_number_of_steps():
  x, y, dy, _ = _labelled()
  data = tf.data.Dataset.from_tensor_slices((x, (y, dy))).batch(4).repeat()
  model = SobolevModel(_keras_network(), scaling="standard")
  model.compile("sgd")
  with pytest.raises(ValueError, match="endless"):
    model.adapt(data)
  model.fit(data, steps_per_epoch=3, verbose=0)
  np.testing.assert_allclose(model.scaling.x_mean, x.mean(axis=0), rtol=1e-5)


def test_a_generator_needs_a_scaling_that_is_fitted_before():
  x, y, dy, _ = _labelled()
  model = SobolevModel(_keras_network(), scaling="standard")
  model.compile("sgd")
  with pytest.raises(ValueError, match="generator, .* call adapt"):
    model.fit((batch for batch in [(x, (y, dy))]), verbose=0)
  model.adapt(x, (y, dy))
  model.fit((batch for batch in [(x, (y, dy))]), verbose=0)


@pytest.mark.parametrize("network", ["keras", "sonnet"])
def test_compiled_loops_train_as_single_steps_do(network, float64):
  x, y, dy, _ = _labelled(count=10)
  data = tf.data.Dataset.from_tensor_slices((x, (y, dy))).batch(4)
  trained = []
  for fast in (False, True):
    model = SobolevModel(_network(network), scaling="dml")
    model.compile(
      keras.optimizers.SGD(0.1),
      derivative_weights=lambda step: 0.9**step,
      steps_per_execution=2 if fast else 1,
      jit_compile=fast,
    )
    model.fit(data, epochs=2, verbose=0)
    assert int(model.optimizer.iterations) == 6
    trained.append(model.get_weights())
  for one, other in zip(*trained, strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-10)


def test_compiled_projections_repeat_and_learn(float64):
  x, y, dy, _ = _labelled(count=4)
  losses = []
  for _ in range(2):
    model = SobolevModel(_keras_network(), num_projections=1)
    model.compile(keras.optimizers.Adam(0.02), jit_compile=True)
    history = model.fit(x, (y, dy), shuffle=False, epochs=30, verbose=0)
    losses.append(history.history["loss"])
  assert losses[0] == losses[1]
  assert np.mean(losses[0][-10:]) < 0.9 * np.mean(losses[0][:10])


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
  network = _keras_network(hidden=12, layers=2, decay=3e-3)
  model = _fitted(network, x, (value(x), dy), epochs=1500)
  assert _r2(model.predict(test_x, verbose=0)[:, 0], value(test_x)) > 0.98


@pytest.mark.parametrize("weight", [0, 1])
def test_a_sinusoid_from_four_points_needs_their_slopes(weight):
  x = np.linspace(-np.pi, np.pi, 4)[:, None]
  test_x = np.linspace(-np.pi, np.pi, 100)[:, None]

  def wave(x):
    return x * np.sin(x)

  labels = wave(x)[:, 0], np.sin(x) + x * np.cos(x)
  network = _keras_network(hidden=12)
  model = _fitted(network, x, labels, epochs=2000, weight=weight)
  r2 = _r2(model.predict(test_x, verbose=0), wave(test_x))
  assert r2 > 0.95 if weight else r2 < 0.5


@pytest.mark.parametrize(
  "arguments, message",
  [
    ({"loss": "mse"}, "l1, l2, norm, huber, but one is 'mse'"),
    ({"derivative_losses": ["l2"]}, "1 entries for order 2"),
    ({"derivative_weights": [1]}, "1 entries for order 2"),
    ({"derivative_weights": -1}, "at least 0"),
    ({"derivative_weights": float("nan")}, "finite"),
    ({"derivative_weights": "a"}, "arrays or callables"),
    ({"loss_weights": [1, 2]}, "use derivative_weights"),
  ],
)
def test_compile_names_what_it_cannot_use(arguments, message):
  with pytest.raises(ValueError, match=message):
    SobolevModel(_keras_network(), order=2).compile("sgd", **arguments)


def test_construction_names_what_it_cannot_use():
  with pytest.raises(ValueError, match="it is a function"):
    SobolevModel(lambda x: x)
  with pytest.raises(ValueError, match="order must be at least 1"):
    SobolevModel(_keras_network(), order=0)
  with pytest.raises(ValueError, match="nothing to adapt"):
    SobolevModel(_keras_network()).adapt(np.zeros([1, 2]))


def test_the_example_of_the_documentation_works():
  x = np.random.default_rng(0).uniform(-1, 1, [200, 2])
  y = np.sin(3 * x[:, 0]) * x[:, 1]
  dy = np.stack(
    [3 * np.cos(3 * x[:, 0]) * x[:, 1], np.sin(3 * x[:, 0])], axis=1
  )
  network = _keras_network(hidden=64, layers=2)
  model = SobolevModel(network, scaling="standard")
  model.compile(keras.optimizers.Adam(3e-3), derivative_weights=1.0)
  model.fit(x, (y, dy), epochs=100, verbose=0)
  y_new, dy_new = model.predict_with_derivatives([[0.5, 0.5]])
  assert y_new.shape == (1, 1) and dy_new.shape == (1, 1, 2)
  np.testing.assert_allclose(y_new, [[np.sin(1.5) / 2]], atol=0.05)
  np.testing.assert_allclose(
    dy_new, [[[1.5 * np.cos(1.5), np.sin(1.5)]]], atol=0.2
  )
