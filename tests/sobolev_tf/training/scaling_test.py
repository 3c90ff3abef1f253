import warnings

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
  rms = np.maximum(rms, 0.2 * rms.max(axis=1, keepdims=True))
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


def test_rounding_is_that_of_the_dtype_of_the_data():
  x, (y, dy) = _data(order=1, count=1000)
  x[:, 1] = 1000 * (1 + 1e-7 * np.arange(1000) / 1000)
  for dtype, is_constant in (("float32", True), ("float64", False)):
    scaling = Scaling("standard", 1, dtype="float32")
    scaling.build((None, *x.shape[1:]), (None, *y.shape[1:]))
    scaling.adapt([(x.astype(dtype), (y, dy))])
    assert (scaling.x_scale.numpy()[1] == 1) == is_constant


_OFFSETS = [(1.7e9, -3e5), (-4e7, 1e9), (0.0, -3e5), (1.7e9, 0.0)]


@pytest.mark.parametrize(("of_x", "of_y"), _OFFSETS)
@pytest.mark.parametrize("layer", ["float32", "float64"])
def test_an_offset_of_double_data_changes_nothing_in_scaled_units(
  of_x, of_y, layer
):
  x, (y, dy) = _data(order=1)
  results = []
  for shift_x, shift_y in ((0.0, 0.0), (of_x, of_y)):
    scaling = Scaling("standard", 1, dtype=layer)
    scaling.build((None, 2), (None, 2))
    scaling.adapt([(x + shift_x, (y * [1e-4, 1] + shift_y, dy))])
    z = scaling.scale_inputs(tf.constant(x + shift_x), layer)
    u = scaling.scale_label(tf.constant(y * [1e-4, 1] + shift_y), 0, layer)
    assert z.dtype == u.dtype == layer
    value = scaling.unscale((u,), tf.float64)[0]
    results.append((z, u, value - shift_y))
  for one, other in zip(*results, strict=True):
    np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-5)


def test_single_precision_near_its_mean_loses_nothing_more():
  scaling = Scaling("standard", 1, dtype="float32")
  scaling.build((None, 1), (None, 1))
  x = np.float32(1e7 + np.arange(200))[:, None]
  scaling.adapt([(x, (x, x[:, :, None]))])
  assert scaling.x_mean.dtype == "float64"
  wanted = (x.astype(np.float64) - x.mean(dtype=np.float64)) / x.std(
    dtype=np.float64
  )
  np.testing.assert_allclose(scaling.scale_inputs(x), wanted, atol=1e-6)
  whole = np.arange(16777217, 16777417)[:, None]  # no float32 holds the first
  scaling.adapt([(whole, (x, x[:, :, None]))])
  z = scaling.scale_inputs(tf.constant(whole), tf.float32)
  np.testing.assert_allclose(np.diff(z[:, 0]), 1 / whole.std(), rtol=1e-4)


@pytest.mark.parametrize(
  ("of_x", "of_y", "inputs", "values"),
  [
    (0.0, 0.0, False, False),
    (50.0, 1000.0, False, False),
    (1e6, 0.0, True, False),
    (0.0, -1e9, False, True),
  ],
)
def test_double_precision_is_wanted_only_where_it_tells(
  of_x, of_y, inputs, values
):
  x, (y, dy) = _data(order=1)
  scaling = _scaling("standard", order=1)
  scaling.adapt([(x + of_x, (y * [1, 1e3] + of_y, dy))])
  assert scaling.needs_double_inputs == inputs
  assert scaling.needs_double_values == values
  assert not _scaling(None).needs_double_inputs


def test_data_whose_own_dtype_is_too_coarse_is_named():
  x, (y, dy) = _data(order=1)
  scaling = _scaling("standard", order=1)
  with warnings.catch_warnings():
    warnings.simplefilter("error")
    scaling.adapt([(x + [0, 1e6], (y + [0, 1e6], dy))])
    scaling.adapt([(np.float32(x), (np.float32(y), np.float32(dy)))])
  with pytest.warns(UserWarning, match=r"^x\[:, 1\] has an .* 0.12 apart"):
    scaling.adapt([(np.float32(x + [0, 1e6]), (y, dy))])
  with pytest.warns(UserWarning, match=r"^y\[:, 0\] and y\[:, 1\] has"):
    scaling.adapt([(x, (np.float32(y * [1, 50] + 1e8), dy))])
  with pytest.warns(UserWarning, match=r"^x\[:, 0\]"):
    scaling.adapt([(x + [1e14, 0], (y, dy))])


