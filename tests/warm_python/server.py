"""Forks a process for each client: `server.py FOLDER OWNER`.

It imports much and computes nothing, so that nothing but modules is inherited,
and ends with the process OWNER.
"""

import ctypes
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import sys
import types

_PRELOADED = (
  *("tensorflow", "keras", "sonnet", "tensorflow_datasets"),
  *("matplotlib.figure", "scipy.optimize", "scipy.stats"),
)


def main(folder, owner):
  """Serves; in a forked process, runs what its client asked for."""
  listening = socket.socket(socket.AF_UNIX)
  listening.bind(os.path.join(folder, "socket"))
  listening.listen(64)  # clients may wait from now on
  for name in _PRELOADED:
    importlib.import_module(name)
  gc.freeze()  # a collection would copy what is shared
  request = serve(listening, int(owner))
  if request:
    run(os.path.join(folder, "python"), **request)


class Process:
  """A forked process, what tells of its end, and the client that waits."""

  def __init__(self, pid, client):
    """Takes its id and the connection to its client."""
    self.pid, self.client = pid, client
    self.watched = os.pidfd_open(pid)
    self.is_over = False

  def end(self, is_lost):
    """Tells the client of the end, or kills a process whose client is gone."""
    if is_lost:
      os.kill(self.pid, signal.SIGKILL)
    _, status = os.waitpid(self.pid, 0)
    code = os.waitstatus_to_exitcode(status)
    try:
      self.client.sendall(code.to_bytes(8, "big", signed=True))
    except OSError:
      pass  # nobody waits
    self.client.close()
    os.close(self.watched)
    self.is_over = True


def serve(listening, owner):
  """Answers clients until the owner has ended.

  Returns:
    The client's request, in a forked process; None at the end.
  """
  selector = selectors.DefaultSelector()
  selector.register(listening, selectors.EVENT_READ)
  while is_alive(owner):
    for key, _ in selector.select(timeout=1.0):
      process = key.data
      if process is None:
        request = start(listening, selector)
        if request:
          return request
      elif not process.is_over:
        for file in (process.watched, process.client):
          selector.unregister(file)
        process.end(is_lost=key.fileobj is process.client)
  return None


def is_alive(pid):
  """Whether a process exists."""
  try:
    os.kill(pid, 0)
  except ProcessLookupError:
    return False
  return True


def start(listening, selector):
  """Forks for the next client; returns its request in the new process."""
  client, _ = listening.accept()
  length, streams, *_ = socket.recv_fds(client, 8, 3)
  missing, words = int.from_bytes(length, "big"), b""
  while len(words) < missing:
    words += client.recv(missing - len(words))
  pid = os.fork()
  if not pid:
    for key in list(selector.get_map().values()):
      os.close(key.fd)
    selector.close()
    for number, stream in enumerate(streams):
      os.dup2(stream, number)
      os.close(stream)
    os.close(client.detach())
    return json.loads(words)
  for stream in streams:
    os.close(stream)
  client.sendall(pid.to_bytes(8, "big"))
  process = Process(pid, client)
  for file in (process.watched, client):
    selector.register(file, selectors.EVENT_READ, process)
  return None


def join_network(client):
  """Moves this process into the network that its client is in."""
  for kind in ("user", "net"):
    theirs = f"/proc/{client}/ns/{kind}"
    if os.readlink(theirs) != os.readlink(f"/proc/self/ns/{kind}"):
      file = os.open(theirs, os.O_RDONLY)
      if ctypes.CDLL(None, use_errno=True).setns(file, 0):
        raise OSError(ctypes.get_errno(), f"{theirs} cannot be joined")
      os.close(file)


def run(python, client, arguments, folder, environment, cores):
  """Does what Python does with these arguments."""
  os.setsid()
  join_network(client)
  os.environ.clear()
  os.environ.update(environment)
  os.chdir(folder)
  os.sched_setaffinity(0, cores)
  sys.executable = python
  if environment.get("PYTHONUNBUFFERED"):
    sys.stdout.reconfigure(write_through=True)
  paths = environment.get("PYTHONPATH", "")
  sys.path[:1] = [folder, *filter(None, paths.split(os.pathsep))]
  kind, *rest = arguments
  if kind == "-m":
    sys.argv = rest
    runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
  elif kind == "-c":
    sys.argv = ["-c", *rest[1:]]
    sys.modules["__main__"] = types.ModuleType("__main__")
    code = compile(rest[0], "<string>", "exec")
    exec(code, vars(sys.modules["__main__"]))
  else:
    raise SystemExit(f"warm Python takes -m or -c, and not {kind}")


if __name__ == "__main__":
  main(*sys.argv[1:])
