"""Kills the members of a real cluster, and looks what becomes of the run.

    ./scripts/cluster_faults.sh [--only=NAME,...] [--output=DIR] [-- FLAGS ...]

Each scenario starts the processes of a small run, does one thing to them with
a signal, and waits for the end. It passes if

- the run ends by itself: finished, or, where somebody made a mistake, refused
  with a sentence;
- nobody was silent for more than a minute, and no process or port is left;
- no more steps were made again than lie between two checkpoints;
- the accuracy is not below the runs without faults (three seeds) by more than
  two standard errors of the test.

The command ends with code 1 if a scenario does not. FLAGS go to the trainer.
"""

import contextlib
import csv
import dataclasses
import glob
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from benchmarks import timing
from tests.acceptance.watched_cluster import Watched, is_alive

_CHECKPOINT_EVERY = 100
_NUM_TEST = 500
_MOST_SILENCE = 60.0  # seconds
_PLAIN = "plain"  # runs without faults are called plain_N
TRAINING = (
  "--preset=smoke",
  "--dataset=digits",
  "--method=sobolev",
  "--width=0.1",
  "--batch_size=16",
  "--clutter=0",
  "--learning_rate=0.03",
  "--num_steps=1000",
  "--evaluate_every=50",
  f"--checkpoint_every={_CHECKPOINT_EVERY}",
  f"--num_test={_NUM_TEST}",
)
_STOPPED = 30.0
_LATE = 20.0


@dataclasses.dataclass
class Outcome:
  """What came of a scenario; None where it does not apply."""

  code: int
  seconds: float
  restarts: int
  recovery: float | None
  silence: float
  words: str
  accuracy: float | None
  again: tuple | None
  steps_lost: int | None
  left: list


def worker_killed_idle(run):
  """A worker is killed while it waits for the chief."""
  run.wait_for(lambda: _serves(run, "worker_0"), "worker 0 serves")
  run.kill("worker_0")


def worker_killed_in_a_step(run):
  """A worker is killed in the middle of a step."""
  run.wait_for_training()
  run.kill("worker_0")


def worker_killed_twice(run):
  """The same worker is killed, comes back, and is killed again."""
  run.wait_for_training()
  run.kill("worker_0")
  run.wait_for(lambda: len(run.pids()["worker_0"]) > 1, "the restart")
  before = run.rows()
  run.wait_for(lambda: _serves(run, "worker_0", 2), "worker 0 serves again")
  run.wait_for_training(before + 1)
  run.kill("worker_0")


def all_workers_killed(run):
  """All workers are killed."""
  run.wait_for_training()
  run.kill("worker_0")
  run.kill("worker_1")


def worker_stopped(run):
  """A worker is stopped for 30 s and goes on."""
  run.wait_for_training()
  run.kill("worker_0", signal.SIGSTOP)
  time.sleep(_STOPPED)
  run.kill("worker_0", signal.SIGCONT)


def worker_late(run):
  """A worker comes 20 s after the others."""
  run.wait_for(lambda: "worker_1" in run.pids(), "worker 1")
  # Stopped before it has a port, which is as if it were not there.
  run.kill("worker_1", signal.SIGSTOP)
  run.wait_for(lambda: _serves(run, "worker_0"), "the others")
  time.sleep(_LATE)
  run.kill("worker_1", signal.SIGCONT)


def server_killed(run):
  """The parameter server is killed."""
  run.wait_for_training(3)
  run.kill("ps_0")


def server_stopped(run):
  """The parameter server is stopped for 30 s and goes on."""
  run.wait_for_training()
  run.kill("ps_0", signal.SIGSTOP)
  time.sleep(_STOPPED)
  run.kill("ps_0", signal.SIGCONT)


def chief_killed(run):
  """The chief is killed."""
  run.wait_for_training(3)
  run.kill("chief")


def server_and_worker_killed(run):
  """The parameter server and a worker are killed together."""
  run.wait_for_training(3)
  run.kill("ps_0")
  run.kill("worker_1")


def _serves(run, name, times=1):
  path = os.path.join(run.workdir, "logs", f"{name}.log")
  if not os.path.exists(path):
    return False
  with open(path, errors="replace") as log:
    return log.read().count(" serves at ") >= times


RECOVERING = (
  worker_killed_idle,
  worker_killed_in_a_step,
  worker_killed_twice,
  all_workers_killed,
  worker_stopped,
  worker_late,
  server_killed,
  server_stopped,
  chief_killed,
  server_and_worker_killed,
)


