"""Labels along directions: shapes that fit and shapes that are refused."""

import numpy as np
import pytest
import tensorflow as tf

from sobolev_tf.labels.directional import match_directional


def _match(name, *shapes, value=(4, 2), inputs=(4, 3), order=2):
  parts = tuple(np.ones(shape) for shape in shapes)
  return [
    part.shape.as_list()
    for part in match_directional(name, parts, value, inputs, tf.float64, order)
  ]


def test_one_direction_per_example_gets_an_axis():
  assert _match("jvp", (4, 3), (4, 2)) == [[4, 1, 3], [4, 1, 2]]
  assert _match("vjp", (4, 2), (4, 3)) == [[4, 1, 2], [4, 1, 3]]
  wanted = [[4, 1, 2], [4, 1, 3], [4, 1, 3]]
  assert _match("vhvp", (4, 2), (4, 3), (4, 3)) == wanted


def test_several_directions_per_example_stay():
  assert _match("jvp", (4, 5, 3), (4, 5, 2)) == [[4, 5, 3], [4, 5, 2]]
  assert _match("vjp", (4, 5, 2), (4, 5, 3)) == [[4, 5, 2], [4, 5, 3]]


def test_the_axis_of_a_single_output_may_be_missing_or_too_many():
  for value in ((4, 1), (4,)):
    out = list(value[1:])
    for shape in ((4, 5), (4, 5, 1)):
      matched = _match("jvp", (4, 5, 3), shape, value=value)
      assert matched == [[4, 5, 3], [4, 5, *out]]
    for shape in ((4,), (4, 1)):
      matched = _match("vjp", shape, (4, 3), value=value)
      assert matched == [[4, 1, *out], [4, 1, 3]]


@pytest.mark.parametrize(
  ("call", "message"),
  [
    (lambda: _match("jvp", (4, 3)), r"tuple \(u, J u\)"),
    (lambda: _match("jvp", (4, 2), (4, 3)), r"jvp\[0\] must have shape"),
    (lambda: _match("jvp", (4, 5, 3), (4, 2)), r"jvp\[1\] must have shape"),
    (lambda: _match("vjp", (3, 2), (4, 3)), r"vjp\[0\] must have shape"),
    (lambda: _match("hvp", (4, 3), (4, 3)), "vhvp"),
    (
      lambda: _match("hvp", (4, 3), (4, 3), value=(4, 1), order=1),
      "order=2",
    ),
  ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(call, message):
  with pytest.raises(ValueError, match=message) as refusal:
    call()
  assert str(refusal.value).endswith(".")
