"""Stands for a process of the server: `client.py PYTHON SOCKET ARGUMENT ...`.

It hands over its standard streams and all that Python would be told, passes
signals on and ends as that process does. When it is killed, so is the process.
"""

import json
import os
import signal
import socket
import sys
import time

_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PATIENCE = 10.0  # seconds until the server listens, which it does at once


def connect(path):
  """A connection to the server, or None."""
  deadline = time.monotonic() + _PATIENCE
  while time.monotonic() < deadline:
    connection = socket.socket(socket.AF_UNIX)
    try:
      connection.connect(path)
      return connection
    except OSError:
      connection.close()
      time.sleep(0.02)
  return None


def ask(connection, arguments):
  """Has a process started; returns its id, or None if the server died."""
  request = {
    "client": os.getpid(),
    "arguments": arguments,
    "folder": os.getcwd(),
    "environment": dict(os.environ),
    "cores": sorted(os.sched_getaffinity(0)),
  }
  words = json.dumps(request).encode()
  try:
    socket.send_fds(connection, [len(words).to_bytes(8, "big")], [0, 1, 2])
    connection.sendall(words)
    return int.from_bytes(connection.recv(8), "big") or None
  except OSError:
    return None


def main(python, path, *arguments):
  """Lives as long as the process."""
  signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)
  connection = connect(path)
  pid = connection and ask(connection, arguments)
  if not pid:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
    os.execv(python, [python, *arguments])
  for number in _PASSED_ON:
    signal.signal(number, lambda number, frame: os.kill(pid, number))
  signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
  answer = connection.recv(8)
  code = int.from_bytes(answer, "big", signed=True) if answer else 70
  if code < 0:
    if -code != signal.SIGKILL:
      signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
  os._exit(code)


if __name__ == "__main__":
  main(*sys.argv[1:])
