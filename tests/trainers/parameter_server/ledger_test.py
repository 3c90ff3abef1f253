"""The ledger counts what happened, and how stale updates were."""

import numpy as np
import pytest
import tensorflow as tf

from trainers.parameter_server.ledger import Ledger, staleness_summary


def test_staleness_counts_the_updates_in_between():
  ledger = Ledger(2)

  @tf.function
  def overlapping():
    first = ledger.begin()
    second = ledger.begin()
    third = ledger.begin()
    with tf.control_dependencies([first, second, third]):
      ledger.end(first, 1.0, [2.0, 3.0])  # nobody came in between
      ledger.end(second, 2.0)  # one did
      ledger.end(third, float("nan"))  # two did

  before = ledger.read()
  overlapping()
  overlapping()
  entry = ledger.read().since(before)
  assert (entry.started, entry.finished, entry.not_finite) == (6, 6, 2)
  assert list(entry.staleness[:4]) == [2, 2, 2, 0]
  assert entry.loss == pytest.approx(6.0)
  assert entry.measured == 2
  np.testing.assert_allclose(entry.measures, [4.0, 6.0])
  assert ledger.shares() == (6, 6)


def test_very_stale_updates_count_as_the_most():
  ledger = Ledger(0)
  ledger.clock.assign(5_000)
  ledger.end(tf.constant(0, tf.int64), tf.constant(0.0))
  assert ledger.read().staleness[-1] == 1


def test_summary_of_a_histogram():
  counts = np.zeros([1001], np.int64)
  counts[[0, 1, 4]] = 5, 4, 1
  found = staleness_summary(counts)
  assert found["staleness"] == pytest.approx(0.8)
  assert found["staleness_90"] == 1 and found["staleness_most"] == 4
  assert set(staleness_summary(np.zeros([3])).values()) == {0.0}
