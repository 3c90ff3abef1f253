"""One training step of `SobolevModel`: its loss, labels and weights."""

import keras
import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

from sobolev_tf.model import SobolevModel

_HIDDEN = 5


def _keras_network(outputs=1):
  return keras.Sequential(
    [
      keras.layers.Dense(
        units,
        activation,
        kernel_initializer=keras.initializers.GlorotUniform(seed=units),
      )
      for units, activation in ((_HIDDEN, "tanh"), (outputs, None))
    ]
  )


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


def test_weights_follow_a_schedule_of_the_optimizer_step(float64, eagerly):
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


def test_every_accepted_label_shape_gives_the_same_step(float64, eagerly):
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


def test_labels_of_several_outputs_must_have_their_axis(eagerly):
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
  scaling, num_projections, float64, eagerly
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


def test_sample_weights_weigh_examples(float64, eagerly):
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


def test_the_last_partial_batch_is_not_dropped(eagerly):
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
def test_metrics_are_in_the_users_units(order, eagerly):
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


def test_trainable_batch_normalization_is_refused(eagerly):
  x, y, dy, _ = _labelled()
  normalization = keras.layers.BatchNormalization()
  model = SobolevModel(keras.Sequential([normalization, _keras_network()]))
  model.compile("sgd")
  with pytest.raises(ValueError, match="mixes the examples of a batch"):
    model.fit(x, (y, dy), verbose=0)
  normalization.trainable = False
  model.compile("sgd")
  model.fit(x, (y, dy), verbose=0)


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


@pytest.mark.parametrize(
  "arguments, message",
  [
    ({"loss": "mse"}, "l1, l2, norm, huber, but one is 'mse'"),
    ({"derivative_losses": ["l2"]}, "1 entries for order 2"),
    ({"derivative_weights": [1]}, "1 entries for order 2"),
    ({"derivative_weights": -1}, "at least 0"),
    ({"derivative_weights": float("nan")}, "finite"),
    ({"derivative_weights": "a"}, "numbers, arrays, schedules or one of"),
    ({"loss_weights": [1, 2]}, "use derivative_weights"),
  ],
)
def test_compile_names_what_it_cannot_use(arguments, message):
  with pytest.raises(ValueError, match=message):
    SobolevModel(_keras_network(), order=2).compile("sgd", **arguments)


def test_construction_names_what_it_cannot_use():
  with pytest.raises(ValueError, match="it is a function"):
    SobolevModel(lambda x: x)
  with pytest.raises(ValueError, match="order must be a whole number"):
    SobolevModel(_keras_network(), order=0)
  with pytest.raises(ValueError, match="nothing to adapt"):
    SobolevModel(_keras_network()).adapt(np.zeros([1, 2]))
