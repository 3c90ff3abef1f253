"""Learners that a process's next run may take over, compiled as they are."""

import contextlib


class Pool:
  """Keeps what finished runs leave, so that a sweep compiles each kind once.

  Nobody shares a learner: it is in the pool, or lent to one run.
  """

  def __init__(self, most):
    """Takes how many learners are kept, the latest ones."""
    self._idle, self._most = {}, most

  @contextlib.contextmanager
  def borrow(self, build, *kind):
    """Lends a learner of some kind, which the borrower has to reset.

    Args:
      build: function of `kind` that makes one where none is idle.
      *kind: what its compiled steps depend on, hashable.

    Yields:
      The learner; do not keep it.
    """
    learner = self._idle.pop(kind, None) or build(*kind)
    try:
      yield learner
    finally:
      self._idle[kind] = learner
      while len(self._idle) > self._most:
        del self._idle[next(iter(self._idle))]
