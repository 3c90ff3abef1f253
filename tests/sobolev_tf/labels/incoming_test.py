"""Data in the forms that people hand to `fit`."""

import warnings

import keras
import numpy as np
import pytest
import scipy.sparse
import tensorflow as tf

from sobolev_tf.labels import incoming

_X = np.arange(12.0).reshape([6, 2])
_LABELS = {"y": np.arange(6.0)[:, None], "dy": np.ones([6, 1, 2])}


class Batches(keras.utils.PyDataset):
  """Two batches that can be read again and again."""

  def __len__(self):
    return 2

  def __getitem__(self, index):
    rows = slice(3 * index, 3 * index + 3)
    return _X[rows], {name: _LABELS[name][rows] for name in _LABELS}


def _data_set():
  return tf.data.Dataset.from_tensor_slices((_X, _LABELS)).batch(3)


@pytest.mark.parametrize(
  "x, message",
  [
    ([_X, _X], "x is a list of 2, .* one array .* concatenate"),
    ({"a": _X, "b": _X}, "x is a dict of 2"),
    (scipy.sparse.csr_matrix(_X), "x is sparse, .*toarray"),
    (tf.sparse.from_dense(_X), "x is sparse"),
    (tf.ragged.constant([[1.0], [2.0, 3.0]]), "x is ragged"),
    (_X.astype(complex), "x must hold real numbers"),
    (_X.astype(object), "x must hold real numbers"),
    (np.ma.masked_array(_X, mask=_X > 3), "x has masked elements"),
    (np.float32(3), "x must be an array"),
    (None, "x must be an array, but it is a NoneType"),
    (
      _X[0],
      r"shape \[B, 2\], but it has shape \[2\]; for a single .* x\[None\]",
    ),
    (_X[:, :1], r"shape \[B, 2\], but it has shape \[6, 1\]"),
    (_X[..., None], r"shape \[B, 2\], but it has shape \[6, 2, 1\]"),
    (tf.TensorSpec([None, 3]), r"but it has shape \[B, 3\]"),
  ],
)
def test_inputs_that_do_not_fit_are_named(x, message):
  with pytest.raises(ValueError, match=message):
    incoming.check_inputs(x, (None, 2))


@pytest.mark.parametrize(
  "x",
  [
    _X,
    _X > 3,
    _X.astype(np.uint8),
    tf.constant(_X),
    np.ma.masked_array(_X),
    tf.TensorSpec(None),
    tf.TensorSpec([None, None]),
  ],
)
def test_inputs_that_fit_pass(x):
  incoming.check_inputs(x, (None, 2))


