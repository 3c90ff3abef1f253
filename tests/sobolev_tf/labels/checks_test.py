"""Derivative labels that are right, wrong, and impossible to judge."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from sobolev_tf.derivatives.nested_tapes import derivatives
from sobolev_tf.labels.checks import check_derivatives


def _f(x):
  x = tf.convert_to_tensor(x)
  first = tf.sin(x[:, 0]) * tf.exp(0.5 * x[:, 1]) + 2 * x[:, 2]
  second = x[:, 0] * x[:, 2] + tf.cos(x[:, 1])
  return tf.stack([first, second], axis=1)


def _labels(count=800, dtype=np.float64):
  x = np.random.default_rng(0).uniform(-1, 1, [count, 3]).astype(dtype)
  y, dy = derivatives(_f, x)
  return x, y.numpy(), dy.numpy()


def _check(way, x, y, dy):
  if way == "scattered":
    return check_derivatives((y, dy), x)
  return check_derivatives(lambda z: _f(z).numpy(), x, dy)


_WAYS = pytest.mark.parametrize("way", ["function", "scattered"])


@_WAYS
def test_right_labels_pass(way):
  check = _check(way, *_labels())
  assert check and check.passed and check.verdict == "right"
  assert check.wrong_components == ()
  assert check.errors.shape == (2, 3)
  assert check.errors.max() < 0.1
  assert "agrees with" in check.message


@_WAYS
def test_a_flipped_sign_is_found_and_named(way):
  x, y, dy = _labels()
  dy[:, 0, 1] *= -1
  check = _check(way, x, y, dy)
  assert not check and check.verdict == "wrong"
  assert check.wrong_components == ((0, 1),)
  assert check.message.startswith("dy[:, 0, 1] disagrees with the")
  assert "as if its sign were flipped" in check.message
  np.testing.assert_allclose(check.errors[0, 1], 2, atol=0.2)


@pytest.mark.parametrize(
  ("way", "factor"), [("function", 1000), ("scattered", 5)]
)
def test_wrong_units_are_found_with_their_factor(way, factor):
  x, y, dy = _labels()
  dy[:, 1, 2] *= factor
  check = _check(way, x, y, dy)
  assert check.wrong_components[0] == (1, 2)
  named = float(check.message.split("multiplied by ")[1].split()[0])
  np.testing.assert_allclose(named, 1 / factor, rtol=0.1)


@_WAYS
def test_swapped_components_are_found(way):
  x, y, dy = _labels()
  dy[:, 0, :2] = dy[:, 0, 1::-1]
  check = _check(way, x, y, dy)
  assert set(check.wrong_components) == {(0, 0), (0, 1)}
  assert "swapped with dy[:, 0, 1]" in check.message
  assert "swapped with dy[:, 0, 0]" in check.message


@_WAYS
def test_a_component_never_filled_in_is_found(way):
  x, y, dy = _labels()
  dy[:, 0, 2] = 0
  check = _check(way, x, y, dy)
  assert check.wrong_components == ((0, 2),)
  assert "never been filled in" in check.message


@_WAYS
def test_missing_labels_are_ignored(way):
  x, y, dy = _labels()
  dy[::10, 0, 0] = np.nan
  dy[5, 1] = np.nan
  if way == "scattered":
    y[3] = np.nan
  assert _check(way, x, y, dy)
  dy[:, 1, 0] *= -1
  check = _check(way, x, y, dy)
  assert check.wrong_components == ((1, 0),)


@_WAYS
def test_all_labels_missing_cannot_be_judged(way):
  x, y, dy = _labels(50)
  check = _check(way, x, y, np.full_like(dy, np.nan))
  assert not check and check.verdict == "cannot tell"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_gradient_of_tensorflow_agrees_with_its_own_function(dtype):
  x, _, _ = _labels(100, dtype)
  assert check_derivatives(_f, x)
  assert check_derivatives(_f, x, lambda z: derivatives(_f, z)[1])


def test_a_wrong_custom_gradient_is_found():
  @tf.custom_gradient
  def square(x):
    return x**2, lambda upstream: upstream * x  # the 2 was forgotten

  check = check_derivatives(square, np.linspace(1, 2, 20))
  assert check.verdict == "wrong" and check.wrong_components == ((),)
  assert "dy disagrees" in check.message
  assert "multiplied by 2 " in check.message


def test_kinks_of_a_relu_network_raise_no_alarm():
  rng = np.random.default_rng(0)
  w1, w2 = rng.normal(size=[3, 64]), rng.normal(size=[64, 1])
  x = rng.uniform(-1, 1, [200, 3])
  assert check_derivatives(lambda z: tf.nn.relu(z @ w1 + 0.3) @ w2, x)


def test_curvature_is_not_taken_for_an_error():
  """The remainder's part in h^2 goes; what is left is 1e-5 of the slope."""
  x = np.random.default_rng(0).uniform(1, 2, [50, 2])

  def f(z):
    return np.sum(z**2, axis=1)

  check = check_derivatives(f, x, 2 * x)
  assert "the Taylor remainder falls as h^2" in check.message
  assert check.errors.max() < 1e-6


