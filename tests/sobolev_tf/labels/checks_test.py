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


def test_the_result_cannot_be_changed():
  check = _check("scattered", *_labels(100))
  with pytest.raises(dataclasses.FrozenInstanceError):
    check.passed = True


_X = np.ones([4, 2])


@pytest.mark.parametrize(
  ("call", "message"),
  [
    (lambda: check_derivatives(np.sin, _X, _X), "dy must have shape"),
    (lambda: check_derivatives((_X, _X), _X), "dy must have shape"),
    (lambda: check_derivatives((_X[0], _X), _X), "dy must have shape"),
    (lambda: check_derivatives((_X,), _X), "pair"),
    (lambda: check_derivatives((_X, _X), _X, _X), "either"),
    (lambda: check_derivatives(_X, _X), "either"),
  ],
)
def test_unusable_arguments_are_refused_in_one_sentence(call, message):
  with pytest.raises(ValueError, match=message) as refusal:
    call()
  assert str(refusal.value).endswith(".")
