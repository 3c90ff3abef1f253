"""Derivative targets from functions, black boxes and neighbours."""

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

from sobolev_tf.derivatives.nested_tapes import derivatives
from sobolev_tf.labels.makers import (
  targets_from_black_box,
  targets_from_function,
  targets_from_neighbours,
)


def _points(count, inputs=2):
  return np.random.default_rng(0).uniform(-1, 1, [count, inputs])


def _f(x):
  value = tf.sin(x[:, 0]) * tf.exp(x[:, 1])
  return tf.stack([value, x[:, 0] ** 2], axis=1)


@pytest.mark.parametrize("batch_size", [1, 4, 10, 100])
def test_batches_do_not_change_the_targets_of_a_function(batch_size):
  x = _points(10)
  targets = targets_from_function(_f, x, 2, batch_size)
  assert all(isinstance(target, np.ndarray) for target in targets)
  for a, b in zip(targets, derivatives(_f, x, 2), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-15)


def test_a_new_teacher_network_can_label():
  teacher = snt.nets.MLP([8, 3], activation=tf.tanh)
  x = _points(5).astype(np.float32)
  y, dy = targets_from_function(teacher, x, batch_size=2)
  value, gradient = derivatives(teacher, x)
  np.testing.assert_allclose(y, value, atol=1e-6)
  np.testing.assert_allclose(dy, gradient, atol=1e-6)


@pytest.mark.parametrize("batched", [False, True])
def test_black_box_targets_match_the_gradient_and_count_all_points(batched):
  x, points = _points(6), 0

  def black_box(z):
    nonlocal points
    points += len(z) if batched else 1
    return _f(z).numpy() if batched else _f(z[np.newaxis])[0].numpy()

  y, dy = targets_from_black_box(black_box, x, batched=batched)
  value, gradient = derivatives(_f, x)
  np.testing.assert_allclose(y, value, rtol=1e-14)
  np.testing.assert_allclose(dy, gradient, atol=1e-8)
  assert points == 6 * (1 + 2 * 2)


@pytest.mark.parametrize("degree", [1, 2])
def test_neighbours_find_a_polynomial_of_their_degree_exactly(degree):
  x = _points(60, 3) * [1.0, 1e-3, 1e4]
  matrix = np.random.default_rng(1).normal(size=[2, 3])
  y, wanted = x @ matrix.T, np.broadcast_to(matrix, [60, 2, 3]).copy()
  if degree == 2:
    y[:, 1] += x[:, 0] * x[:, 1] - 3 * x[:, 0] ** 2
    wanted[:, 1, 0] += x[:, 1] - 6 * x[:, 0]
    wanted[:, 1, 1] += x[:, 0]
  _, dy = targets_from_neighbours(x, y, degree=degree)
  scale = np.abs(wanted).max(axis=0)
  np.testing.assert_allclose(dy / scale, wanted / scale, atol=1e-7)


def test_closer_points_give_better_slopes_and_degree_two_better_ones():
  errors = {}
  for count in (100, 1600):
    x = _points(count)
    y, truth = (term.numpy() for term in derivatives(_f, x))
    for degree in (1, 2):
      _, dy = targets_from_neighbours(x, y, degree=degree, largest_error=np.inf)
      errors[count, degree] = np.sqrt(np.mean((dy - truth) ** 2))
  assert errors[1600, 1] < errors[100, 1] / 2
  assert errors[1600, 2] < errors[100, 2] / 4
  assert errors[1600, 2] < errors[1600, 1] / 3


def test_more_neighbours_average_noise_away():
  x = _points(400)
  noise = 0.1 * np.random.default_rng(2).normal(size=400)
  errors = []
  for count in (6, 60):
    _, dy = targets_from_neighbours(
      x, x @ [1.0, 2.0] + noise, count, degree=1, largest_error=np.inf
    )
    errors.append(np.sqrt(np.mean((dy - [1.0, 2.0]) ** 2)))
  assert errors[1] < errors[0] / 3


