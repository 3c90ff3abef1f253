r"""A parameter-server run with all its members on this machine.

    ./scripts/local_cluster.sh --workers=2 --ps=1 -- --dataset=digits \
        --method=sobolev --preset=smoke

What follows -- goes to trainers.parameter_server. Every member is a process of
its own with a log in WORKDIR/logs. A member that dies is restarted, Ctrl-C
saves and stops them all, and they end by themselves when this process is
killed.

Where the system allows it, the members have a network of their own, so that
nobody else reaches their ports. --port=N takes the ports N, N + 1, ... of this
machine's loopback instead, which data that are read over a network need.
"""

import collections
import glob
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

from trainers.lifecycle import command_line, exit_codes
from trainers.lifecycle.command_line import CommandError
from trainers.lifecycle.settings import amount, count
from trainers.parameter_server import private_network

_TRAINER = "trainers.parameter_server"
_FLAGS = {
  "workers": count(2, "number of workers"),
  "ps": count(1, "number of parameter servers"),
  "port": amount(0, "the chief's, the others follow; 0 takes free ones"),
}
_REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
_WORKDIR = os.path.join(_REPOSITORY, "runs", "local_cluster")
_POLL = 0.1
_SAVING = 90.0  # seconds that a chief gets to save
_GRACE = 5.0  # seconds that anybody gets to end
_MOST_STARTS = 20  # of one member in a row before it counts as broken
_STEADY = 600.0  # a member that lived this long starts a new row
_PAUSE = 0.5  # before a member is started again
# A chief that loses somebody again so soon needs all the others new.
_AT_ONCE = 120.0


class Member:
  """One process of the cluster, restarted as often as necessary."""

  def __init__(self, role, index, arguments, environment, folder, launcher=()):
    """Describes it; `start` starts it.

    Args:
      role: "chief", "worker" or "ps".
      index: its place among those of the same role.
      arguments: of trainers.parameter_server.
      environment: dict of its variables.
      folder: of its log.
      launcher: words before the interpreter, a program that becomes it.
    """
    self.role = role
    self.name = role if role == "chief" else f"{role}_{index}"
    self.log = os.path.join(folder, f"{self.name}.log")
    self.starts = 0
    self.started = 0.0
    self.arguments, self.launcher = list(arguments), launcher
    self.environment = environment
    self.process = None

  def start(self):
    """Starts the process; its standard input is what keeps it alive."""
    self.starts += 1
    self.started = time.monotonic()
    with open(self.log, "ab") as log:
      self.process = subprocess.Popen(
        [*self.launcher, sys.executable, "-m", _TRAINER, *self.arguments],
        env=self.environment,
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=subprocess.STDOUT,
        # Ctrl-C on the terminal comes to the supervisor alone.
        start_new_session=True,
      )
    _say(f"{self.name} is process {self.process.pid}.")

  def stop(self, number, seconds):
    """Sends a signal, and kills the process if it is still there later."""
    if self.process is None or self.process.poll() is not None:
      return
    self.process.send_signal(number)
    # A stopped process would not hear it.
    self.process.send_signal(signal.SIGCONT)
    try:
      self.process.wait(seconds)
    except subprocess.TimeoutExpired:
      self.process.kill()
      self.process.wait()

  def last_error(self):
    """The last sentence of its log that names an error."""
    with open(self.log, encoding="utf-8", errors="replace") as log:
      lines = collections.deque(log, 40)
    errors = [line for line in lines if line.startswith("error: ")]
    return (errors or list(lines) or ["no message"])[-1].strip()