def test_a_small_wrong_component_beside_large_ones_is_found():
  x, _, dy = _labels(100)
  matrix = np.array([[1e4], [1.0], [1e4]])
  dy = np.tile(matrix.T, [100, 1, 1])
  dy[:, 0, 1] = -1
  check = check_derivatives(lambda z: z @ matrix, x, dy)
  assert check.wrong_components == ((0, 1),)


@pytest.mark.parametrize("column", [False, True])
@pytest.mark.parametrize("axis", [False, True])
def test_a_single_output_may_come_without_its_axis(column, axis):
  x, y, dy = _labels()
  y = y[:, :1] if column else y[:, 0]
  dy = dy[:, :1] if axis else dy[:, 0]
  assert check_derivatives((y, dy), x)
  dy = dy * [1, -1, 1]
  for check in (
    check_derivatives((y, dy), x),
    check_derivatives(lambda z: _f(z)[:, :1] if column else _f(z)[:, 0], x, dy),
  ):
    assert check.wrong_components == (((0, 1),) if axis else ((1,),))
    assert ("dy[:, 0, 1]" if axis else "dy[:, 1]") in check.message


def test_points_too_few_or_too_far_apart_cannot_be_judged():
  x, y, dy = _labels(6)
  check = check_derivatives((y, dy), x)
  assert check.verdict == "cannot tell" and "too few" in check.message
  x = np.random.default_rng(0).uniform(-100, 100, [200, 3])
  y, dy = (term.numpy() for term in derivatives(_f, x / [1, 50, 1]))
  check = check_derivatives((y, dy / [1, 50, 1]), x)
  assert check.verdict == "cannot tell" and "too far apart" in check.message


@pytest.mark.parametrize("count", [12, 20, 40, 100])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_right_labels_of_sparse_points_are_never_called_wrong(count, seed):
  x = np.random.default_rng(seed).uniform(-2, 2, [count, 2])

  def rosenbrock(z):
    return 100 * (z[:, 1] - z[:, 0] ** 2) ** 2 + (z[:, 0] - 1) ** 2

  y, dy = derivatives(rosenbrock, x)
  assert check_derivatives((y, dy), x).verdict != "wrong"


def _in_place(function):
  def f(z):
    z *= 2
    return function(z)

  return f


def test_functions_that_work_in_place_spoil_neither_points_nor_labels():
  x, _, dy = _labels(100)
  before = x.copy(), dy.copy()
  f = _in_place(lambda z: _f(z / 2).numpy())
  slope = _in_place(lambda z: derivatives(_f, z / 2)[1].numpy())
  for claimed in (dy, slope):
    assert check_derivatives(f, x, claimed).verdict == "right"
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(dy, before[1])
  assert not check_derivatives(f, x, -dy)


@_WAYS
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
  ("rows", "count"), [(slice(0, 25), 25), (slice(7, 8), 1), (slice(None), 50)]
)
def test_infinite_labels_are_wrong_and_counted(way, sign, rows, count):
  x, y, dy = _labels(50)
  dy[rows, 1, 2] = sign * np.inf
  check = _check(way, x, y, dy)
  assert check.verdict == "wrong" and check.wrong_components == ((1, 2),)
  assert f"dy[:, 1, 2] at {count} of 50 point(s)" in check.message
  assert np.isinf(check.errors[1, 2]) and np.isnan(check.errors[0, 0])


