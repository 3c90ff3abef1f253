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
  assert dy.evaluations == points == 6 * (1 + 2 * 2)


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
      _, dy = targets_from_neighbours(x, y, degree=degree)
      errors[count, degree] = np.sqrt(np.mean((dy - truth) ** 2))
  assert errors[1600, 1] < errors[100, 1] / 2
  assert errors[1600, 2] < errors[100, 2] / 4
  assert errors[1600, 2] < errors[1600, 1] / 3


def test_more_neighbours_average_noise_away():
  x = _points(400)
  noise = 0.1 * np.random.default_rng(2).normal(size=400)
  errors = []
  for count in (6, 60):
    _, dy = targets_from_neighbours(x, x @ [1.0, 2.0] + noise, count)
    errors.append(np.sqrt(np.mean((dy - [1.0, 2.0]) ** 2)))
  assert errors[1] < errors[0] / 3


def test_nearer_points_weigh_more_by_the_tricube():
  x = np.array([[0.0], [1.0], [2.5], [4.5], [9.0]])
  y = np.array([0.0, 1.0, -2.0, 3.0, 5.0])
  _, dy = targets_from_neighbours(x, y, num_neighbours=3)
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
    targets_from_neighbours(x, y, count, degree)[1]
    for count in (None, 2 * coefficients, 2 * coefficients + 1)
  ]
  np.testing.assert_array_equal(found[0], found[1])
  assert np.any(found[0] != found[2])


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
  ],
)
def test_unusable_arguments_are_refused_in_one_sentence(call, message):
  with pytest.raises(ValueError, match=message) as refusal:
    call()
  assert str(refusal.value).endswith(".")
