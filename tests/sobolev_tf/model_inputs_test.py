"""What users hand to `SobolevModel`: odd dtypes, gaps, shapes and weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from sobolev_tf import sobolev_loss
from sobolev_tf.derivatives.nested_tapes import derivatives
from sobolev_tf.model import SobolevModel
from sobolev_tf.training import weight_schedules


def _network(dtype=None):
  dense = keras.layers.Dense
  return keras.Sequential(
    [dense(5, "tanh", dtype=dtype), dense(1, dtype=dtype)], name="network"
  )


def _labelled(count=12):
  x = np.random.default_rng(0).integers(30, 45, [count, 2])
  y = 0.1 * x[:, 0] * x[:, 1]
  dy = 0.1 * x[:, ::-1]
  return x, y, dy


def _fitted(scaling=None, **kwargs):
  x, y, dy = _labelled()
  model = SobolevModel(_network(), scaling=scaling)
  model.compile("sgd", **kwargs)
  model.fit(x.astype(float), (y, dy), verbose=0)
  return model


@pytest.mark.parametrize("scaling", [None, "standard", "dml"])
def test_whole_numbers_are_read_as_numbers(scaling):
  model = _fitted(scaling)
  x, _, _ = _labelled()
  expected = model.predict(x.astype(np.float32), verbose=0)
  for found in (
    model.predict(x, verbose=0),
    model(x),
    model.predict_with_derivatives(x)[0],
  ):
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("given, wanted", [("auto", False), (True, True)])
def test_only_the_user_decides_on_xla(given, wanted, monkeypatch):
  # As on a machine with a GPU.
  monkeypatch.setattr(
    SobolevModel, "_resolve_auto_jit_compile", lambda model: True
  )
  model = SobolevModel(_network())
  model.compile("sgd")
  assert model.jit_compile is False
  model.compile("sgd", jit_compile=given)
  assert model.jit_compile is wanted


def test_half_precision_is_refused():
  with pytest.raises(ValueError, match="computes in float16"):
    SobolevModel(_network("mixed_float16"), dtype="mixed_float16")


def test_unknown_values_are_left_out_of_compiled_metrics():
  model = _fitted(metrics=["mae"], weighted_metrics=["mse"])
  x, y, dy = _labelled()
  weights = np.linspace(0.5, 2, len(y))
  y[[1, 5]] = np.nan
  measured = model.evaluate(
    x, (y, dy), sample_weight=weights, verbose=0, return_dict=True
  )
  errors = model.predict(x, verbose=0)[:, 0] - y
  np.testing.assert_allclose(
    measured["mae"], np.nanmean(np.abs(errors)), rtol=1e-5
  )
  known = np.isfinite(y)
  expected = np.average(errors[known] ** 2, weights=weights[known])
  np.testing.assert_allclose(measured["mse"], expected, rtol=1e-5)


@pytest.mark.parametrize("wrong", ["y", "dy"])
def test_shapes_that_become_known_late_must_match(wrong):
  x, y, dy = _labelled()
  y = np.stack([y] * 3, axis=1) if wrong == "y" else y[:, np.newaxis]
  dy = dy[:, :1] if wrong == "dy" else dy
  data = tf.data.Dataset.from_generator(
    lambda: [(x.astype(np.float32), (y, dy))],
    output_signature=(
      tf.TensorSpec([None, 2]),
      (tf.TensorSpec([None, None]), tf.TensorSpec([None, None])),
    ),
  )
  model = SobolevModel(_network())
  model.compile("sgd")
  with pytest.raises(tf.errors.InvalidArgumentError):
    model.fit(data, verbose=0)


def test_a_loss_never_broadcasts_over_examples():
  @tf.function(input_signature=[tf.TensorSpec([None, 2])] * 2)
  def loss(predicted, target):
    return sobolev_loss([predicted], [target]).loss

  assert loss(tf.ones([3, 2]), tf.zeros([3, 2])).numpy().tolist() == [2, 2, 2]
  with pytest.raises(tf.errors.InvalidArgumentError):
    loss(tf.ones([3, 2]), tf.zeros([1, 2]))


@pytest.mark.parametrize("place", ["fit", "data", "validation", "evaluate"])
def test_weights_of_single_labels_are_refused(place):
  model = _fitted()
  x, y, dy = _labelled()
  weights = (np.ones(len(x)), np.zeros(len(x)))
  data = tf.data.Dataset.from_tensors((x, (y, dy), weights))
  calls = {
    "fit": lambda: model.fit(x, (y, dy), sample_weight=list(weights)),
    "data": lambda: model.fit(data),
    "validation": lambda: model.fit(
      x, (y, dy), validation_data=(x, (y, dy), weights)
    ),
    "evaluate": lambda: model.evaluate(data),
  }
  with pytest.raises(ValueError, match="must be one array"):
    calls[place]()


@pytest.mark.parametrize("shape", [(2,), (1, 2)])
def test_single_components_can_be_weighed(shape, tmp_path):
  model = _fitted(derivative_weights=np.reshape([3.0, 0.0], shape))
  x, y, dy = _labelled()
  found = model.evaluate(x, (y, dy), verbose=0, return_dict=True)
  values, slopes = model.predict_with_derivatives(x)
  expected = np.mean((values[:, 0] - y) ** 2)
  expected += 3 * np.mean((slopes[:, 0, 0] - dy[:, 0]) ** 2)
  np.testing.assert_allclose(found["loss"], expected, rtol=1e-5)
  model.save(tmp_path / "model.keras")
  again = keras.models.load_model(tmp_path / "model.keras")
  loss = again.evaluate(x, (y, dy), verbose=0, return_dict=True)["loss"]
  np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_weights_of_components_that_are_not_there_are_refused():
  x, y, dy = _labelled()
  with pytest.raises(ValueError, match="have shape"):
    _fitted(derivative_weights=np.ones([3]))
  model = SobolevModel(_network(), num_projections=1)
  model.compile("sgd", derivative_weights=np.ones([2]))
  with pytest.raises(ValueError, match="components are mixed"):
    model.fit(x, (y, dy), verbose=0)
  with pytest.raises(ValueError, match="at least 0"):
    model.compile("sgd", derivative_weights=np.array([1.0, -1.0]))


def test_weights_keep_the_digits_of_float64():
  assert weight_schedules.weight_at(0.3, 0, tf.float64).numpy() == 0.3


def test_training_through_many_outputs_gives_the_gradient_of_each():
  # 12 rows: above the number up to which a Jacobian is taken row by row.
  rng = np.random.default_rng(0)
  inner, outer = (tf.Variable(rng.normal(size=s)) for s in ([2, 5], [5, 12]))
  x = tf.constant(rng.normal(size=[4, 2]))

  def loss(jacobian):
    return tf.reduce_sum(tf.sin(jacobian))

  def network(z):
    return tf.tanh(z @ inner) @ outer

  with tf.GradientTape() as tape:
    _, jacobian = derivatives(network, x)
    value = loss(jacobian)
  with tf.GradientTape() as by_hand:
    slopes = 1 - tf.tanh(x @ inner) ** 2
    expected = tf.einsum("ih,bh,ho->boi", inner, slopes, outer)
    other = loss(expected)
  np.testing.assert_allclose(jacobian, expected, rtol=1e-12)
  for mine, exact in zip(
    tape.gradient(value, [inner, outer]),
    by_hand.gradient(other, [inner, outer]),
    strict=True,
  ):
    np.testing.assert_allclose(mine, exact, rtol=1e-10, atol=1e-12)


def test_scaling_is_fitted_to_the_training_part_alone():
  x, y, dy = _labelled(count=20)
  model = SobolevModel(_network(), scaling="standard")
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
  x, y, dy = _labelled(count=10)
  weight = np.linspace(0.5, 2, 10)
  data = tf.data.Dataset.from_tensor_slices((x, (y, dy), weight)).batch(4)
  models = []
  for _ in range(2):
    keras.utils.set_random_seed(0)
    models.append(SobolevModel(_network(), scaling="dml"))
    models[-1].compile(keras.optimizers.SGD(0.01))
    models[-1](x)
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
  x, y, dy = _labelled()
  data = tf.data.Dataset.from_tensor_slices((x, (y, dy))).batch(4).repeat()
  model = SobolevModel(_network(), scaling="standard")
  model.compile("sgd")
  with pytest.raises(ValueError, match="endless"):
    model.adapt(data)
  model.fit(data, steps_per_epoch=3, verbose=0)
  np.testing.assert_allclose(model.scaling.x_mean, x.mean(axis=0), rtol=1e-5)


def test_a_generator_needs_a_scaling_that_is_fitted_before():
  x, y, dy = _labelled()
  model = SobolevModel(_network(), scaling="standard")
  model.compile("sgd")
  with pytest.raises(ValueError, match="generator, .* call adapt"):
    model.fit((batch for batch in [(x, (y, dy))]), verbose=0)
  model.adapt(x, (y, dy))
  model.fit((batch for batch in [(x, (y, dy))]), verbose=0)


def _of_one_input():
  given = keras.Input((1,))
  dense = keras.layers.Dense
  return keras.Model(given, dense(1)(dense(4, "tanh")(given)))


def test_inputs_without_an_axis_are_taken_where_keras_takes_them():
  x = np.linspace(0, 1, 8)
  model = SobolevModel(_of_one_input(), scaling="standard")
  model.compile("sgd", run_eagerly=True)
  model.fit(x, (x**2, 2 * x), verbose=0)
  data = tf.data.Dataset.from_tensor_slices((x, (x**2, 2 * x))).batch(4)
  model.fit(data, verbose=0)
  model.train_on_batch(x, (x**2, 2 * x))
  losses = [
    model.evaluate(inputs, labels, verbose=0)[0]
    for inputs, labels in (
      (x, (x**2, 2 * x)),
      (x[:, None], (x**2, 2 * x[:, None])),
      (x[:, None], (x[:, None] ** 2, 2 * x[:, None, None])),
    )
  ]
  np.testing.assert_allclose(losses, losses[0], rtol=1e-6)
  y, dy = model.predict_with_derivatives(x)
  assert y.shape == (8, 1) and dy.shape == (8, 1, 1)
  np.testing.assert_allclose(model.predict(x, verbose=0), y, rtol=1e-5)
  np.testing.assert_allclose(model(x), y, rtol=1e-5)


@pytest.mark.parametrize(
  "call",
  [
    lambda model, x: model.predict(x, verbose=0),
    lambda model, x: model.predict_on_batch(x),
    lambda model, x: model.predict_with_derivatives(x),
    lambda model, x: model.evaluate(x, (x[:, 0], x), verbose=0),
    lambda model, x: model.fit(x, (x[:, 0], x), verbose=0),
    lambda model, x: model.train_on_batch(x, (x[:, 0], x)),
    lambda model, x: model.fit(
      tf.data.Dataset.from_tensors((x, (x[:, 0], x))), verbose=0
    ),
  ],
)
def test_a_wrong_width_is_named_wherever_it_comes_in(call):
  model = SobolevModel(_network())
  model.compile("sgd", run_eagerly=True)
  model.build((None, 2))
  with pytest.raises(ValueError, match=r"have shape \[B, 2\], but .* 3\]"):
    call(model, np.ones([4, 3], "float32"))


def test_a_single_point_needs_its_batch_axis():
  model = SobolevModel(_network())
  x, _, _ = _labelled()
  model.build((None, 2))
  with pytest.raises(ValueError, match=r"for a single point give x\[None\]"):
    model.predict_with_derivatives(x[0])
  y, dy = model.predict_with_derivatives(x[0][None].tolist())
  assert y.shape == (1, 1) and dy.shape == (1, 1, 2)


@pytest.mark.parametrize("outputs", [1, 12])
def test_no_point_at_all_has_no_derivative(outputs):
  network = keras.Sequential([keras.layers.Dense(outputs, "tanh")])
  model = SobolevModel(network)
  model.build((None, 2))
  y, dy = model.predict_with_derivatives(np.zeros([0, 2]))
  assert y.shape == (0, outputs) and dy.shape == (0, outputs, 2)


def test_an_empty_batch_is_named():
  model = SobolevModel(_network())
  model.compile("sgd", run_eagerly=True)
  empty = np.zeros([0, 2]), (np.zeros([0]), np.zeros([0, 2]))
  for call in (model.fit, model.evaluate, model.train_on_batch):
    with pytest.raises(ValueError, match="x holds no example"):
      call(*empty)
  with pytest.raises(ValueError, match="x holds no example"):
    model.predict(empty[0])


def test_adapt_names_data_that_it_cannot_use():
  x, y, dy = _labelled()
  model = SobolevModel(_network(), scaling="standard")
  with pytest.raises(ValueError, match=r"labels .* adapt\(x, \(y, dy\)\)"):
    model.adapt(x)
  with pytest.raises(ValueError, match="x is a list of 2"):
    model.adapt([x, x], (y, dy))
  for wrong in (np.nan, np.inf):
    spoilt = x.astype(float)
    spoilt[3, 1] = wrong
    for data in (
      (spoilt, (y, dy)),
      (tf.data.Dataset.from_tensors((spoilt, (y, dy))),),
    ):
      with pytest.raises(ValueError, match="x holds NaN or infinity"):
        model.adapt(*data)
  spoilt = dy.copy()
  spoilt[2, 0] = -np.inf
  for data in (
    (x, (y, spoilt)),
    (tf.data.Dataset.from_tensors((x.astype(float), (y, spoilt))),),
  ):
    with pytest.raises(ValueError, match="dy holds infinite labels"):
      model.adapt(*data)
  with pytest.raises(ValueError, match="labels are missing|holds no labels"):
    model.adapt(tf.data.Dataset.from_tensors(x.astype(float)))


@pytest.mark.parametrize("count", [0, -1, 1.5, "2", None])
def test_counts_are_whole_numbers(count):
  model = SobolevModel(_network())
  model.build((None, 2))
  x, _, _ = _labelled()
  with pytest.raises(ValueError, match="batch_size must be a whole number"):
    model.predict_with_derivatives(x, batch_size=count)
  with pytest.raises(ValueError, match="order must be a whole number"):
    SobolevModel(_network(), order=count)
  if count is not None:
    with pytest.raises(ValueError, match="num_projections must be a whole"):
      SobolevModel(_network(), num_projections=count)


def test_what_is_compiled_in_cannot_be_set_afterwards():
  model = _fitted(derivative_weights=2)
  assert model.derivative_weights == (2.0,)
  with pytest.raises(AttributeError, match="call compile again"):
    model.derivative_weights = 3
  for name in ("order", "num_projections", "seed"):
    with pytest.raises(AttributeError):
      setattr(model, name, 3)


def test_derivatives_of_one_order_have_a_method_of_their_own():
  x, _, _ = _labelled()
  model = SobolevModel(_network(), order=2)
  model.build((None, 2))
  _, first, second = model.predict_with_derivatives(x)
  np.testing.assert_array_equal(model.predict_derivatives(x), first)
  np.testing.assert_array_equal(model.predict_derivatives(x, order=2), second)
  with pytest.raises(ValueError, match="construct it with order=3"):
    model.predict_derivatives(x, order=3)


def test_the_network_itself_works_in_scaled_units():
  model = _fitted(scaling="standard")
  x, _, _ = _labelled()
  scaling = model.scaling
  z = (x - scaling.x_mean.numpy()) / scaling.x_scale.numpy()
  u = model.network(z.astype("float32"))
  y = u * scaling.y_scale.numpy() + scaling.y_mean.numpy()
  np.testing.assert_allclose(model.predict(x, verbose=0), y, rtol=1e-5)
