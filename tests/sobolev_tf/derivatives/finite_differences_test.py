"""Central differences of black boxes."""

import numpy as np
import pytest
import tensorflow as tf

from sobolev_tf.derivatives.finite_differences import finite_differences
from sobolev_tf.training.losses import sobolev_loss


def _points(shape, dtype=np.float64):
  return np.random.default_rng(0).uniform(-1, 1, shape).astype(dtype)


_MATRIX = np.random.default_rng(1).normal(size=[2, 2, 6])


def _f(x):
  return np.sin(np.tensordot(x.reshape(len(x), -1), _MATRIX, [[1], [-1]]))


def _truth(x):
  inner = np.tensordot(x.reshape(len(x), -1), _MATRIX, [[1], [-1]])
  full = np.cos(inner)[..., np.newaxis] * _MATRIX
  return full.reshape(inner.shape + x.shape[1:])


@pytest.mark.parametrize("inputs", [(6,), (2, 3)])
def test_full_derivative_has_its_shape_and_closed_form(inputs):
  x = _points((5, *inputs))
  result = finite_differences(_f, x).derivative
  assert result.shape == (5, 2, 2, *inputs)
  np.testing.assert_allclose(result, _truth(x), atol=1e-8)


def test_single_precision_is_as_good_as_it_can_be():
  x = _points((5, 6), np.float32)
  result = finite_differences(lambda z: _f(z).astype(np.float32), x)
  result = result.derivative
  assert result.dtype == np.float32
  np.testing.assert_allclose(result, _truth(x), atol=3e-3)


def test_a_single_precision_function_of_double_points_does_not_drown_in_noise():
  x = _points((5, 6))
  seen = []

  def f(z):
    seen.append(z.dtype)
    return _f(z.astype(np.float32)).astype(np.float32)

  result = finite_differences(f, x)
  np.testing.assert_allclose(result, _truth(x), atol=3e-3)
  assert seen[-1] == np.float32
  assert result.evaluations == 5 * len(seen)


def test_directional_differences_equal_the_projected_full_derivative():
  x, v = _points((5, 2, 3)), 10 * _points((5, 2, 3))[::-1]
  result = finite_differences(_f, x, directions=v)
  assert result.derivative.shape == (5, 2, 2) and result.step.shape == (5,)
  wanted = np.einsum("bopij,bij->bop", _truth(x), v)
  np.testing.assert_allclose(result, wanted, atol=1e-7)


def test_no_component_moves_further_than_its_step_along_a_direction():
  seen = []

  def f(x):
    seen.append(x.copy())
    return x.sum(axis=1)

  x = np.array([[1.0, 2.0], [3.0, 4.0]])
  steps = np.array([[1e-3, 1e-5], [1e-4, 1e-4]])
  finite_differences(f, x, step=steps, directions=[[1.0, 1.0], [0.5, -2.0]])
  moved = np.abs(np.array(seen) - x) / steps
  np.testing.assert_allclose(moved.max(axis=2), 1, rtol=1e-6)


def test_a_direction_of_length_zero_gives_zero():
  result = finite_differences(_f, _points((2, 6)), directions=np.zeros((2, 6)))
  np.testing.assert_array_equal(result, np.zeros([2, 2, 2]))


def test_one_point_at_a_time_equals_the_batch():
  x = _points((4, 6))
  single = finite_differences(lambda p: _f(p[np.newaxis])[0], x, batched=False)
  np.testing.assert_allclose(single, finite_differences(_f, x), atol=1e-9)


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("along", [False, True])
def test_evaluations_count_every_point(batched, along):
  x, count = _points((4, 6)), 0

  def f(z):
    nonlocal count
    count += len(z) if batched else 1
    return np.sum(z**2, axis=-1)

  result = finite_differences(
    f, x, directions=x if along else None, batched=batched
  )
  assert result.evaluations == count == (8 if along else 48)


def test_scalar_points_work_and_integers_become_double():
  result = finite_differences(lambda z: z**2, np.arange(4)).derivative
  assert result.dtype == np.float64
  np.testing.assert_allclose(result, 2 * np.arange(4), atol=1e-9)


def test_components_of_very_different_scale_are_all_accurate():
  x = _points((20, 3)) * [1e-6, 1.0, 1e9]
  result = finite_differences(
    lambda z: np.sin(1e6 * z[:, 0]) + np.sin(z[:, 1]) + np.sin(1e-9 * z[:, 2]),
    x,
  ).derivative
  wanted = np.cos(x / [1e-6, 1.0, 1e9]) * [1e6, 1.0, 1e-9]
  np.testing.assert_allclose(result, wanted, rtol=1e-8)


def test_rounded_points_do_not_spoil_a_linear_function():
  x = np.float32([[1e4], [3e4], [7e4]])
  result = finite_differences(lambda z: 3 * z.astype(np.float64), x, step=0.01)
  np.testing.assert_allclose(result.derivative.ravel(), 3, rtol=1e-12)


def test_the_given_step_is_used():
  x, seen = np.zeros([1, 2]), []

  def f(z):
    seen.append(z)
    return z[:, 0]

  result = finite_differences(f, x, step=[0.25, 0.5])
  np.testing.assert_array_equal(result.step, [[0.25, 0.5]])
  np.testing.assert_array_equal(
    np.concatenate(seen), [[0.25, 0], [-0.25, 0], [0, 0.5], [0, -0.5]]
  )


