"""Every kind of argument has one sentence for what it cannot be."""

import math

import numpy as np
import pytest
import tensorflow as tf

from sobolev_tf.derivatives import arguments

NAN = float("nan")


@pytest.mark.parametrize("number", [1, 7, np.int64(3)])
def test_whole_numbers_pass(number):
  arguments.check_whole("n", number, 1)


@pytest.mark.parametrize("number", [0, 1.5, 1.0, NAN, math.inf, "x", None, [1]])
def test_what_is_no_whole_number_of_that_size_is_refused(number):
  with pytest.raises(ValueError, match="^n must be a whole .* least 1, but"):
    arguments.check_whole("n", number, 1)


def test_real_numbers_pass_at_the_ends_of_their_range():
  arguments.check_real("p", 1, least=1)
  arguments.check_real("p", math.inf, least=1)
  arguments.check_real("p", np.float32(0.5), above=0, most=0.5)
  arguments.check_real("p", -math.inf)


def test_a_share_is_at_least_0_and_below_1():
  arguments.check_real("share", 0.0, least=0, below=1)
  for wrong in (1.0, -0.1, NAN):
    with pytest.raises(ValueError, match="at least 0 and below 1, but it is"):
      arguments.check_real("share", wrong, least=0, below=1)


@pytest.mark.parametrize("number", [0, -1.0, NAN, 2, "x", None, [0.5], 1j])
def test_what_is_no_real_number_of_that_range_is_refused(number):
  with pytest.raises(ValueError, match="^p must be a number above 0 and at mo"):
    arguments.check_real("p", number, above=0, most=1)


def test_a_function_is_what_can_be_called():
  arguments.check_function(tf.sin)
  for wrong in (None, 3, "sin", np.zeros(2)):
    with pytest.raises(ValueError, match="^g must be a function"):
      arguments.check_function(wrong, "g")


def test_shapes_are_whole_and_not_negative():
  assert arguments.as_shape([0, 3]).numpy().tolist() == [0, 3]
  assert arguments.as_shape(tf.constant([2])).numpy().tolist() == [2]
  for wrong in ([-1, 3], [], 3, None, "x", [NAN], [1.5]):
    with pytest.raises(ValueError, match="^shape must be whole numbers"):
      arguments.as_shape(wrong)


def test_seeds_are_one_integer_or_two():
  assert arguments.as_seed(3).numpy().tolist() == [3, 0]
  assert arguments.as_seed((3, tf.constant(4))).numpy().tolist() == [3, 4]
  for wrong in ("x", None, [1, 2, 3], 1.5, [[1, 2]], NAN):
    with pytest.raises(ValueError, match="^seed must be an integer or a pair"):
      arguments.as_seed(wrong)


def test_tensors_are_sequences_of_real_arrays():
  one, other = arguments.as_tensors("v", (np.ones(2), tf.ones([3, 1])))
  assert one.dtype == tf.float64 and other.shape == (3, 1)
  for wrong in (None, 3, "x", np.ones(2)):
    with pytest.raises(ValueError, match="^v must be a tuple of arrays"):
      arguments.as_tensors("v", wrong)
  for wrong in ("x", None, 1j, [[1.0], [1.0, 2.0]]):
    with pytest.raises(ValueError, match=r"^v\[1\] must be an array of real"):
      arguments.as_tensors("v", [np.ones(2), wrong])


def test_numbers_become_float64():
  assert arguments.as_numbers("x", [[1, 2]]).dtype == np.float64
  for wrong in ("x", None, 1j, [object()], ["1"], [[1.0], [1.0, 2.0]]):
    with pytest.raises(ValueError, match="^x must be an array of real num"):
      arguments.as_numbers("x", wrong)
