"""Learners are lent one at a time, and compiled once for each kind."""

import pytest

from trainers.lifecycle.pool import Pool


class Builds:
  def __init__(self):
    self.made = []

  def __call__(self, *kind):
    self.made.append(kind)
    return object()


def test_runs_one_after_the_other_share_what_was_compiled():
  pool, build = Pool(most=2), Builds()
  seen = []
  for kind in ("a", "b", "a", "b"):
    with pool.borrow(build, kind, 1) as learner:
      seen.append(learner)
  assert build.made == [("a", 1), ("b", 1)]
  assert seen[0] is seen[2] and seen[1] is seen[3]


def test_two_borrowers_at_once_get_two_learners():
  pool, build = Pool(most=2), Builds()
  with pool.borrow(build, "a") as one, pool.borrow(build, "a") as other:
    assert one is not other
  assert build.made == [("a",), ("a",)]


def test_the_oldest_is_let_go():
  pool, build = Pool(most=1), Builds()
  for kind in ("a", "b", "a"):
    with pool.borrow(build, kind):
      pass
  assert build.made == [("a",), ("b",), ("a",)]


def test_a_run_that_fails_gives_its_learner_back():
  pool, build = Pool(most=1), Builds()
  with pytest.raises(RuntimeError), pool.borrow(build, "a"):
    raise RuntimeError
  with pool.borrow(build, "a"):
    pass
  assert len(build.made) == 1
