"""A line about long work: how fast it is, and how long it will take."""

import time

import pytest

from trainers.lifecycle.progress import Progress, time_left


def test_rate_and_time_left_count_from_where_the_work_began(
  monkeypatch, capsys
):
  now = [1000.0]
  monkeypatch.setattr(time, "monotonic", lambda: now[0])
  with Progress(170, first=50, description="booth") as progress:
    now[0] += 10.0
    progress.advance_to(60)
    assert capsys.readouterr().out == ""  # nothing for 30 seconds
    now[0] += 20.0
    progress.advance_to(80)
    # 30 steps in 30 seconds; 90 are left.
    assert capsys.readouterr().out == (
      "[booth] step 80 of 170, 1.0 steps/s, about 2 min left\n"
    )
    now[0] += 29.0
    progress.advance_to(90)
    assert capsys.readouterr().out == ""
    now[0] += 100.0
    progress.advance_to(170)
    assert capsys.readouterr().out == ""  # the result is said in its own line


@pytest.mark.parametrize(
  ("seconds", "text"),
  [
    (59, "less than a minute"),
    (100, "about 2 min"),
    (3_599, "about 1 h 0 min"),
    (7_800, "about 2 h 10 min"),
  ],
)
def test_time_left_is_said_as_a_person_would(seconds, text):
  assert time_left(seconds) == text
