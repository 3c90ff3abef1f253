"""What every data set of pictures shows."""

import itertools

import numpy as np
import pytest

from data.cifar10 import Cifar10
from data.digits import Digits
from data.encoded_pictures import EncodedPictures
from data.pictures import Pictures


def test_batches_made_ahead_are_those_of_their_steps():
  data = Digits(seed=3, clutter=1)
  batches = list(itertools.islice(data.training_batches(4, 9, 2), 9))
  assert len(batches) == 5
  for step, (x, y) in enumerate(batches, start=4):
    wanted_x, wanted_y = data.training_batch(step, 2)
    np.testing.assert_array_equal(x, wanted_x)
    np.testing.assert_array_equal(y, wanted_y)


@pytest.mark.parametrize("kind", [Digits, Cifar10, EncodedPictures])
def test_every_data_set_shows_the_same(kind):
  assert Pictures in kind.__mro__
  for name in ("training_batch", "test_batches"):
    assert name in vars(kind)


def test_a_data_set_in_memory_skips_nothing():
  assert not Digits().skipped
  with pytest.raises(TypeError):
    Digits().skipped["one"] = "reason"