def test_many_infinite_components_are_summed_up():
  x, y, dy = _labels(50)
  dy[:10], dy[:20, 0, 1] = np.inf, np.inf
  check = check_derivatives((y, dy), x)
  assert check.message.startswith("dy is infinite, dy[:, 0, 1] at 20, ")
  assert "and 3 more component(s)" in check.message


def _noisy(kind, level, count=200):
  x, y, dy = _labels(count)
  rng = np.random.default_rng(5)
  size = np.sqrt(np.mean(dy**2, axis=0))
  if kind == "added":
    return x, y, dy + level * size * rng.normal(size=dy.shape)
  if kind == "relative":
    return x, y, dy * (1 + level * rng.normal(size=dy.shape))
  dy[:, 1, 0] += level * size[1, 0] * rng.uniform(-1.7, 1.7, count)
  return x, y, dy


@pytest.mark.parametrize("kind", ["added", "relative", "one component"])
@pytest.mark.parametrize("level", [0.05, 0.1])
def test_noise_has_a_verdict_of_its_own_and_passes(kind, level):
  check = _check("function", *_noisy(kind, level))
  assert check.verdict == "noisy" and check.passed
  assert check.wrong_components == ()
  percent = float(check.message.split("about ")[1].split(" %")[0])
  np.testing.assert_allclose(percent, 100 * level, rtol=0.3)


def test_noise_beside_a_wrong_component_does_not_hide_it():
  x, y, dy = _noisy("added", 0.05)
  dy[:, 0, 1] *= -1
  check = _check("function", x, y, dy)
  assert check.verdict == "wrong" and check.wrong_components == ((0, 1),)


@pytest.mark.parametrize(
  "spoil",
  [
    lambda x, dy: dy * 1.08,
    lambda x, dy: dy + 0.1 * np.sin(3 * x[:, np.newaxis, ::-1]),
    lambda x, dy: dy + 0.1,
    lambda x, dy: 0.9 * dy + 0.1 * dy[:, :, ::-1],
    lambda x, dy: dy + 0.2 * x[:, np.newaxis],
  ],
)
def test_an_error_with_a_rule_is_no_noise_however_small(spoil):
  x, y, dy = _labels(200)
  assert _check("function", x, y, spoil(x, dy)).verdict == "wrong"


def test_large_noise_and_few_points_are_no_reason_to_pass():
  assert _check("function", *_noisy("added", 0.4)).verdict == "wrong"
  assert _check("function", *_noisy("added", 0.1, 20)).verdict == "wrong"


def test_a_few_bad_points_are_found_by_their_rows():
  x, y, dy = _labels(200)
  dy[[17, 120], 0, 1] += [1.5, -2]
  check = _check("function", x, y, dy)
  assert check.verdict == "wrong" and check.wrong_components == ((0, 1),)
  assert "(row 17, 120)" in check.message
  x, y, dy = _labels(400)
  dy[[350, 30, 390], 0, 1] += [3, -3, 3]
  check = check_derivatives(lambda z: _f(z).numpy(), x, dy, seed=1)
  named = check.message.split("(row ")[1].split(")")[0].split(", ")
  assert {int(row) for row in named} <= {30, 350, 390}


_SCALED = {
  "x by its standard deviation and y by its standard deviation": (
    lambda x, y: x.std(axis=0) / y.std(axis=0)[:, np.newaxis]
  ),
  "y by its standard deviation": (
    lambda x, y: 1 / y.std(axis=0)[:, np.newaxis] * np.ones(3)
  ),
  "x by its range": lambda x, y: np.ptp(x, axis=0) * np.ones([2, 1]),
  "x by half its range and y by its range": (
    lambda x, y: np.ptp(x, axis=0) / 2 / np.ptp(y, axis=0)[:, np.newaxis]
  ),
}


