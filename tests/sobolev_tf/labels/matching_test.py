"""Labels in the shapes that people have them in."""

import numpy as np
import pytest
import scipy.sparse
import tensorflow as tf

from sobolev_tf.labels.matching import (
  accepted_shapes,
  as_dict,
  known_rows,
  match_arrays,
  match_labels,
  orders_of,
)


def test_metrics_of_values_leave_out_an_example_with_one_unknown_component():
  y = tf.constant([[1.0, np.nan], [2.0, 3.0], [np.nan, np.nan]])
  predicted = tf.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
  known, matched, weight = known_rows(y, predicted, tf.constant([1.0, 2, 3]))
  np.testing.assert_array_equal(known, [[2, 3]])
  np.testing.assert_array_equal(matched, [[3, 4]])
  np.testing.assert_array_equal(weight, [2])


_Y, _DY = np.zeros([4]), np.zeros([4, 2])


@pytest.mark.parametrize(
  "labels, names",
  [
    (_Y, ["y"]),
    ((_Y, _DY), ["y", "dy"]),
    ([_Y, None, _DY], ["y", "d2y"]),
    ({"d2y": _DY, "y": _Y}, ["y", "d2y"]),
    ({"dy": _DY, "y": None}, ["dy"]),
  ],
)
def test_labels_get_names_in_the_order_of_derivatives(labels, names):
  assert list(as_dict(labels, 2)) == names
  assert orders_of(names) == {
    {"y": 0, "dy": 1, "d2y": 2}[name] for name in names
  }


@pytest.mark.parametrize(
  "labels, message",
  [
    (None, "labels are missing"),
    ((None, None), "labels are missing"),
    ({}, "labels are missing"),
    ((_Y, _DY, _DY), "holds 3 arrays, .* order 1 takes 2"),
    ({"y": _Y, "dydx": _DY}, "hold 'dydx', .* takes 'y', 'dy'"),
    ({"y": _Y, "d2y": _DY}, "hold 'd2y'"),
  ],
)
def test_labels_that_no_model_takes_are_named(labels, message):
  with pytest.raises(ValueError, match=message):
    as_dict(labels, 1)


@pytest.mark.parametrize(
  "out, inputs, order, shapes",
  [
    ([3], [2], 0, [[4, 3]]),
    ([3], [2], 1, [[4, 3, 2]]),
    ([1], [2], 1, [[4, 1, 2], [4, 2]]),
    ([1], [1], 2, [[4, 1, 1, 1], [4, 1, 1], [4]]),
    ([], [2], 1, [[4, 2], [4, 1, 2]]),
    ([], [], 1, [[4], [4, 1]]),
  ],
)
def test_the_axis_of_a_single_output_may_be_left_out(
  out, inputs, order, shapes
):
  found = accepted_shapes(order, [4, *out], [4, *inputs])
  assert [shape.as_list() for shape in found] == shapes


def test_labels_of_unknown_rank_are_brought_into_the_full_shape():
  traces = []

  @tf.function(input_signature=[tf.TensorSpec(None)] * 2)
  def match(y, dy):
    traces.append(1)
    return match_labels((y, dy), [None, 1], [None, 2], tf.float32, 1)

  for y, dy in ((_Y, _DY), (_Y[:, None], _DY[:, None]), (_Y[:3], _DY[:3])):
    matched = match(y.astype("f"), dy.astype("f"))
    assert matched["y"].shape == [len(y), 1]
    assert matched["dy"].shape == [len(y), 1, 2]
  assert len(traces) == 1
  with pytest.raises(
    tf.errors.InvalidArgumentError, match="dy must have shape"
  ):
    match(_Y.astype("f"), np.zeros([4, 1, 1, 2], "f"))
  with pytest.raises(tf.errors.InvalidArgumentError, match="y must have sh"):
    match(np.zeros([4, 2], "f"), _DY.astype("f"))


def test_masked_labels_are_unknown():
  masked = np.ma.masked_array([1, 2, 3, 4], mask=[0, 1, 0, 0])
  matched = match_arrays({"y": masked}, [4, 1], [4, 2], 1)
  np.testing.assert_array_equal(matched["y"], [[1], [np.nan], [3], [4]])


@pytest.mark.parametrize(
  "label, message",
  [
    (_DY.astype(complex), "dy must hold real numbers, .* complex128"),
    (_DY.astype(str), "dy must hold real numbers"),
    (_DY.astype(object), "dy must hold real numbers"),
    (tf.sparse.from_dense(_DY), "dy is sparse"),
    (scipy.sparse.csr_matrix(_DY), "dy is sparse"),
    (tf.ragged.constant([[1.0, 2.0]] * 4), "dy is ragged"),
    (list(_DY), "dy must be an array, but it is a list"),
    (_DY[:3], r"dy must have shape \[4, 1, 2\] or \[4, 2\], .* \[3, 2\]"),
  ],
)
def test_odd_labels_are_named(label, message):
  with pytest.raises(ValueError, match=message):
    match_arrays((_Y, label), [4, 1], [4, 2], 1)
