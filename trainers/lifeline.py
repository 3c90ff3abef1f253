"""Ends a process when nobody needs it any more."""

import os
import signal
import sys
import threading
import time
import traceback

from trainers import cluster

_GRACE = 60.0  # seconds in which a chief may save
_PROBE = 5.0


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


def follow_chief(address, patience):
  """Returns once the chief was there and has been gone for `patience` seconds.

  A chief that crashed may be started again, so there is no hurry.
  """
  seen = None
  while seen is None or time.monotonic() - seen < patience:
    if cluster.is_reachable(address):
      seen = time.monotonic()
    time.sleep(_PROBE)


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
