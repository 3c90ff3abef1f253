"""In a network of its own nobody else reaches a process."""

import os
import pathlib
import socket
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[3]

# Serves a port on every interface, as TensorFlow does, and calls itself there.
_SERVE = """
import ctypes, os, socket, sys
from trainers.parameter_server import private_network
if len(sys.argv) > 1:
  os.setuid(int(sys.argv[1]))
  ctypes.CDLL(None).prctl(4, 1)  # /proc/self is its own, as after a login
try:
  private_network.enter()
except OSError as error:
  sys.exit(f"not allowed: {error}")
with socket.socket() as listening:
  listening.bind(("", 0))
  listening.listen()
  port = listening.getsockname()[1]
  socket.socket().connect(("127.0.0.1", port))
  names = [name for _, name in socket.if_nameindex()]
  print(port, os.getuid(), *names, flush=True)
  sys.stdin.read()
"""


@pytest.mark.parametrize("user", [None, 65534])
def test_a_port_there_is_reached_from_there_alone(user):
  if user is not None and os.getuid() != 0:
    pytest.skip("only root can be somebody else")
  with subprocess.Popen(
    [sys.executable, "-c", _SERVE, *([] if user is None else [str(user)])],
    cwd=ROOT,
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  ) as process:
    line = process.stdout.readline()
    if not line:
      words = process.stderr.read()
      assert "not allowed" in words, words
      pytest.skip(f"this system: {words.strip()}")
    port, found, *interfaces = line.split()
    assert int(found) == (os.getuid() if user is None else user)
    assert "lo" in interfaces and "eth0" not in interfaces
    with socket.socket() as probe:
      assert probe.connect_ex(("127.0.0.1", int(port))) != 0
    process.stdin.close()