def test_nearer_points_weigh_more_by_the_tricube():
  x = np.array([[0.0], [1.0], [2.5], [4.5], [9.0]])
  y = np.array([0.0, 1.0, -2.0, 3.0, 5.0])
  _, dy = targets_from_neighbours(x, y, 3, largest_error=np.inf)
  # At the first point: itself and the next three; a weight falls to zero a
  # tenth beyond the farthest.
  distances = x[:4, 0]
  weights = (1 - (distances / (1.1 * 4.5)) ** 3) ** 3
  slope, _ = np.polyfit(x[:4, 0], y[:4], 1, w=np.sqrt(weights))
  np.testing.assert_allclose(dy[0], [slope], rtol=1e-10)


@pytest.mark.parametrize(("degree", "coefficients"), [(1, 3), (2, 6)])
def test_by_default_a_fit_has_two_neighbours_for_each_coefficient(
  degree, coefficients
):
  rng = np.random.default_rng(0)
  x, y = rng.normal(size=[40, 2]), rng.normal(size=40)
  found = [
    targets_from_neighbours(x, y, count, degree, largest_error=np.inf)[1]
    for count in (None, 2 * coefficients, 2 * coefficients + 1)
  ]
  assert np.isfinite(found).all()
  np.testing.assert_array_equal(found[0], found[1])
  assert np.all(np.any(found[0] != found[2], axis=1))


def test_points_on_a_line_leave_the_slope_unknown():
  t = np.linspace(0, 1, 20)
  _, dy = targets_from_neighbours(np.stack([t, 2 * t], 1), t)
  assert np.isnan(dy).all()
  repeated = np.zeros([10, 2])
  assert np.isnan(targets_from_neighbours(repeated, np.arange(10))[1]).all()


def test_unknown_values_are_left_out_of_every_fit():
  x = _points(40)
  y = x @ [1.0, 2.0]
  y[::4] = np.nan
  _, dy = targets_from_neighbours(x, y, 16)
  np.testing.assert_allclose(dy, np.tile([1.0, 2.0], [40, 1]), atol=1e-10)


@pytest.mark.parametrize("out", [(), (1,), (2, 3)])
def test_neighbour_targets_have_the_shapes_that_training_wants(out):
  x = _points(30).astype(np.float32).reshape(30, 2, 1)
  y, dy = targets_from_neighbours(x, np.ones([30, *out], np.float32))
  assert y.shape == (30, *out) and dy.shape == (30, *out, 2, 1)
  assert dy.dtype == np.float32
  np.testing.assert_allclose(dy, 0, atol=1e-5)


@pytest.mark.parametrize("batched", [False, True])
def test_a_black_box_that_works_in_place_spoils_neither_points_nor_labels(
  batched,
):
  x = _points(6)
  before = x.copy()

  def black_box(z):
    z *= 2
    return z[..., 0] ** 2 + z[..., 1]

  y, dy = targets_from_black_box(black_box, x, batched=batched)
  np.testing.assert_array_equal(x, before)
  np.testing.assert_allclose(y, 4 * x[:, 0] ** 2 + 2 * x[:, 1], rtol=1e-14)
  wanted = np.stack([8 * x[:, 0], np.full(6, 2.0)], axis=1)
  np.testing.assert_allclose(dy, wanted, atol=1e-8)


def test_a_black_box_whose_labels_change_their_shape_is_refused():
  calls = 0

  def black_box(z):
    nonlocal calls
    calls += 1
    return z[:, 0] if calls == 1 else z[:, :1]

  with pytest.raises(ValueError, match=r"one shape.*\(6,\).*\(6, 1\)"):
    targets_from_black_box(black_box, _points(6))


def _branin(x):
  u, v = 15 * x[:, 0] - 5, 15 * x[:, 1]
  bowl = v - 5.1 / (4 * np.pi**2) * u**2 + 5 / np.pi * u - 6
  return bowl**2 + 10 * (1 - 1 / (8 * np.pi)) * tf.cos(u) + 10


def _sine(x):
  return tf.sin(6 * x[:, 0]) * tf.exp(x[:, 1])


