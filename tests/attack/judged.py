"""What became of one case of the attack: five verdicts, and forks to get them.

Importing TensorFlow takes seconds, so it is imported once, without computing
anything, and every case runs in a fork of that process.
"""

import collections
import mmap
import os
import signal
import sys
import tempfile
import time
import traceback
import typing

# Right: what an undisturbed run gives. Clear: a sentence says what is wrong.
GOOD = ("right", "clear")
# Silent: something else than the undisturbed result, without a word.
BAD = ("silent", "traceback", "hang")
_CRASHED = 70


class Answer(typing.NamedTuple):
  """How a fork ended.

  Attributes:
    code: exit code, negative for a signal; None if it had to be killed.
    words: all that it printed.
    grown: bytes that it took beyond what its parent had.
  """

  code: int | None
  words: str
  grown: int


class Case(typing.NamedTuple):
  """One case: what was done, the verdict, and the words behind it."""

  about: str
  verdict: str
  words: str


class Fork:
  """A function that runs in a process of its own."""

  def __init__(self, function):
    """Starts it; its exit code is 0, what it gives `sys.exit`, or 70."""
    self._out = tempfile.TemporaryFile()
    self._rss = mmap.mmap(-1, 8)  # shared: what the child begins with
    sys.stdout.flush()
    sys.stderr.flush()
    self._started = time.monotonic()
    self.pid = os.fork()
    if not self.pid:
      self._rss[:] = _resident().to_bytes(8)
      _play(function, self._out.fileno())
    os.setpgid(self.pid, self.pid)  # here too: it may be killed at once

  def kill_after(self, seconds):
    """Kills it as a power cut would; returns whether it still ran."""
    while time.monotonic() < self._started + seconds:
      if self._poll() is not None:
        return False
      time.sleep(0.005)
    os.killpg(self.pid, signal.SIGKILL)
    self._answer = os.wait4(self.pid, 0)
    return True

  def answer(self, timeout):
    """Waits for the end; returns an `Answer`."""
    while self._poll() is None:
      if time.monotonic() > self._started + timeout:
        os.killpg(self.pid, signal.SIGKILL)
        os.wait4(self.pid, 0)
        return Answer(None, self._words(), 0)
      time.sleep(0.005)
    _, status, usage = self._answer
    grown = usage.ru_maxrss * 1024 - int.from_bytes(self._rss[:])
    return Answer(
      os.waitstatus_to_exitcode(status), self._words(), max(grown, 0)
    )

  _answer = None

  def _poll(self):
    if self._answer is None:
      pid, *rest = os.wait4(self.pid, os.WNOHANG)
      if pid:
        self._answer = (pid, *rest)
    return self._answer

  def _words(self):
    self._out.seek(0)
    return self._out.read().decode(errors="replace")


def _play(function, out):
  """The child's life; never returns."""
  os.setpgid(0, 0)
  os.dup2(out, 1)
  os.dup2(out, 2)
  # Whatever the parent had put in their places.
  sys.stdout = os.fdopen(os.dup(1), "w")
  sys.stderr = os.fdopen(os.dup(2), "w")
  code = 0
  try:
    function()
  except SystemExit as end:
    code = end.code if isinstance(end.code, int) else int(end.code is not None)
  except BaseException:
    traceback.print_exc()
    code = _CRASHED
  finally:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


def _resident():
  """Bytes of this process, with which a fork begins."""
  with open("/proc/self/statm", encoding="ascii") as file:
    return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def judge(answer, is_right):
  """The verdict on an answer.

  Args:
    answer: an `Answer`.
    is_right: function that says whether the result is the undisturbed one;
      asked only if the exit code is 0.
  """
  if answer.code is None:
    return "hang"
  if "Traceback (most" in answer.words or answer.code == _CRASHED:
    return "traceback"
  if answer.code < 0:
    return "traceback"  # a crash below Python
  if answer.code:
    return "clear" if _sentences(answer.words) else "silent"
  if is_right():
    return "right"
  return "clear" if _sentences(answer.words) else "silent"


_SIGNS = ("error: ", "damaged", "cannot be read", "Passed over", "left out")


def _sentences(words):
  return [
    line for line in words.splitlines() if any(sign in line for sign in _SIGNS)
  ]


def tally(cases):
  """Counts of the five verdicts, in order."""
  found = collections.Counter(case.verdict for case in cases)
  return [found[verdict] for verdict in (*GOOD, *BAD)]