def test_infinite_outputs_become_unknown_labels_and_nothing_else_does():
  x = np.array([[1.0, 2.0], [1e-9, 2.0]])

  def f(z):
    with np.errstate(divide="ignore", invalid="ignore"):
      return np.log(z[:, 0]) + z[:, 1]

  result = finite_differences(f, x).derivative
  assert np.isnan(result).tolist() == [[False, False], [True, False]]
  assert np.isfinite(sobolev_loss((np.ones([2, 2]),), (result,)).loss).all()


def test_tensorflow_functions_are_welcome():
  x = _points((3, 2))
  result = finite_differences(lambda z: tf.exp(z), x)
  wanted = np.exp(x)[..., np.newaxis] * np.eye(2)
  np.testing.assert_allclose(result, wanted, atol=1e-8)


def test_the_result_is_a_named_tuple_and_an_array_of_the_derivative():
  result = finite_differences(lambda z: z**2, np.arange(4.0))
  derivative, step, evaluations = result
  assert result._fields == ("derivative", "step", "evaluations")
  assert type(derivative) is np.ndarray and step.shape == (4,)
  assert evaluations == 8
  np.testing.assert_array_equal(np.asarray(result), derivative)
  np.testing.assert_array_equal(1 - result.derivative, np.ones(4) - result)
  assert np.asarray(result, np.float32).dtype == np.float32


def _in_place(z):
  z *= 2
  return z[..., 0] if z.ndim == 2 else z[0]


def _shuffling(z):
  z[:] = z[::-1].copy()
  return z[::-1, 0] ** 2


@pytest.mark.parametrize("along", [False, True])
@pytest.mark.parametrize("batched", [False, True])
def test_a_function_that_works_in_place_spoils_nothing(batched, along):
  x, v = _points((4, 2)), _points((4, 2))[::-1].copy()
  before = x.copy(), v.copy()
  result = finite_differences(
    _in_place, x, directions=v if along else None, batched=batched
  )
  np.testing.assert_array_equal((x, v), before)
  wanted = 2 * v[:, 0] if along else np.tile([2.0, 0.0], [4, 1])
  np.testing.assert_allclose(result.derivative, wanted, atol=1e-9)


def test_a_function_that_reorders_its_points_spoils_nothing():
  x = _points((4, 2))
  before = x.copy()
  result = finite_differences(_shuffling, x).derivative
  np.testing.assert_array_equal(x, before)
  np.testing.assert_allclose(result[:, 0], 2 * x[:, 0], atol=1e-9)


@pytest.mark.parametrize("batched", [False, True])
def test_a_function_that_returns_one_buffer_each_time_is_understood(batched):
  x = _points((4, 2))
  buffer = np.empty([4] if batched else [])

  def f(z):
    buffer[...] = z[..., 0] ** 2 + z[..., 1]
    return buffer

  result = finite_differences(f, x, batched=batched).derivative
  wanted = np.stack([2 * x[:, 0], np.ones(4)], 1)
  np.testing.assert_allclose(result, wanted, atol=1e-9)


@pytest.mark.parametrize("turn", [1, 2, 3])
@pytest.mark.parametrize("along", [False, True])
def test_a_function_of_changing_shape_is_refused(turn, along):
  x, calls = _points((4, 2)), 0

  def f(z):
    nonlocal calls
    calls += 1
    return z[:, :1] if calls > turn else z[:, 0]

  if along and turn > 1:
    pytest.skip("two calls are all")
  with pytest.raises(ValueError, match=r"one shape.*\(4,\).*\(4, 1\)"):
    finite_differences(f, x, directions=x if along else None)


def test_a_function_that_turns_to_single_precision_counts_as_that():
  x, calls = _points((5, 6)), 0

  def f(z):
    nonlocal calls
    calls += 1
    return _f(z).astype(np.float64 if calls == 1 else np.float32)

  result = finite_differences(f, x).derivative
  np.testing.assert_allclose(result, _truth(x), atol=3e-3)


_X = np.ones([4, 2])


@pytest.mark.parametrize(
  ("call", "message"),
  [
    (lambda: finite_differences(lambda z: z[:1], _X), "one value per point"),
    (lambda: finite_differences(np.sum, _X), "one value per point"),
    (lambda: finite_differences(lambda z: z.astype(str), _X), "real numbers"),
    (lambda: finite_differences(lambda z: z + 1j, _X), "real numbers"),
    (lambda: finite_differences(np.sin, _X, directions=_X[0]), "directions"),
    (lambda: finite_differences(np.sin, _X, step=0.0), "positive"),
    (lambda: finite_differences(np.sin, _X, step=np.ones(3)), "broadcast"),
    (lambda: finite_differences(np.sin, _X, step=1e-30), "too small"),
    (lambda: finite_differences(np.sin, _X[:0]), "at least one"),
    (lambda: finite_differences(np.sin, np.nan * _X), "finite"),
    (lambda: finite_differences(np.sin, _X.astype(str)), "dtype"),
  ],
)
def test_unusable_arguments_are_refused_in_one_sentence(call, message):
  with pytest.raises(ValueError, match=message) as refusal:
    call()
  assert str(refusal.value).endswith(".")
