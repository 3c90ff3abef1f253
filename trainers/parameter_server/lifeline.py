"""Ends a process when nobody needs it any more."""

import contextlib
import os
import signal
import sys
import threading
import time
import traceback

from trainers.lifecycle import exit_codes
from trainers.parameter_server import cluster

_GRACE = 60.0  # seconds in which a chief may save
_PROBE = 5.0
_NOTICE_SECONDS = 15.0  # between two notices about a member that is awaited


def follow_stdin(role):
  """Ends this process when its standard input closes: its supervisor is gone.

  Args:
    role: a chief is asked to save and stop first.
  """

  def watch():
    while sys.stdin.buffer.read(1024):
      pass
    if role == "chief":
      os.kill(os.getpid(), signal.SIGTERM)
      time.sleep(_GRACE)
    os._exit(0)

  threading.Thread(target=watch, daemon=True).start()


def follow_chief(address, patience, say):
  """Returns once the chief has been unreachable for `patience` seconds.

  A chief that crashed may be started again, so there is no hurry.

  Args:
    address: the chief's HOST:PORT.
    patience: seconds.
    say: function that prints a sentence.

  Returns:
    whether the chief was ever there.
  """
  was_there = False
  seen = said = time.monotonic()
  while True:
    if cluster.is_reachable(address):
      was_there = True
      seen = said = time.monotonic()
    now = time.monotonic()
    if now - seen > patience:
      return was_there
    if now - said > _NOTICE_SECONDS:
      said = now
      say(f"Waiting for the chief at {address} for {now - seen:.0f} s.")
    time.sleep(min(_PROBE, patience / 4))


class Watchdog:
  """Reports that a process hangs in a call to others, and finally ends it.

  TensorFlow's calls to a member that is stopped, or whose machine is gone,
  may never return.
  """

  def __init__(self, say, patience, leave=os._exit):
    """Starts to watch.

    Args:
      say: function that prints a sentence.
      patience: seconds without a sign after which the process ends.
      leave: function of the exit code.
    """
    self._say, self._patience, self._leave = say, patience, leave
    self._sign = time.monotonic()
    self._done = threading.Event()
    self._thread = threading.Thread(target=self._watch, daemon=True)
    self._thread.start()

  def sign(self):
    """Notes that the process is not hanging."""
    self._sign = time.monotonic()

  @contextlib.contextmanager
  def paused(self):
    """Pauses the watch, for work that depends on no other member."""
    self._sign = None
    try:
      yield
    finally:
      self._sign = time.monotonic()

  def stop(self):
    """Ends the watch."""
    self._done.set()
    self._thread.join()

  def _watch(self):
    said = time.monotonic()
    while not self._done.wait(_NOTICE_SECONDS / 10):
      sign, now = self._sign, time.monotonic()
      if sign is None or now - sign < _NOTICE_SECONDS:
        continue
      if now - said > _NOTICE_SECONDS:
        said = now
        self._say(
          f"No answer from a member for {now - sign:.0f} s; it may be "
          "slow or stopped, or its machine may be gone."
        )
      if now - sign > self._patience:
        self._say(f"Nobody answered for {self._patience:.0f} s; ending.")
        self._leave(exit_codes.LOST)
        return


def leave_with(call):
  """Calls a `main` and ends the process at once when it ends.

  TensorFlow's threads would otherwise keep waiting for members that are gone.
  """
  code = 0
  try:
    call()
  except SystemExit as end:
    code = end.code or 0
  except KeyboardInterrupt:
    code = 128 + signal.SIGINT
  except BaseException:  # noqa: B036 - nothing may keep the process alive
    traceback.print_exc()
    code = 1
  sys.stdout.flush()
  sys.stderr.flush()
  os._exit(code)
