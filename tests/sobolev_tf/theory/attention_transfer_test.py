"""Remark 2's counterexample."""

import numpy as np
import pytest
import tensorflow as tf

from sobolev_tf.theory import attention_transfer


def test_the_transfer_loss_leaves_the_true_parameter():
  path = attention_transfer.descend("transfer", start=1.0, num_steps=100)
  assert path[0] == 1.0 and np.all(np.diff(path) < 0) and path[-1] < 0.3


def test_the_sobolev_loss_stays_at_the_true_parameter():
  path = attention_transfer.descend("sobolev", start=1.0, num_steps=100)
  np.testing.assert_array_equal(path, 1.0)


def test_the_sobolev_loss_finds_the_true_parameter_from_elsewhere():
  path = attention_transfer.descend("sobolev", start=0.4, num_steps=200)
  assert abs(path[-1] - 1) < 0.02


@pytest.mark.parametrize("alpha", [0.3, 4.0])
def test_losses_at_the_teacher_and_below_are_the_papers(alpha):
  x = tf.ones([3, 2], tf.float64)
  for theta, transfer, sobolev in ((2.0, 4.0, 0.0), (1.0, 1.0, 3.0)):
    value = tf.constant(theta, tf.float64)
    got = [
      float(attention_transfer.objective(loss, value, 2.0, x, alpha))
      for loss in ("transfer", "sobolev")
    ]
    assert got == [transfer, sobolev]


def test_an_unknown_loss_is_refused():
  x = tf.ones([3, 2], tf.float64)
  with pytest.raises(ValueError, match="transfer, sobolev"):
    attention_transfer.objective("hint", tf.constant(1.0, x.dtype), 1.0, x)
