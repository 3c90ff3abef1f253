import numpy as np
import pytest
import tensorflow as tf

from sobolev_tf.derivatives.nested_tapes import derivatives
from sobolev_tf.training.scaling import Scaling


def _function(x):
  """Two outputs with different units and derivatives of every order."""
  first = 300.0 * tf.sin(x[:, 0]) * x[:, 1] + 40.0
  second = 0.02 * x[:, 0] ** 3 + 0.01 * x[:, 1] ** 2
  return tf.stack([first, second], axis=1)


def _data(order=2, count=50, seed=0):
  rng = np.random.default_rng(seed)
  x = rng.uniform([-2.0, 10.0], [1.0, 30.0], [count, 2])
  return x, [term.numpy() for term in derivatives(_function, x, order)]


def _scaling(kind, order=2, in_shape=(2,), out_shape=(2,)):
  scaling = Scaling(kind, order, dtype="float64")
  scaling.build((None, *in_shape), (None, *out_shape))
  return scaling


def test_scaled_derivatives_are_those_of_the_scaled_function():
  x, labels = _data()
  scaling = _scaling("standard")
  scaling.adapt([(x, labels)])
  z = scaling.scale_inputs(tf.constant(x))
  mean_x, deviation_x = x.mean(axis=0), x.std(axis=0)
  mean_y, deviation_y = labels[0].mean(axis=0), labels[0].std(axis=0)

  def scaled(z):
    return (_function(mean_x + deviation_x * z) - mean_y) / deviation_y

  expected = derivatives(scaled, z, 2)
  actual = scaling.scale_labels([tf.constant(label) for label in labels])
  for one, other in zip(actual, expected, strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("kind", [None, "standard", "dml"])
def test_unscaling_inverts_scaling(kind):
  x, labels = _data()
  scaling = _scaling(kind)
  if kind:
    scaling.adapt([(x, labels)])
  labels = [tf.constant(label) for label in labels]
  for one, other in zip(
    scaling.unscale(scaling.scale_labels(labels)), labels, strict=True
  ):
    np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_statistics_do_not_depend_on_how_the_data_is_batched():
  x, labels = _data(order=1)
  whole, pieces = _scaling("dml", order=1), _scaling("dml", order=1)
  whole.adapt([(x, labels)])
  pieces.adapt(
    (x[start : start + 7], [label[start : start + 7] for label in labels])
    for start in range(0, 50, 7)
  )
  for one, other in zip(whole.weights, pieces.weights, strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-12)
  np.testing.assert_allclose(whole.x_mean, x.mean(axis=0), rtol=1e-12)
  np.testing.assert_allclose(whole.y_scale, labels[0].std(axis=0), rtol=1e-12)


def test_missing_labels_take_no_part_in_the_statistics():
  x, (y, dy) = _data(order=1)
  y[3, 0], dy[5:9, 1, 0] = np.nan, np.nan
  scaling = _scaling("dml", order=1)
  scaling.adapt([(x, (y, dy))])
  np.testing.assert_allclose(scaling.y_mean, np.nanmean(y, axis=0))
  np.testing.assert_allclose(scaling.y_scale, np.nanstd(y, axis=0))
  rms = np.sqrt(np.nanmean(dy**2, axis=0)) * x.std(axis=0)
  rms = rms / np.nanstd(y, axis=0)[:, np.newaxis]
  np.testing.assert_allclose(scaling.derivative_rms[0], rms, rtol=1e-12)


def test_a_label_that_is_missing_everywhere_gets_scale_one():
  x, (y, dy) = _data(order=1)
  y[:, 0], dy[:, 0] = np.nan, np.nan
  scaling = _scaling("dml", order=1)
  scaling.adapt([(x, (y, dy))])
  assert scaling.y_mean.numpy()[0] == 0 and scaling.y_scale.numpy()[0] == 1
  np.testing.assert_array_equal(scaling.derivative_rms[0][0], [1, 1])


@pytest.mark.parametrize("constant", [0.0, 0.1, -3e8])
def test_constant_columns_get_scale_one(constant):
  x, (y, dy) = _data(order=1, count=1000)
  noise = np.finfo(np.float64).eps * np.arange(len(x)) / len(x)
  x[:, 1], y[:, 0] = constant, constant * (1 + noise)
  scaling = _scaling("standard", order=1)
  scaling.adapt([(x, (y, dy))])
  assert scaling.x_scale.numpy()[1] == 1
  assert scaling.y_scale.numpy()[0] == 1


def test_rounding_is_that_of_the_numbers_the_network_sees():
  x, (y, dy) = _data(order=1, count=1000)
  x[:, 1] = 1000 * (1 + 1e-7 * np.arange(1000) / 1000)
  for dtype, is_constant in (("float32", True), ("float64", False)):
    scaling = Scaling("standard", 1, dtype=dtype)
    scaling.build((None, *x.shape[1:]), (None, *y.shape[1:]))
    scaling.adapt([(x, (y, dy))])
    assert (scaling.x_scale.numpy()[1] == 1) == is_constant


def test_balanced_derivatives_have_root_mean_square_one():
  x, labels = _data()
  labels[1] *= 7.0
  scaling = _scaling("dml")
  scaling.adapt([(x, labels)])
  scaled = scaling.scale_labels([tf.constant(label) for label in labels])
  _, first, second = scaling.balance(scaled)
  np.testing.assert_allclose(
    np.sqrt(np.mean(first**2, axis=0)), np.ones([2, 2])
  )
  rms = np.sqrt(np.mean(second**2, axis=0))
  # The mixed derivative of the second output is zero, and stays it.
  np.testing.assert_allclose(rms[0], [[1, 1], [1, 0]], atol=1e-12)
  np.testing.assert_allclose(rms[1], [[1, 0], [0, 1]], atol=1e-12)


def test_a_derivative_that_is_rounding_noise_counts_as_zero():
  x = np.random.default_rng(0).normal(size=[50, 2])
  y = np.sin(x[:, 0])
  noise = 1e-9 * np.random.default_rng(1).normal(size=50)
  dy = np.stack([np.cos(x[:, 0]), noise], axis=1)
  scaling = _scaling("dml", order=1, out_shape=())
  scaling.adapt([(x, (y, dy))])
  first, second = scaling.derivative_rms[0].numpy()
  assert first > 0.1 and second == 0


def test_balanced_projections_have_mean_square_one_on_average():
  x, labels = _data(order=1)
  scaling = _scaling("dml", order=1)
  scaling.adapt([(x, labels)])
  _, scaled = scaling.scale_labels([tf.constant(label) for label in labels])
  # For v uniform on the circle E[v v^T] is half the identity, so the mean over
  # the two axis directions, here [B, P = 2, *in], is the expectation.
  _, balanced = scaling.balance((labels[0], scaled), projected=True)
  np.testing.assert_allclose(np.mean(balanced**2, axis=(0, 1)), [1, 1])


def test_dml_weights_follow_the_dimension_of_x():
  assert _scaling("dml").order_weights() == (1 / 3, 2 / 3)
  assert _scaling("dml", in_shape=(2, 4)).order_weights() == (1 / 9, 8 / 9)
  assert _scaling("standard").order_weights() == (1, 1)


def test_units_convert_scaled_differences_to_the_users():
  x, labels = _data()
  scaling = _scaling("standard")
  scaling.adapt([(x, labels)])
  sx, sy = x.std(axis=0), labels[0].std(axis=0)
  np.testing.assert_allclose(
    scaling.units(2), sy[:, None, None] / sx[:, None] / sx, rtol=1e-12
  )
  np.testing.assert_allclose(
    scaling.units(1, projected=True), np.sqrt(np.mean(sy**2)) / sx, rtol=1e-12
  )


def test_a_scaling_that_has_seen_no_data_changes_nothing():
  scaling = _scaling("standard", order=1)
  assert not scaling.adapted
  x, labels = _data(order=1)
  np.testing.assert_array_equal(scaling.scale_inputs(tf.constant(x)), x)
  scaling.adapt([(x, labels)])
  assert scaling.adapted


def test_no_examples_are_refused():
  with pytest.raises(ValueError, match="no examples"):
    _scaling("standard").adapt([])


def test_an_unknown_kind_is_refused_by_name():
  with pytest.raises(ValueError, match='"standard" or "dml".*\'minmax\''):
    Scaling("minmax")