class Supervisor:
  """Starts the members and keeps them running until the chief is done."""

  def __init__(self, members):
    """Takes the members, the chief among them."""
    self._members = members
    self._chief = next(m for m in members if m.role == "chief")
    self._signals = 0

  def run(self):
    """Runs the cluster.

    Returns:
      the chief's exit code.

    Raises:
      CommandError: a member cannot be started.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
      signal.signal(number, self._on_signal)
    follower = _Follower(self._chief.log)
    try:
      for member in self._members:
        member.start()
      return self._watch()
    finally:
      self._end()
      follower.stop()

  def _watch(self):
    while not self._signals:
      for member in self._members:
        code = member.process.poll()
        if code is not None:
          outcome = self._on_exit(member, code)
          if outcome is not None:
            return outcome
      time.sleep(_POLL)
    self._save()
    return _as_exit_code(self._chief.process.returncode)

  def _save(self):
    """Lets the chief save and end."""
    _say("Stopping; the chief saves.")
    self._chief.process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + _SAVING
    while self._chief.process.poll() is None:
      if self._signals > 1 or time.monotonic() > deadline:
        _say("Stopping without saving.")
        self._chief.process.kill()
        self._chief.process.wait()
      time.sleep(_POLL)

  def _on_exit(self, member, code):
    """Starts a member again.

    Returns:
      the cluster's exit code if it is to end, else None.
    """
    is_chief = member is self._chief
    lived = time.monotonic() - member.started
    if lived > _STEADY:
      member.starts = 1
    # All members have the same arguments: a mistake in them ends all, and the
    # first that ends may be any of them. One that had run has another reason.
    if code == 2 and (is_chief or member.starts == 1):
      raise CommandError(
        f"{member.name} did not start: "
        f"{member.last_error().removeprefix('error: ')}"
      )
    if is_chief and code != exit_codes.LOST and 0 <= code < 128:
      return code
    if member.starts >= _MOST_STARTS:
      self._save()
      raise CommandError(
        f"{member.name} was started {member.starts} times and ended with code "
        f"{code}; see {member.log}."
      )
    _say(f"{member.name} ended ({_describe(code)}); starting it again.")
    if code == exit_codes.LOST and member.starts > 1 and lived < _AT_ONCE:
      _say("The chief lost a member twice; restarting the others, too.")
      for other in self._members:
        if other is not member:
          other.stop(signal.SIGKILL, 5)
          other.start()
    time.sleep(_PAUSE)
    member.start()
    return None

  def _end(self):
    for member in reversed(self._members):
      if member.process is not None:
        member.stop(signal.SIGTERM, _GRACE)

  def _on_signal(self, number, frame):
    del number, frame
    self._signals += 1


class _Follower:
  """Shows a log on the terminal as it grows."""

  def __init__(self, path):
    self._path = path
    self._start = os.path.getsize(path) if os.path.exists(path) else 0
    self._done = threading.Event()
    self._thread = threading.Thread(target=self._follow, daemon=True)
    self._thread.start()

  def stop(self):
    self._done.set()
    self._thread.join(5)

  def _follow(self):
    while not os.path.exists(self._path):
      if self._done.wait(_POLL):
        return
    with open(self._path, encoding="utf-8", errors="replace") as log:
      log.seek(self._start)
      while True:
        is_last = self._done.is_set()
        text = log.read()
        if text:
          sys.stdout.write(text)
          sys.stdout.flush()
        elif is_last:
          return
        else:
          self._done.wait(_POLL)


def build_members(num_workers, num_servers, first_port, arguments, folder):
  """The members of a cluster on this machine's loopback.

  Args:
    num_workers: number of workers.
    num_servers: number of parameter servers.
    first_port: the chief's port, the others follow; 0 takes free ones.
    arguments: of trainers.parameter_server.
    folder: of the logs.

  Returns:
    List of `Member`; the chief is the last one.
  """
  counts = {"chief": 1, "ps": num_servers, "worker": num_workers}
  total = sum(counts.values())
  if first_port:
    ports = iter(range(first_port, first_port + total))
  else:
    ports = iter(free_ports(total))
  jobs = {
    role: [f"127.0.0.1:{next(ports)}" for _ in range(count)]
    for role, count in counts.items()
  }
  return members_at(jobs, arguments, folder)


def members_at(jobs, arguments, folder, launcher=lambda role, index: ()):
  """The members of a cluster whose addresses are known.

  Args:
    jobs: dict from a role to its addresses, HOST:PORT.
    arguments: of trainers.parameter_server.
    folder: of the logs.
    launcher: function of a member's role and index that returns the words
      before its interpreter.

  Returns:
    List of `Member`; the chief is the last one.
  """
  num_gpus = len(glob.glob("/dev/nvidia[0-9]*"))
  members = []
  for role in ("ps", "worker", "chief"):
    for index in range(len(jobs[role])):
      task = {"type": role, "index": index}
      # One GPU for each worker: they would take each other's memory.
      has_gpu = role == "worker" and num_gpus
      environment = {
        **os.environ,
        "TF_CONFIG": json.dumps({"cluster": jobs, "task": task}),
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
        "CUDA_VISIBLE_DEVICES": str(index % num_gpus) if has_gpu else "-1",
        "PYTHONUNBUFFERED": "1",
      }
      members.append(
        Member(
          role,
          index,
          [*arguments, "--lifeline=true"],
          environment,
          folder,
          launcher(role, index),
        )
      )
  return members


def free_ports(count):
  """Ports that nobody uses now."""
  sockets = [socket.socket(socket.AF_INET) for _ in range(count)]
  for probe in sockets:
    probe.bind(("127.0.0.1", 0))
  ports = [probe.getsockname()[1] for probe in sockets]
  for probe in sockets:
    probe.close()
  return ports


def main(argv):
  """Starts a cluster; returns the chief's exit code."""
  own, arguments = command_line.split(argv)
  remedy = "the trainer's flags come after --"
  numbers = command_line.read_flags(own, _FLAGS, __doc__, remedy=remedy)
  workdir = command_line.workdir_of(arguments)
  if workdir is None:
    workdir = _WORKDIR
    arguments = [*arguments, f"--workdir={workdir}"]
  folder = os.path.join(workdir, "logs")
  try:
    os.makedirs(folder, exist_ok=True)
  except OSError as error:
    raise CommandError(
      f"--workdir {workdir} cannot be written ({error.strerror}); name another "
      "folder."
    ) from error
  if not numbers["port"]:
    _leave_network()
  members = build_members(
    numbers["workers"], numbers["ps"], numbers["port"], arguments, folder
  )
  _say(
    f"{numbers['workers']} worker(s) and {numbers['ps']} server(s); their logs "
    f"are in {folder}."
  )
  return Supervisor(members).run()


def _leave_network():
  try:
    private_network.enter()
  except OSError as error:
    _say(
      f"This system gives no network of its own ({error.strerror}): for some "
      "milliseconds after its start a member's port can be reached from "
      "outside."
    )


def _as_exit_code(code):
  return 128 - code if code < 0 else code


def _describe(code):
  return signal.Signals(-code).name if code < 0 else f"code {code}"


def _say(sentence):
  print(f"[cluster] {sentence}", flush=True)


if __name__ == "__main__":
  command_line.run_main(main)
