"""Weights of derivative losses, by themselves."""

import numpy as np
import pytest

from sobolev_tf.training.weight_schedules import highest_active_order


@pytest.mark.parametrize(
  ("weights", "order"),
  [
    ((), 0),
    ((0.0,), 0),
    ((0.5, 0.0), 1),
    ((0.0, 0.5), 2),
    # One component that counts is enough; none switches the order off.
    ((np.array([0.0, 1.0]), np.zeros(2)), 1),
    # What a schedule says is not known beforehand.
    ((0.0, lambda step: 0.0), 2),
  ],
)
def test_the_highest_order_that_counts_is_differentiated(weights, order):
  assert highest_active_order(weights) == order
