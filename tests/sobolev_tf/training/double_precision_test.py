"""float64 numbers on their way through Keras."""

import numpy as np
import tensorflow as tf

from sobolev_tf.training.double_precision import DoubleBits, pack, unpack

_HARD = np.array([0.1, -0.0, np.nan, np.inf, 5e-324, 1.7e308, -3e5 + 1e-10])


def test_every_double_comes_out_as_it_went_in():
  packed = pack(_HARD)
  assert isinstance(packed, DoubleBits) and packed.bits.dtype == np.int64
  np.testing.assert_array_equal(unpack(packed), _HARD)
  assert np.signbit(unpack(packed)[1])


def test_slices_and_transposed_arrays_keep_their_shape_and_numbers():
  grid = np.arange(24.0).reshape(2, 3, 4) / 7
  for array in (grid[:, ::2], grid.T, grid[..., -1], np.float64(grid[:0])):
    np.testing.assert_array_equal(unpack(pack(array)), array)


def test_structures_are_kept_and_nothing_but_doubles_is_touched():
  single = np.float32([0.1])
  data = (_HARD, {"y": [_HARD, single]}, np.arange(3), None, "name")
  packed = pack(data)
  assert isinstance(packed[1]["y"][0], DoubleBits)
  assert packed[1]["y"][1] is single and packed[2] is data[2]
  assert packed[3:] == (None, "name")
  back = unpack(packed)
  np.testing.assert_array_equal(back[1]["y"][0], _HARD)
  assert back[1]["y"][1] is single


def test_tensors_and_graphs_work_too():
  packed = pack(tf.constant(_HARD))
  np.testing.assert_array_equal(tf.function(unpack)(packed), _HARD)
