r"""Starts the processes that share a command's runs, here or as a Slurm array.

    python -m trainers.lifecycle.sweep [--executor=local|slurm] [--parallel=N] \
        -- python -m trainers.MODULE --workdir=DIR ...
    python -m trainers.lifecycle.sweep --table=DIR

Every process has the whole command and takes the runs that nobody else has
claimed. A process that is killed is started again, unless that happens three
times without a run being finished. Every minute a line tells how far they all
are; --table shows each run that is not finished.

local: processes on this machine, one per processor if --parallel is not given;
each gets its part of the processors as threads.
slurm: an array of N tasks, each of which starts its process as above. Before
the time limit a task is warned by SIGUSR1: its process saves, and the task
puts itself into the queue again. Slurm's own variables say what a task gets:
SBATCH_TIMELIMIT, SBATCH_PARTITION, SBATCH_GPUS and so on.
"""

import os
import shlex
import signal
import subprocess
import sys
import time

from trainers.lifecycle import command_line, exit_codes, sharing
from trainers.lifecycle.command_line import CommandError, setting
from trainers.lifecycle.progress import time_left
from trainers.lifecycle.settings import count

_FLAGS = {
  "executor": setting(
    "local", "who starts the processes", choices=("local", "slurm")
  ),
  "parallel": count(
    0, "how many; 0: one per processor, or 8 tasks of slurm", maximum=9_999
  ),
  "table": setting("", "folder of a sweep whose runs are listed"),
}
_POLL = 0.2
_NEWS_SECONDS = 60.0
_MOST_DEATHS = 3  # with no run finished between them
_WARNING_SECONDS = 120  # before Slurm's time limit
_THREADS = (
  "TF_NUM_INTRAOP_THREADS",
  "TF_NUM_INTEROP_THREADS",
  "OMP_NUM_THREADS",
)


class News:
  """A line a minute about the runs of a folder."""

  def __init__(self, workdir):
    """Takes the sweep's folder; None if the command names none."""
    self._workdir = workdir
    self._start = self._said = time.monotonic()
    self._first = None

  def states(self):
    """The `sharing.State` of each run; none before the list is there."""
    return sharing.states(self._workdir) if self._workdir else []

  def num_finished(self):
    """How many runs are complete."""
    return sum(one.state == "finished" for one in self.states())

  def tell(self, is_last=False):
    """Prints the line if it is time."""
    now = time.monotonic()
    if now - self._said < _NEWS_SECONDS and not is_last:
      return
    self._said = now
    found = self.states()
    if not found:
      return
    done = sum(map(_share_of, found))
    if self._first is None:
      self._first, self._start = done, now
    rest = ""
    if done > self._first and not is_last:
      rate = (done - self._first) / (now - self._start)
      rest = f", {time_left((len(found) - done) / rate)} left"
    _say(sharing.summary(found) + rest)


def _share_of(one):
  """How much of a run is done, as far as its metrics.csv says: 0 to 1."""
  if one.state == "finished":
    return 1.0
  return min(one.step / one.num_steps, 1.0) if one.num_steps else 0.0