def recover(fault, workdir, training):
  """Runs a scenario after which the run must come to its end by itself."""
  step, hit, news = 0, None, None
  with Watched(workdir, training) as run:
    if fault is not None:
      fault(run)
      step, hit = run.last_step(), run.now
      # A chief that is started again cuts the rows back first.
      run.wait_for(lambda: run.last_step() > step, "news")
      news = run.now
    code = run.finish()
  return outcome(run, code, hit, step, news)


def port_in_use(workdir, training):
  """Another program has the port of the parameter server."""
  with socket.socket() as taken:
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    port = taken.getsockname()[1]
    with Watched(workdir, training, [f"--port={port - 1}"]) as run:
      return outcome(run, run.finish())


def disk_full(workdir, training):
  """The chief's disk fills up; with room again, the same command goes on."""
  os.makedirs(workdir, exist_ok=True)
  mounted = subprocess.run(
    ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", workdir], check=False
  )
  if mounted.returncode:
    raise RuntimeError("a small file system can be mounted by root alone.")
  try:
    ballast = os.path.join(workdir, "ballast")
    with Watched(workdir, training) as run:
      run.wait_for_training(2)
      with open(ballast, "wb", buffering=0) as file:
        with contextlib.suppress(OSError):  # full
          while True:
            file.write(bytes(4096))
      first = outcome(run, run.finish())
    os.remove(ballast)
    with Watched(workdir, training) as run:
      second = outcome(run, run.finish())
    return dataclasses.replace(
      second,
      words=f"code {first.code}: {first.words}",
      silence=max(first.silence, second.silence),
      left=first.left + second.left,
    )
  finally:
    subprocess.run(["umount", workdir], check=False)


def wrong_arguments(workdir, training):
  """One worker is started with a flag that does not exist."""
  return _otherwise(workdir, training, "--datset=digits")


def other_settings(workdir, training):
  """One worker is started with another seed than the chief."""
  return _otherwise(workdir, training, "--seed=7")


def _otherwise(workdir, training, argument):
  os.makedirs(os.path.join(workdir, "logs"))
  with Watched(workdir, training, odd=argument) as run:
    return outcome(run, run.finish())


MISTAKES = (port_in_use, wrong_arguments, other_settings)


def outcome(run, code, hit=None, step=0, news=None):
  """Gathers what the words and files of a run that has ended say.

  Args:
    run: a `Watched`.
    code: its exit code.
    hit: when a fault happened, in seconds of its clock; None without one.
    step: that it had reached then.
    news: when it got further.

  Returns:
    An `Outcome`.
  """
  times = [0.0, *(seconds for seconds, _ in run.words), run.now]
  lines = [line for _, line in run.words]
  resumed = [line for line in lines if "Resuming at step" in line]
  lost = 0
  if hit is not None and resumed:
    at = int(re.search(r"at step (\d+)", resumed[-1])[1])
    lost = max(step - at, 0)
  row = _last_row(run.workdir)
  pids = run.pids()
  time.sleep(1)
  return Outcome(
    code=code,
    seconds=times[-1],
    restarts=sum(len(ids) - 1 for ids in pids.values()),
    recovery=news - hit if news and hit else None,
    silence=max(b - a for a, b in zip(times, times[1:], strict=False)),
    words=next(
      (x.replace(run.workdir, "DIR") for x in lines if x.startswith("error: ")),
      "",
    ),
    accuracy=float(row["test_accuracy"]) if row else None,
    again=(int(row["begun_again"]), int(row["finished_again"]))
    if row
    else None,
    steps_lost=lost,
    left=_left(run),
  )


def _left(run):
  """Names of processes and ports that are still there.

  A network of the run's own ends with its processes.
  """
  left = [f"process {pid}" for pid in run.all_pids() if is_alive(pid)]
  if not run.is_on_this_network:
    return left
  for path in glob.glob(os.path.join(run.workdir, "logs", "*.log")):
    with open(path, errors="replace") as log:
      for port in set(re.findall(r" serves at .*:(\d+)\.", log.read())):
        with socket.socket() as probe:
          if probe.connect_ex(("127.0.0.1", int(port))) == 0:
            left.append(f"port {port}")
  return left


def _last_row(workdir):
  try:
    with open(os.path.join(workdir, "metrics.csv"), newline="") as file:
      rows = list(csv.DictReader(file))
  except FileNotFoundError:
    return None
  return rows[-1] if rows else None


