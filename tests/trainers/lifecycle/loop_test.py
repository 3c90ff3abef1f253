"""When a loop has something else to do than to train."""

import pytest

from trainers.lifecycle.loop import is_due, next_stop


@pytest.mark.parametrize(
  ("step", "wanted"),
  [
    (0, 10),
    (7, 10),
    (10, 15),  # every 15 steps there is something, too
    (15, 20),
    (31, 35),  # no more than 4 at once
    (98, 100),  # never beyond the last step
  ],
)
def test_the_next_stop_is_the_first_thing_that_is_due(step, wanted):
  most = 4 if step == 31 else 50
  assert next_stop(step, most, 100, 10, 15) == wanted


def test_something_is_due_at_its_multiples_and_at_the_end():
  assert [s for s in range(1, 26) if is_due(s, 10, 25)] == [10, 20, 25]