@pytest.mark.parametrize("x", [_X[:, 0], tf.constant(_X[:, 0])])
def test_inputs_may_lack_the_axis_of_a_single_number(x):
  incoming.check_inputs(x, (None, 1))
  assert incoming.as_inputs(x, (None, 1)).shape == (6, 1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_unknown_inputs_are_refused_by_row(value):
  x = _X.copy()
  x[4, 1] = value
  with pytest.raises(ValueError, match="first in row 4"):
    incoming.refuse_unknown_inputs(x)
  incoming.refuse_unknown_inputs(_X)


@pytest.mark.parametrize(
  "change, message",
  [
    ({"dy": np.full([6, 1, 2], np.nan)}, "dy holds no known label"),
    ({"y": np.full([6, 1], np.nan)}, "y holds no known label.*{.dy.: dy}"),
    ({"dy": np.full([6, 1, 2], np.inf)}, "dy holds infinite labels"),
    ({"y": np.full([6, 1], -np.inf)}, "y holds infinite labels"),
    ({"dy": np.full([6, 1, 2], 1e39)}, "dy reaches 1e.39, .* beyond float32"),
  ],
)
def test_labels_that_training_cannot_use_are_named(change, message):
  with pytest.raises(ValueError, match=message):
    incoming.check_labels({**_LABELS, **change}, "float32", 1)


def test_labels_of_an_order_that_is_off_may_all_be_unknown():
  labels = {**_LABELS, "dy": np.full([6, 1, 2], np.nan)}
  incoming.check_labels(labels, "float32", active_order=0)
  labels["dy"][3, 0, 1] = 1e39
  incoming.check_labels(labels, "float64", active_order=1)


@pytest.mark.parametrize(
  "factor, weights, warned",
  [
    (1e4, (1.0,), "dy is .* times as large as y"),
    (1e-4, (1.0,), "y is .* times as large as dy"),
    (1e2, (1.0,), None),
    (1e4, (1e-8,), None),
    (1e4, (0.0,), None),
    (1e4, (lambda step: 1.0,), None),
    (0.0, (1.0,), None),
  ],
)
def test_orders_that_drown_each_other_are_told(factor, weights, warned):
  labels = {**_LABELS, "dy": factor * _LABELS["dy"]}
  if warned:
    with pytest.warns(UserWarning, match=warned):
      incoming.warn_of_drowned_orders(labels, weights)
  else:
    with warnings.catch_warnings():
      warnings.simplefilter("error")
      incoming.warn_of_drowned_orders(labels, weights)


@pytest.mark.parametrize(
  "arguments",
  [
    {"validation_data": (_X, _LABELS["y"], _X)},
    {"validation_data": (_X, _LABELS["y"], _X, _X)},
    {"x": tf.data.Dataset.from_tensors((_X, _LABELS["y"], _X))},
    {"x": tf.data.Dataset.from_tensors((_X, _X[:, 0], _X[:, 0], _X))},
    {"sample_weight": _X},
    {"sample_weight": {"y": _X[:, 0]}},
  ],
)
def test_labels_in_the_place_of_sample_weights_are_refused(arguments):
  with pytest.raises(ValueError, match="one tuple|one array"):
    incoming.check_sample_weight(arguments)


@pytest.mark.parametrize(
  ("weight", "phrase"),
  [
    (np.ones([5]), r"for the 6 examples of x, but it has shape \[5\]"),
    (1.0, r"for the 6 examples of x, but it has shape \[\]"),
    (np.full([6], np.nan), "finite numbers"),
    (np.full([6], "a"), "finite numbers"),
  ],
)
def test_sample_weights_are_one_finite_number_for_each_example(weight, phrase):
  for arguments in (
    {"x": _X, "sample_weight": weight},
    {"x": _X, "validation_data": (_X, _LABELS, weight)},
  ):
    with pytest.raises(ValueError, match=phrase):
      incoming.check_sample_weight(arguments)


@pytest.mark.parametrize(
  ("name", "value"),
  [
    ("epochs", -1),
    ("batch_size", 0),
    ("validation_batch_size", 1.5),
    ("steps", 0),
    ("validation_split", 1.0),
    ("validation_split", -0.5),
  ],
)
def test_counts_and_shares_of_keras_are_refused_by_name(name, value):
  with pytest.raises(ValueError, match=f"{name} must be .* but it is {value}"):
    incoming.check_counts({name: value})
  incoming.check_counts({name: None, "epochs": 0, "steps_per_epoch": 2})


def test_inputs_beyond_the_precision_of_the_network_are_refused():
  large = 1e300 * _X.astype(np.float64)
  incoming.refuse_unknown_inputs(large)
  with pytest.raises(ValueError, match=r"x reaches .*e\+301, .* float32"):
    incoming.refuse_unknown_inputs(large, "float32")


def test_sample_weights_pass():
  weight = np.ones([6, 1])
  spec = tf.data.Dataset.from_tensors((_X, _LABELS, weight))
  incoming.check_sample_weight(
    {"x": spec, "validation_data": (_X, _LABELS, weight[:, 0])}
  )
  incoming.check_sample_weight({"sample_weight": weight})


@pytest.mark.parametrize(
  "kind", ["data set", "unknown", "PyDataset", "generator"]
)
def test_the_first_batch_is_seen_and_none_is_lost(kind):
  def generator():
    for i in range(2):
      yield Batches()[i]

  data = {
    "data set": _data_set(),
    "unknown": tf.data.Dataset.from_generator(
      generator, output_types=(tf.float64, {"y": tf.float64, "dy": tf.float64})
    ),
    "PyDataset": Batches(),
    "generator": generator(),
  }[kind]
  assert incoming.is_data_set(data)
  batch, data = incoming.first_batch(data)
  assert incoming.first_of(batch).shape[-1] == 2
  rows = data if kind != "PyDataset" else [data[0], data[1]]
  np.testing.assert_array_equal(np.concatenate([x for x, _ in rows]), _X)


def test_no_batch_at_all_is_named():
  with pytest.raises(ValueError, match="holds no batch"):
    incoming.first_batch(batch for batch in ())
  with pytest.raises(ValueError, match="must be an array, a data set"):
    incoming.first_batch(3)


def test_what_can_be_read_again_is_read_batch_by_batch():
  for x, labels in (
    (_X, _LABELS),
    (_data_set(), None),
    (Batches(), None),
  ):
    batches = list(incoming.label_batches(x, labels))
    found = np.concatenate([inputs for inputs, _ in batches])
    np.testing.assert_array_equal(found, _X)
    found = np.concatenate([given["dy"] for _, given in batches])
    np.testing.assert_array_equal(found, _LABELS["dy"])
  with pytest.raises(ValueError, match="read only once"):
    list(incoming.label_batches((batch for batch in ())))


def test_the_last_examples_are_held_out():
  weight = np.arange(6.0)
  arguments = {
    "x": _X,
    "y": _LABELS,
    "sample_weight": weight,
    "validation_split": 0.34,
    "epochs": 3,
  }
  changed = incoming.hold_out(arguments)
  assert changed["validation_split"] == 0 and changed["epochs"] == 3
  x, y, held_weight = changed["validation_data"]
  np.testing.assert_array_equal(x, _X[3:])
  np.testing.assert_array_equal(y["dy"], _LABELS["dy"][3:])
  np.testing.assert_array_equal(held_weight, weight[3:])
  np.testing.assert_array_equal(changed["x"], _X[:3])
  np.testing.assert_array_equal(changed["sample_weight"], weight[:3])
  given = {**arguments, "validation_data": (_X, _LABELS)}
  assert incoming.hold_out(given) is given
