"""The guard: no update where a number is not finite, and none after it."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from trainers.lifecycle.guard import Guard, size_of


@pytest.mark.parametrize(
  "loss, gradients",
  [
    (np.nan, [[1.0], [2.0, 3.0]]),
    (np.inf, [[1.0], [2.0, 3.0]]),
    ([1.0, -np.inf], [[1.0]]),
    (1.0, [[1.0], [2.0, np.nan]]),
    (1.0, [[-np.inf], [2.0, 3.0]]),
    (1.0, [[1e20]]),  # finite, but an optimizer's square of it is not
    (np.nan, []),
  ],
)
def test_nothing_is_admitted_that_is_not_finite(loss, gradients):
  gradients = [tf.constant(g, tf.float32) for g in gradients]
  size = size_of(tf.constant(loss, tf.float32), gradients)
  assert not np.isfinite(size)
  assert not Guard().admits(size)


def test_size_is_finite_where_everything_is():
  size = size_of(tf.constant([-2.0, 1.0]), [tf.constant([3.0, 4.0])])
  assert size == 3 + 5
  assert size_of(tf.constant(-2.0), []) == 2


def test_what_follows_a_refused_update_is_refused_until_the_guard_is_opened():
  guard = Guard()
  admits = tf.function(guard.admits)
  seen = [bool(admits(tf.constant(x))) for x in (1.0, 2.0, np.nan, 3.0)]
  assert seen == [True, True, False, False]
  guard.open()
  assert admits(tf.constant(3.0))


def test_threads_cannot_reopen_a_guard():
  guard = Guard()
  admits = tf.function(guard.admits)
  admits(tf.constant(1.0))
  admitted = []

  def run(number):
    for size in [1.0] * 50 + [np.nan] * (number == 0) + [1.0] * 50:
      admitted.append(bool(admits(tf.constant(size))))

  threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert not admits(tf.constant(1.0))
  assert admitted.index(False) < len(admitted) - 1
