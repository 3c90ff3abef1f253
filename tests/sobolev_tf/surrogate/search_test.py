"""The search: folds, intervals, and networks handed to Keras."""

import numpy as np
import pytest

from sobolev_tf.surrogate.search import folds, interval, keras_network
from sobolev_tf.surrogate.tanh_network import TanhNetwork


@pytest.mark.parametrize("count, number", [(4, 4), (49, 5), (50, 1)])
def test_each_point_is_held_out_once_where_there_are_few(count, number):
  masks = folds(count)
  assert len(masks) == number
  times = np.sum(masks, axis=0)
  assert times.max() == 1 and (number == 1 or times.min() == 1)


def test_interval_covers_nine_in_ten_of_what_it_was_set_on():
  rng = np.random.default_rng(0)
  labels = rng.normal(size=[200, 1])
  values = labels + rng.normal(size=[5, 200, 1]) * rng.uniform(1, 3, [200, 1])
  factor, floor = interval(values, labels)
  width = factor * np.sqrt(values.std(axis=0) ** 2 + floor**2)
  covered = np.mean(np.abs(values.mean(axis=0) - labels) <= width)
  assert 0.9 <= covered <= 0.92


def test_keras_computes_what_the_search_has_trained():
  network = TanhNetwork(3, 5, 2)
  position = network.initial(np.random.default_rng(0))
  x = np.random.default_rng(1).normal(size=[7, 3])
  np.testing.assert_allclose(
    keras_network(network, position)(x).numpy(),
    network.evaluate(position, x, 0)[0],
    rtol=1e-12,
  )