def play(name, folder, training):
  """Plays one scenario; returns its `Outcome`."""
  workdir = os.path.join(folder, name)
  if name.startswith(_PLAIN):
    return recover(None, workdir, training)
  for scenario in RECOVERING:
    if scenario.__name__ == name:
      return recover(scenario, workdir, training)
  scenario = next(s for s in (disk_full, *MISTAKES) if s.__name__ == name)
  return scenario(workdir, training)


def complaints(name, found, plain):
  """What is wrong with a scenario's outcome: a list of phrases.

  Args:
    name: of the scenario.
    found: its `Outcome`.
    plain: accuracies of the runs without faults.
  """
  wrong = []
  if found.left:
    wrong.append("something is left over")
  if found.silence > _MOST_SILENCE:
    wrong.append("silence")
  if name in [scenario.__name__ for scenario in MISTAKES]:
    if found.code != 2 or not found.words:
      wrong.append("it was not refused with a sentence")
    return wrong
  if found.code != 0:
    wrong.append("it did not finish")
  if found.steps_lost > _CHECKPOINT_EVERY:
    wrong.append("too many steps were made again")
  lowest = min(plain, default=0.0)
  margin = 2 * (lowest * (1 - lowest) / _NUM_TEST) ** 0.5
  if found.accuracy is None or found.accuracy < lowest - margin:
    wrong.append("its accuracy is too low")
  return wrong


def judge(outcomes):
  """Complaints by name of the scenario, from outcomes by name."""
  plain = [
    found.accuracy
    for name, found in outcomes.items()
    if name.startswith(_PLAIN) and found.accuracy is not None
  ]
  return {
    name: complaints(name, found, plain) for name, found in outcomes.items()
  }


def make_table(outcomes):
  """Renders outcomes, a dict by name, as Markdown."""
  lines = [
    "| scenario | passes | end | restarts | news after | longest silence "
    "| steps made again | shares begun / finished again | test accuracy "
    "| left over |",
    "|---|---|---|---|---|---|---|---|---|---|",
  ]
  verdicts = judge(outcomes)
  for name, found in outcomes.items():
    end = f"code {found.code}" + (f": {found.words}" if found.words else "")
    recovery = "" if found.recovery is None else f"{found.recovery:.0f} s"
    accuracy = "" if found.accuracy is None else f"{found.accuracy:.1%}"
    again = (
      "" if found.again is None else f"{found.again[0]} / {found.again[1]}"
    )
    lines.append(
      f"| {name.replace('_', ' ')} | {', '.join(verdicts[name]) or 'yes'} "
      f"| {end} | {found.restarts} | {recovery} "
      f"| {found.silence:.0f} s | {found.steps_lost} | {again} | {accuracy} "
      f"| {', '.join(found.left) or 'nothing'} |"
    )
  return "\n".join(lines) + "\n"


def main():
  """Plays the scenarios, prints the table; returns the exit code."""
  parser = timing.build_parser("cluster_faults", __doc__)
  parser.add_argument("--only", help="names of scenarios; all by default")
  parser.add_argument("--plain_runs", type=int, default=3)
  parser.add_argument("flags", nargs="*", help="after --: of the trainer")
  given = parser.parse_args()
  training = [*TRAINING, *given.flags]
  names = [
    *(f"{_PLAIN}_{number}" for number in range(given.plain_runs)),
    *(scenario.__name__ for scenario in (*RECOVERING, disk_full, *MISTAKES)),
  ]
  if given.only:
    names = given.only.split(",")
  outcomes = {}
  folder = tempfile.mkdtemp(prefix="cluster_faults_")
  for number, name in enumerate(names):
    print(f"{number + 1} of {len(names)}: {name} ...", flush=True)
    seed = [f"--seed={number}"] if name.startswith(_PLAIN) else []
    outcomes[name] = play(name, folder, [*training, *seed])
    print(make_table(outcomes).splitlines()[-1], flush=True)
  text = (
    f"`./scripts/cluster_faults.sh` on {timing.machine()}; two workers and a "
    f"server, `{' '.join(training)}`.\n\n{make_table(outcomes)}\n"
    "An accuracy passes if it is not below the lowest plain one by more than "
    f"two standard errors of {_NUM_TEST} test pictures.\n"
  )
  shutil.rmtree(folder, ignore_errors=True)
  timing.publish(text, given.output, "cluster_faults")
  return 1 if any(judge(outcomes).values()) else 0


if __name__ == "__main__":
  sys.exit(main())