@_WAYS
@pytest.mark.parametrize("name", _SCALED)
def test_labels_in_scaled_units_are_recognised(way, name):
  x, _, _ = _labels()
  units = np.array([1.0, 30.0, 0.2])

  def f(z):
    return _f(z / units) * [5.0, 900.0]

  y, dy = (term.numpy() for term in derivatives(f, x * units))
  x = x * units
  dy = dy * _SCALED[name](x, y)
  first = (y, dy) if way == "scattered" else f
  check = check_derivatives(first, x, None if way == "scattered" else dy)
  assert check.verdict == "wrong"
  assert f"in scaled units already ({name})" in check.message


@_WAYS
@pytest.mark.parametrize(
  ("factor", "words"),
  [
    (-1.0, "the sign of every component"),
    (1 / 60, "every component had to be multiplied by 6"),
    (4.0, "every component had to be multiplied by 0.2"),
  ],
)
def test_one_factor_for_all_components_is_named_once(way, factor, words):
  x, y, dy = _labels()
  check = _check(way, x, y, factor * dy)
  assert check.verdict == "wrong" and words in check.message
  assert len(check.wrong_components) == 6


def _sum_of_bumps(x):
  centre = tf.linspace(tf.constant(0.2, x.dtype), 0.8, x.shape[1])
  bump = tf.exp(-0.5 * tf.reduce_sum((x - centre) ** 2, axis=1))
  return bump + x[:, 0] * x[:, 1]


@pytest.mark.parametrize("inputs", [3, 8, 10])
@pytest.mark.parametrize("count", [100, 200])
def test_right_labels_of_many_inputs_are_told_without_a_function(inputs, count):
  x = np.random.default_rng(0).uniform(0, 1, [count, inputs])
  y, dy = (term.numpy() for term in derivatives(_sum_of_bumps, x))
  assert check_derivatives((y, dy), x).verdict == "right"
  flipped = dy * np.where(np.arange(inputs) == 1, -1, 1)
  check = check_derivatives((y, flipped), x)
  assert check.verdict == "wrong" and check.wrong_components == ((1,),)
  assert not check_derivatives((y, dy[:, ::-1]), x).passed


def test_the_result_cannot_be_changed():
  check = _check("scattered", *_labels(100))
  with pytest.raises(dataclasses.FrozenInstanceError):
    check.passed = True


_X, _Y = np.ones([4, 2]), np.ones(4)


@pytest.mark.parametrize(
  ("call", "message"),
  [
    (lambda: check_derivatives(np.sin, _X, _X), "dy must have shape"),
    (lambda: check_derivatives((_X, _X), _X), "dy must have shape"),
    (lambda: check_derivatives((_X[0], _X), _X), "dy must have shape"),
    (lambda: check_derivatives((_X,), _X), "pair"),
    (lambda: check_derivatives((_X, _X), _X, _X), "either"),
    (lambda: check_derivatives(_X, _X), "either"),
    (lambda: check_derivatives((_Y, _X), _X, tolerance=np.nan), "tolerance"),
    (lambda: check_derivatives((_Y, _X), _X, tolerance=0), "tolerance"),
    (lambda: check_derivatives((_Y, _X), _X, tolerance=-0.1), "tolerance"),
    (lambda: check_derivatives((_Y, _X), _X, tolerance=np.inf), "tolerance"),
    (lambda: check_derivatives((_Y, _X), _X, tolerance="1"), "tolerance"),
    (lambda: check_derivatives((_Y, _X), _X, max_points=0), "max_points"),
    (lambda: check_derivatives((_Y, _X), _X, max_points=2.5), "max_points"),
    (lambda: check_derivatives((_Y / 0, _X), _X), "y must be finite"),
    (lambda: check_derivatives((_Y, _X + 1j), _X), "dy must hold real"),
    (lambda: check_derivatives((_Y.astype(str), _X), _X), "y must hold real"),
    (lambda: check_derivatives(np.linalg.norm, _X, _X), "one value per point"),
  ],
)
@np.errstate(divide="ignore")
def test_unusable_arguments_are_refused_in_one_sentence(call, message):
  with pytest.raises(ValueError, match=message) as refusal:
    call()
  assert str(refusal.value).endswith(".")
