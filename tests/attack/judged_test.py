"""The verdicts, on processes of which it is known what they do."""

import faulthandler
import os
import signal
import sys
import time

import pytest

from tests.attack.judged import Answer, Fork, judge


def say(words, code=0):
  print(words)
  sys.exit(code)


def verdict(function, is_right=True, timeout=20):
  return judge(Fork(function).answer(timeout), lambda: is_right)


def crash():
  raise KeyError("x")


def die():
  faulthandler.disable()  # nobody is to be alarmed
  os.kill(os.getpid(), signal.SIGSEGV)


@pytest.mark.parametrize(
  "function, is_right, expected",
  [
    (lambda: say("done"), True, "right"),
    (lambda: say("error: this is wrong.", 2), True, "clear"),
    (lambda: say("metrics.csv is damaged; made again."), False, "clear"),
    (lambda: say("done"), False, "silent"),
    (lambda: say("", 2), False, "silent"),
    (lambda: say("done", 3), False, "silent"),
    (crash, True, "traceback"),
    (die, True, "traceback"),
    (lambda: say("Traceback (most recent call last):", 0), True, "traceback"),
  ],
)
def test_verdicts(function, is_right, expected):
  assert verdict(function, is_right) == expected


def test_what_does_not_end_is_a_hang_and_is_ended():
  fork = Fork(lambda: time.sleep(60))
  assert judge(fork.answer(0.2), lambda: True) == "hang"
  with pytest.raises(ProcessLookupError):
    os.kill(fork.pid, 0)


def test_a_kill_says_whether_it_came_in_time():
  assert Fork(lambda: time.sleep(60)).kill_after(0.1)
  assert not Fork(lambda: None).kill_after(5)


def test_memory_beyond_the_parents_is_counted():
  held = bytearray(os.urandom(1000)) * 50_000  # the parent's own, 50 MB
  answer = Fork(lambda: len(bytearray(os.urandom(1000)) * 100_000)).answer(20)
  assert isinstance(answer, Answer) and answer.code == 0
  assert 90e6 < answer.grown < 200e6 and len(held) == 50_000_000
