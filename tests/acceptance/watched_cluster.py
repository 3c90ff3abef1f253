"""A cluster under its supervisor, with its words, files and processes."""

import os
import re
import signal
import subprocess
import sys
import threading
import time

_MOST_SECONDS = 900.0  # for one scenario, on a very busy machine
_INTO_STEPS = 0.7  # a test is logged a little before the next step begins
# A supervisor whose second worker gets one flag more.
_ODD_WORKER = """
import sys
from trainers.lifecycle import command_line
from trainers.parameter_server import local_cluster

def main(argv):
  members = local_cluster.build_members(2, 1, 0, argv[3:], argv[2])
  members[2].arguments.append(argv[1])
  return local_cluster.Supervisor(members).run()

command_line.run_main(main)
"""


class Watched:
  """A cluster under the supervisor, its words and processes."""

  def __init__(
    self,
    workdir,
    training,
    own=(),
    odd=None,
    supervisor=None,
    python=sys.executable,
  ):
    """Starts it.

    Args:
      workdir: folder of the run.
      training: flags of the trainer.
      own: flags of the supervisor.
      odd: a flag that worker 1 alone is given.
      supervisor: words after the interpreter that start another one.
      python: the interpreter of all processes.
    """
    self.workdir = workdir
    self.most_seconds = _MOST_SECONDS
    self._own = own
    self.words = []  # (seconds, line)
    self.start = time.monotonic()
    supervisor = supervisor or [
      "-m",
      "trainers.parameter_server.local_cluster",
      "--workers=2",
      *own,
      "--",
    ]
    if odd:
      supervisor = ["-c", _ODD_WORKER, odd, os.path.join(workdir, "logs")]
    self.process = subprocess.Popen(
      [python, *supervisor, *training, f"--workdir={workdir}"],
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      text=True,
    )
    threading.Thread(target=self._listen, daemon=True).start()

  def __enter__(self):
    return self

  def __exit__(self, *unused):
    if self.process.poll() is None:  # a scenario failed
      self.process.send_signal(signal.SIGTERM)
      try:
        self.process.wait(30)
      except subprocess.TimeoutExpired:
        self.process.kill()

  def _listen(self):
    for line in self.process.stdout:
      self.words.append((time.monotonic() - self.start, line.rstrip()))

  @property
  def is_on_this_network(self):
    """Whether the members' ports are those of this machine."""
    is_asked = any(word.startswith("--port") for word in self._own)
    return is_asked or any("no network of its own" in x for _, x in self.words)

  @property
  def now(self):
    """Seconds since the start."""
    return time.monotonic() - self.start

  def pids(self):
    """Dict from a member's name to the ids that it has had."""
    found = {}
    for _, line in list(self.words):
      match = re.match(r"\[cluster\] (\w+) is process (\d+)", line)
      if match:
        found.setdefault(match[1], []).append(int(match[2]))
    return found

  def all_pids(self):
    """Every id that a member has had."""
    return [pid for ids in self.pids().values() for pid in ids]

  def kill(self, name, number=signal.SIGKILL):
    """Sends a signal to a member."""
    os.kill(self.pids()[name][-1], number)

  def rows(self):
    """Number of rows in metrics.csv."""
    try:
      with open(os.path.join(self.workdir, "metrics.csv")) as file:
        return len(file.readlines()) - 1
    except FileNotFoundError:
      return 0

  def last_step(self):
    """Step of the last row in metrics.csv."""
    try:
      with open(os.path.join(self.workdir, "metrics.csv")) as file:
        return int(file.readlines()[-1].split(",")[0])
    except (FileNotFoundError, ValueError, IndexError):
      return 0

  def wait_for(self, is_true, what):
    """Waits until something is true; the run must not end before."""
    while not is_true():
      if self.process.poll() is not None or self.now > self.most_seconds:
        raise RuntimeError(f"the run ended before {what}: {self.tail()}")
      time.sleep(0.05)

  def wait_for_training(self, rows=2):
    """Waits until the run has tested that often, and trains again."""
    self.wait_for(lambda: self.rows() >= rows, f"{rows} tests")
    time.sleep(_INTO_STEPS)

  def finish(self):
    """Waits for the end; returns the exit code."""
    try:
      return self.process.wait(max(self.most_seconds - self.now, 1))
    except subprocess.TimeoutExpired:
      self.process.send_signal(signal.SIGTERM)
      self.process.wait(120)
      return None

  def tail(self):
    """The last words."""
    return " / ".join(line for _, line in self.words[-4:])


def is_alive(pid):
  """Whether a process exists; one that only waits for its parent does not."""
  try:
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
      return file.read().rpartition(")")[2].split()[0] != "Z"
  except FileNotFoundError:
    return False
