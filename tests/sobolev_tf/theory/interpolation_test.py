"""Proposition 1: values and gradients are met exactly, whatever they are."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from sobolev_tf.derivatives.nested_tapes import derivatives
from sobolev_tf.theory.interpolation import interpolating_network


def errors(network, points, values, gradients):
  value, gradient = derivatives(network, tf.constant(points, tf.float64))
  return max(
    np.abs(value - values).max(initial=0),
    np.abs(gradient - gradients).max(initial=0),
  )


def random_labels(num_points, d, seed):
  rng = np.random.default_rng(seed)
  return [rng.normal(size=s) for s in ([num_points, d], num_points)] + [
    rng.normal(size=[num_points, d])
  ]


@pytest.mark.parametrize("d", [1, 2, 5, 20])
@pytest.mark.parametrize("negative_slope", [0.0, 0.2])
def test_a_thousand_points_are_met_to_1e_9(d, negative_slope):
  points, values, gradients = random_labels(1000, d, seed=d)
  network = interpolating_network(points, values, gradients, negative_slope)
  assert network.num_units == 4 * 1000 * (d + 1)
  # Every bump is evaluated; a share of the points keeps the test quick.
  rows = slice(0, 1000, 1 if d < 20 else 10)
  for part in np.array_split(np.arange(1000)[rows], 10):
    assert errors(network, points[part], values[part], gradients[part]) <= 1e-9


@hypothesis.settings(max_examples=30, deadline=None)
@hypothesis.given(
  d=st.integers(1, 6),
  num_points=st.integers(1, 12),
  scale=st.sampled_from([1e-3, 1.0, 1e4]),
  negative_slope=st.sampled_from([0.0, 0.01, 0.2, 0.5]),
  seed=st.integers(0, 2**16),
)
def test_points_with_coinciding_coordinates_are_met(
  d, num_points, scale, negative_slope, seed
):
  rng = np.random.default_rng(seed)
  # Three values per axis: most points share coordinates.
  points = np.unique(rng.integers(0, 3, [num_points, d]), axis=0) * scale
  values = rng.normal(size=len(points))
  gradients = rng.normal(size=points.shape)
  network = interpolating_network(
    points, values, gradients, negative_slope, seed=seed
  )
  # x itself carries a rounding error of 1e-16 of its size into the value.
  assert errors(network, points, values, gradients) <= 1e-11 * max(1, scale)


def test_a_basis_that_is_no_rotation_needs_the_inverse_transpose():
  points, values, gradients = random_labels(5, 2, seed=0)
  basis = np.array([[1.0, 0.5], [0.3, 2.0]])
  network = interpolating_network(points, values, gradients, basis=basis)
  assert errors(network, points, values, gradients) <= 1e-12
  # The text's A^{-1} is met by handing over labels that it would turn wrong.
  printed = basis.T @ np.linalg.inv(basis) @ gradients.T
  assert np.abs(printed.T - gradients).max() > 0.1


def test_the_network_is_one_hidden_layer_of_relus_written_out():
  points, values, gradients = random_labels(6, 3, seed=4)
  network = interpolating_network(points, values, gradients)
  x = np.random.default_rng(5).normal(size=[50, 3])
  kinks = np.array([-2, -1, 1, 2])
  z = x @ network.basis.numpy().T

  def hidden(coordinates, centres, widths):  # each [50, N] or [N]
    u = (coordinates - centres) / widths
    return np.maximum(0, u[..., np.newaxis] - kinks)

  centres, widths, heights = (v.numpy() for v in network.levels)
  units = hidden(z[:, network.axes.numpy()], centres, widths)
  wanted = np.einsum("bij,i,j->b", units, heights, [1, -1, -1, 1])
  centres, widths, slopes = (v.numpy() for v in network.tilts)
  for k in range(3):
    units = hidden(z[:, [k]], centres[k], widths[k])
    wanted += np.einsum(
      "bij,i,j->b", units, slopes[k] * widths[k], [-1, 2, -2, 1]
    )
  np.testing.assert_allclose(network(x), wanted, rtol=0, atol=1e-10)


def test_the_network_is_zero_far_from_all_points():
  points, values, gradients = random_labels(6, 2, seed=4)
  for negative_slope in (0.0, 0.2):
    network = interpolating_network(points, values, gradients, negative_slope)
    assert np.abs(network(np.array([[50.0, 70.0], [-90.0, 40.0]]))).max() < 1e-9


def test_the_network_exposes_its_weights_and_is_fixed_by_the_seed():
  labels = random_labels(6, 2, seed=4)
  first, again, other = (
    interpolating_network(*labels, seed=s) for s in (3, 3, 4)
  )
  assert len(first.trainable_variables) == 7
  np.testing.assert_array_equal(first.basis, again.basis)
  assert np.abs(first.basis - other.basis).max() > 1e-3


def test_a_repeated_point_with_the_same_labels_counts_once():
  points, values, gradients = random_labels(3, 2, seed=1)
  repeat = [0, 1, 2, 1]
  network = interpolating_network(
    points[repeat], values[repeat], gradients[repeat]
  )
  assert network.num_units == 4 * 3 * 3
  assert errors(network, points, values, gradients) <= 1e-12


@pytest.mark.parametrize("changed", ["value", "gradient"])
def test_a_repeated_point_with_different_labels_is_refused(changed):
  points, values, gradients = (a[[0, 1, 0]] for a in random_labels(2, 2, 1))
  if changed == "value":
    values[2] += 1
  else:
    gradients[2, 1] += 1
  with pytest.raises(ValueError, match="twice with different labels"):
    interpolating_network(points, values, gradients)


def test_points_too_close_for_float64_are_refused():
  points = np.array([[1.0, 1.0], [1.0, 1.0 + 4e-16]])
  with pytest.raises(ValueError, match="too close to separate"):
    interpolating_network(points, np.zeros(2), np.zeros([2, 2]))


@pytest.mark.parametrize(
  "shapes, message",
  [
    (([3], [3], [3]), "points must have shape"),
    (([3, 2], [3, 1], [3, 2]), "values must have shape"),
    (([3, 2], [3], [3]), "gradients must have shape"),
  ],
)
def test_wrong_shapes_are_refused_by_name(shapes, message):
  with pytest.raises(ValueError, match=message):
    interpolating_network(*(np.ones(shape) for shape in shapes))


def test_missing_labels_and_impossible_slopes_are_refused():
  points, values, gradients = random_labels(3, 2, seed=1)
  with pytest.raises(ValueError, match="negative_slope must lie in"):
    interpolating_network(points, values, gradients, negative_slope=1.0)
  values[0] = np.nan
  with pytest.raises(ValueError, match="values must be finite"):
    interpolating_network(points, values, gradients)


def test_an_input_of_another_dimension_is_refused():
  network = interpolating_network(*random_labels(3, 2, seed=1))
  with pytest.raises(ValueError, match=r"x must have shape \[B, 2\]"):
    network(np.ones([4, 3]))