class Workers:
  """Processes of one command on this machine."""

  def __init__(self, command, count, news):
    """Takes what is to be started, how often, and the `News`."""
    self._command, self._count, self._news = command, count, news
    self._signal = None
    self._deaths, self._finished = 0, 0

  def run(self):
    """Runs them to their ends.

    Returns:
      The largest of their exit codes.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
      signal.signal(number, self._on_signal)
    running = [self._start() for _ in range(self._count)]
    codes, told = [0], set()
    while running:
      time.sleep(_POLL)
      self._news.tell()
      for process in list(running):
        code = process.poll()
        if self._signal and code is None and process not in told:
          told.add(process)
          process.send_signal(signal.SIGTERM)
        if code is not None:
          running.remove(process)
          if code < 0 and self._is_to_start_again(code):
            running.append(self._start())
          else:
            codes.append(128 - code if code < 0 else code)
    self._news.tell(is_last=True)
    if self._signal == signal.SIGUSR1 and max(codes) >= 128:
      return _requeue() or max(codes)
    return max(codes)

  def _start(self):
    count = max(len(os.sched_getaffinity(0)) // self._count, 1)
    threads = dict.fromkeys(_THREADS, str(count))
    return subprocess.Popen(self._command, env={**os.environ, **threads})

  def _is_to_start_again(self, code):
    if self._signal:
      return False
    finished = self._news.num_finished()
    self._deaths = 1 if finished > self._finished else self._deaths + 1
    self._finished = finished
    name = signal.Signals(-code).name
    if self._deaths > _MOST_DEATHS:
      _say(f"A process was ended by {name} again, and no run was finished.")
      return False
    _say(f"A process was ended by {name}; starting it again.")
    return True

  def _on_signal(self, number, frame):
    del frame
    self._signal = self._signal or number


def _requeue():
  """Puts this task of an array into Slurm's queue again.

  Returns:
    0 if that was done, else a code.
  """
  job = os.environ.get("SLURM_JOB_ID")
  if not job:
    return exit_codes.FAILED
  _say(f"Task {job} goes back into the queue.")
  return subprocess.run(["scontrol", "requeue", job], check=False).returncode


class Array:
  """A Slurm array whose tasks share a command's runs."""

  def __init__(self, command, count, news, logs):
    """Takes what is to be started, how often, the `News`, a folder of logs."""
    self._command, self._count = command, count
    self._news, self._logs = news, logs

  def submission(self):
    """The words that submit it."""
    task = [sys.executable, "-m", "trainers.lifecycle.sweep", "--parallel=1"]
    return [
      "sbatch",
      "--parsable",
      "--wait",
      f"--array=1-{self._count}",
      "--requeue",
      "--open-mode=append",
      f"--signal=B:USR1@{_WARNING_SECONDS}",
      f"--output={self._logs}/slurm_%A_%a.log",
      # The task takes the shell's place, so that it gets the signals.
      f"--wrap=exec {shlex.join([*task, '--', *self._command])}",
    ]

  def run(self):
    """Submits it and waits for its end; returns the largest exit code.

    Raises:
      CommandError: Slurm does not take it.
    """
    os.makedirs(self._logs, exist_ok=True)
    try:
      waiting = subprocess.Popen(
        self.submission(), stdout=subprocess.PIPE, text=True
      )
    except FileNotFoundError as error:
      raise CommandError(
        "there is no sbatch here; --executor=slurm needs a machine from which "
        "jobs are submitted."
      ) from error
    job = waiting.stdout.readline().split(";")[0].strip()
    if not job:
      raise CommandError(
        f"sbatch ended with code {waiting.wait()}; its words are above."
      )
    _say(
      f"Job {job} of {self._count} task(s); their logs are in {self._logs}, "
      f"and Ctrl-C cancels it (scancel {job})."
    )
    return self._wait(waiting, job)

  def _wait(self, waiting, job):
    try:
      while waiting.poll() is None:
        time.sleep(_POLL)
        self._news.tell()
    except KeyboardInterrupt:
      subprocess.run(["scancel", job], check=False)
      waiting.wait()
      return 128 + signal.SIGINT
    self._news.tell(is_last=True)
    return waiting.returncode


def main(argv):
  """Starts a sweep, or prints its table; returns the exit code."""
  own, command = command_line.split(argv)
  remedy = "the command comes after --"
  given = command_line.read_flags(own, _FLAGS, __doc__, remedy=remedy)
  if given["table"]:
    return _print_table(given["table"])
  if not command:
    raise CommandError("the command is missing; write it after --.")
  workdir = command_line.workdir_of(command)
  news = News(workdir)
  if given["executor"] == "slurm":
    logs = os.path.join(os.path.abspath(workdir or "."), "logs")
    return Array(command, given["parallel"] or 8, news, logs).run()
  count = given["parallel"] or len(os.sched_getaffinity(0))
  return Workers(command, count, news).run()


def _print_table(workdir):
  found = sharing.states(workdir)
  if not found:
    raise CommandError(
      f"{workdir} holds no {sharing.LIST}, so no runs are shared there; name "
      "the --workdir of a command that makes several."
    )
  print(sharing.make_table(found), end="")
  print(sharing.summary(found))
  return 0


def _say(sentence):
  print(f"[sweep] {sentence}", flush=True)


if __name__ == "__main__":
  command_line.run_main(main)