def _estimated(f, count, noise=0.0, **kwargs):
  x = np.random.default_rng(3).uniform(0, 1, [count, 2])
  y, truth = (term.numpy() for term in derivatives(f, x))
  y = y + noise * y.std() * np.random.default_rng(4).normal(size=count)
  _, dy, errors = targets_from_neighbours(x, y, return_errors=True, **kwargs)
  return dy, errors, truth


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("count", [40, 400])
@pytest.mark.parametrize("f", [_branin, _sine])
def test_the_estimated_errors_are_of_the_size_of_the_true_ones(
  f, count, noise, degree
):
  dy, errors, truth = _estimated(
    f, count, noise, degree=degree, largest_error=np.inf
  )
  ratio = np.sqrt(np.mean((dy - truth) ** 2) / np.mean(errors**2))
  assert 0.4 < ratio < 2.5


def test_labels_that_may_be_hopeless_are_unknown():
  dy, errors, truth = _estimated(_sine, 100, noise=0.2, largest_error=0.5)
  unknown = np.isnan(dy)
  assert 0 < unknown.mean() < 1 and np.isfinite(errors).all()
  kept, _, _ = _estimated(_sine, 100, noise=0.2, largest_error=np.inf)
  np.testing.assert_array_equal(kept[~unknown], dy[~unknown])
  wrong = np.abs(kept - truth)
  assert np.mean(wrong[unknown] ** 2) > 1.5 * np.mean(wrong[~unknown] ** 2)
  strict, _, _ = _estimated(_sine, 100, noise=0.2, largest_error=0.3)
  assert np.isnan(strict).mean() > unknown.mean()
  noise = np.random.default_rng(0).normal(size=60)
  with pytest.warns(UserWarning, match="no derivative could be estimated"):
    _, dy = targets_from_neighbours(_points(60), noise)
  assert np.isnan(dy).all()


def test_degree_two_is_taken_where_there_are_points_enough():
  x = _points(13)
  y = x[:, 0] ** 2 - x[:, 0] * x[:, 1]
  wanted = np.stack([2 * x[:, 0] - x[:, 1], -x[:, 0]], axis=1)
  np.testing.assert_allclose(
    targets_from_neighbours(x, y)[1], wanted, atol=1e-9
  )
  for few, arguments in ((12, {}), (13, {"num_neighbours": 11})):
    _, dy = targets_from_neighbours(
      x[:few], y[:few], **arguments, largest_error=np.inf
    )
    _, plane = targets_from_neighbours(
      x[:few], y[:few], **arguments, degree=1, largest_error=np.inf
    )
    np.testing.assert_array_equal(dy, plane)


def test_an_error_that_cannot_be_estimated_is_not_taken_for_none():
  x = _points(30)
  _, dy, errors = targets_from_neighbours(
    x, x @ [1.0, 2.0], 2, degree=1, return_errors=True
  )
  assert np.isnan(errors).all() and np.isfinite(dy).any()


_X = _points(5)


@pytest.mark.parametrize(
  ("call", "message"),
  [
    (lambda: targets_from_function(tf.sin, _X, 1, 0), "batch_size"),
    (lambda: targets_from_function(tf.sin, _X[:0]), "at least one"),
    (lambda: targets_from_neighbours(_X, np.ones(4)), "per point"),
    (lambda: targets_from_neighbours(_X, np.ones(5), degree=3), "degree"),
    (lambda: targets_from_neighbours(_X, np.ones(5), degree=2), "at least 5"),
    (lambda: targets_from_neighbours(_X, np.ones(5), 1), "at least 2"),
    (lambda: targets_from_neighbours(_X, np.ones(5), 9), "at most 4"),
    (
      lambda: targets_from_neighbours(_X, np.ones(5), largest_error=np.nan),
      "largest_error",
    ),
    (
      lambda: targets_from_neighbours(_X, np.ones(5), largest_error=0),
      "largest_error",
    ),
    (lambda: targets_from_neighbours(_X, np.full(5, np.inf)), "finite"),
  ],
)
def test_unusable_arguments_are_refused_in_one_sentence(call, message):
  with pytest.raises(ValueError, match=message) as refusal:
    call()
  assert str(refusal.value).endswith(".")
