"""Python for tests that start processes, without the seconds of an import.

Importing TensorFlow takes six seconds of a core, and the tests start dozens of
processes. `command()` is called as Python is, but forks from a server that has
imported TensorFlow and done nothing with it: its processes have ids, signals,
standard streams and exit codes like any other, and so have those that they
start themselves with `sys.executable`. What a fresh interpreter does is not
shown by them: tests of imports and of the first words use `sys.executable`.
"""

import atexit
import fcntl
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

_FOLDER = "SOBOLEV_TF_WARM_PYTHON"  # of all processes of one test session
_HERE = pathlib.Path(__file__).parent


def prepare():
  """Makes the session's folder; to be called before any test starts."""
  if _FOLDER in os.environ:  # the processes of another session's
    return
  folder = tempfile.mkdtemp(prefix="warm_python_")
  atexit.register(shutil.rmtree, folder, ignore_errors=True)
  os.environ[_FOLDER] = folder
  command = pathlib.Path(folder, "python")
  words = f"'{sys.executable}' -IS '{_HERE / 'client.py'}' '{sys.executable}'"
  command.write_text(f"#!/bin/sh\nexec {words} '{folder}/socket' \"$@\"\n")
  command.chmod(0o700)
  pathlib.Path(folder, "owner").write_text(str(os.getpid()))


def command():
  """Path of a command that is called as Python is; starts the server."""
  folder = os.environ[_FOLDER]
  with open(os.path.join(folder, "lock"), "a+") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    lock.seek(0)
    if not lock.read():
      _start_server(folder)
      lock.write("started")
  return os.path.join(folder, "python")


def _start_server(folder):
  owner = pathlib.Path(folder, "owner").read_text()
  with open(os.path.join(folder, "log"), "w") as log:
    subprocess.Popen(
      [sys.executable, str(_HERE / "server.py"), folder, owner],
      stdin=subprocess.DEVNULL,
      stdout=log,
      stderr=log,
      start_new_session=True,
    )