def _barely_used(z):
  first = tf.sin(2 * z[:, 0]) + 1e-3 * tf.sin(9 * z[:, 1])
  return tf.stack([first, z[:, 0] * z[:, 1]], axis=1)


def test_a_partial_that_hardly_matters_counts_as_a_share_of_the_largest():
  x = np.random.default_rng(1).uniform(-1, 1, [200, 2])
  labels = [term.numpy() for term in derivatives(_barely_used, x)]
  scaling = _scaling("dml", order=1)
  with pytest.warns(UserWarning, match=r"dy\[:, 0, 1\] as 0.2 of the largest"):
    scaling.adapt([(x, labels)])
  rms = scaling.derivative_rms[0].numpy()
  plain = labels[1] * x.std(axis=0) / labels[0].std(axis=0)[:, None]
  wanted = np.sqrt(np.mean(plain**2, axis=0))
  np.testing.assert_allclose(rms[0, 1], 0.2 * wanted[0, 0], rtol=1e-12)
  np.testing.assert_allclose(rms[1], wanted[1], rtol=1e-12)
  np.testing.assert_allclose(rms[0, 0], wanted[0, 0], rtol=1e-12)


def test_a_component_that_is_zero_counts_like_one_that_is_nearly_zero():
  x, (y, dy) = _data(order=1)
  floors = []
  for size in (0.0, 1e-9):
    dy[:, 0, 1] = size
    scaling = _scaling("dml", order=1)
    scaling.adapt([(x, (y, dy))])
    floors.append(scaling.derivative_rms[0].numpy())
  np.testing.assert_array_equal(*floors)
  dy[:, 0] = 0
  scaling.adapt([(x, (y, dy))])
  np.testing.assert_array_equal(scaling.derivative_rms[0][0], [1, 1])


def test_balanced_derivatives_have_root_mean_square_one_or_their_share():
  x, labels = _data()
  labels[1] *= 7.0
  scaling = _scaling("dml")
  scaling.adapt([(x, labels)])
  scaled = scaling.scale_labels([tf.constant(label) for label in labels])
  for term, other in zip(scaling.balance(scaled)[1:], scaled[1:], strict=True):
    raw = np.sqrt(np.mean(other**2, axis=0)).reshape(2, -1)
    wanted = np.minimum(1, raw / (0.2 * raw.max(axis=1, keepdims=True)))
    rms = np.sqrt(np.mean(term**2, axis=0)).reshape(2, -1)
    np.testing.assert_allclose(rms, wanted, atol=1e-12)
    # Some components are small, and the mixed ones of the second output zero.
    assert 0 < wanted.mean() < 1 and (wanted == 1).sum() >= 3


def test_a_derivative_that_is_rounding_noise_keeps_no_weight_of_its_own():
  x = np.random.default_rng(0).normal(size=[50, 2])
  y = np.sin(x[:, 0])
  noise = 1e-9 * np.random.default_rng(1).normal(size=50)
  dy = np.stack([np.cos(x[:, 0]), noise], axis=1)
  scaling = _scaling("dml", order=1, out_shape=())
  scaling.adapt([(x, (y, dy))])
  first, second = scaling.derivative_rms[0].numpy()
  assert first > 0.1 and second == 0.2 * first


def test_balanced_projections_have_mean_square_one_on_average():
  x, labels = _data(order=1)
  scaling = _scaling("dml", order=1)
  scaling.adapt([(x, labels)])
  _, scaled = scaling.scale_labels([tf.constant(label) for label in labels])
  # For v uniform on the circle E[v v^T] is half the identity, so the mean over
  # the two axis directions, here [B, P = 2, *in], is the expectation.
  _, balanced = scaling.balance((labels[0], scaled), projected=True)
  np.testing.assert_allclose(
    np.mean(balanced**2, axis=(0, 1)), [1, 1], atol=0.05
  )


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
