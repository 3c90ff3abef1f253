"""What really happened, counted on a parameter server.

A worker that dies leaves its share to another one, so a share can be started or
even finished twice; only the server sees that. Staleness is counted there too:
how many other updates of the estimators came between the moment at which an
update read the weights and the moment at which it had written its own.
"""

import typing

import numpy as np
import tensorflow as tf

_MOST_STALE = 1_000  # anything staler counts as this


class Entry(typing.NamedTuple):
  """What the ledger holds, as numbers.

  Attributes:
    started: shares that were begun.
    finished: shares that were completed.
    not_finite: shares whose loss was not finite.
    loss: sum of the losses of the finished shares.
    staleness: how many updates had each staleness, int64 `[1001]`.
    measured: how many shares were measured.
    measures: sums of their measures, float64.
  """

  started: int
  finished: int
  not_finite: int
  loss: float
  staleness: np.ndarray
  measured: float
  measures: np.ndarray

  def since(self, before):
    """The difference to an earlier entry."""
    return Entry(*(a - b for a, b in zip(self, before, strict=True)))


class Ledger(tf.Module):
  """Counters that many workers add to."""

  def __init__(self, num_measures):
    """Makes the variables, on one server where there are servers."""
    super().__init__(name="ledger")
    # Shares started, shares finished. The second is the estimators' clock.
    self.started = tf.Variable(tf.zeros([], tf.int64), trainable=False)
    self.clock = tf.Variable(tf.zeros([], tf.int64), trainable=False)
    self.staleness = tf.Variable(
      tf.zeros([_MOST_STALE + 1], tf.int64), trainable=False
    )
    # Loss, losses that are not finite.
    self.losses = tf.Variable(tf.zeros([2], tf.float64), trainable=False)
    # Number of measurements, and their sums.
    self.measures = tf.Variable(
      tf.zeros([1 + num_measures], tf.float64), trainable=False
    )

  def begin(self):
    """Notes that a share begins; returns the clock's time."""
    with tf.control_dependencies([_add(self.started, 1)]):
      return self.clock.read_value()

  def end(self, begun, loss, measures=None):
    """Notes that a share has been written.

    Args:
      begun: the clock's time when it began to read.
      loss: scalar.
      measures: list of scalars, or None.
    """
    # The one operation that adds and returns the earlier value at once.
    now = tf.raw_ops.ResourceCountUpTo(
      resource=self.clock.handle, limit=tf.int64.max, T=tf.int64
    )
    others = tf.clip_by_value(now - begun, 0, _MOST_STALE)
    tf.raw_ops.ResourceScatterAdd(
      resource=self.staleness.handle,
      indices=others,
      updates=tf.ones([], tf.int64),
    )
    is_finite = tf.math.is_finite(loss)
    _add(
      self.losses,
      [
        tf.where(is_finite, tf.cast(loss, tf.float64), 0.0),
        tf.cast(tf.logical_not(is_finite), tf.float64),
      ],
    )
    if measures is not None:
      _add(self.measures, tf.cast(tf.stack([1.0, *measures]), tf.float64))

  def shares(self):
    """How many shares were started, and finished."""
    return int(self.started.numpy()), int(self.clock.numpy())

  def not_finite(self):
    """How many losses were not finite."""
    return int(self.losses.numpy()[1])

  def read(self):
    """The present `Entry`."""
    measured, *measures = self.measures.numpy()
    return Entry(
      *self.shares(),
      self.not_finite(),
      float(self.losses.numpy()[0]),
      self.staleness.numpy(),
      float(measured),
      np.array(measures),
    )


def staleness_summary(counts):
  """Mean, 90th percentile and maximum of a histogram `[N]` of staleness."""
  total = counts.sum()
  if not total:
    return {"staleness": 0.0, "staleness_90": 0.0, "staleness_most": 0.0}
  values = np.arange(len(counts))
  cumulated = np.cumsum(counts)
  return {
    "staleness": float((values * counts).sum() / total),
    "staleness_90": float(np.searchsorted(cumulated, 0.9 * total)),
    "staleness_most": float(values[counts > 0].max()),
  }


def _add(variable, value):
  """Adds where the variable is; only the sum's parts travel."""
  return tf.raw_ops.AssignAddVariableOp(
    resource=variable.handle, value=tf.convert_to_tensor(value, variable.dtype)
  )
