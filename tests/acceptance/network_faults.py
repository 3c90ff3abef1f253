"""Faults of a network, and what becomes of a run whose members are hosts.

    ./scripts/namespaces.sh [--only=NAME,...] [--output=DIR] [-- FLAG ...]

Chief, two workers and two parameter servers are hosts of their own: network
namespaces with an address each, on a switch. While they train, one thing after
the other is done to their cables; each time the run has to get on, by itself,
and lose no more steps than lie between two checkpoints. At the end the run is
asked to stop, and has to save. FLAGs go to the trainer.

Cuts take a host off the switch, so nothing tells the others. Rates are limited
by tc's tbf, packets dropped by nft; delay comes from `wire`, since the kernels
at hand have no netem.
"""

import collections.abc
import dataclasses
import os
import re
import shutil
import signal
import sys
import tempfile
import time

from benchmarks import timing
from tests.acceptance import namespaces
from tests.acceptance.watched_cluster import Watched, is_alive

_WORKERS, _SERVERS = 2, 2
_MOST_SECONDS = 3600.0
EVALUATE_EVERY, CHECKPOINT_EVERY = 2, 10
TRAINING = (
  "--preset=smoke",
  "--dataset=digits",
  "--method=sobolev",
  "--num_modules=1",
  "--width=0.1",
  "--batch_size=8",
  "--num_replicas=2",
  "--num_steps=100000",
  f"--evaluate_every={EVALUATE_EVERY}",
  f"--checkpoint_every={CHECKPOINT_EVERY}",
  "--num_test=50",
)


@dataclasses.dataclass
class Fault:
  """What is done to the network, and undone.

  Attributes:
    words: what a reader is told.
    begin: function of the network.
    end: the same; None if it stays so.
    seconds: between the two; None if the run has to get on meanwhile.
  """

  words: str
  begin: collections.abc.Callable
  end: collections.abc.Callable | None
  seconds: float | None = None


def _cut(host, seconds, words):
  def begin(network):
    network.cut(host)

  def end(network):
    network.mend(host)

  return Fault(words, begin, end if seconds else None, seconds)


def _limit_all(megabits):
  def limit(network):
    for host in network.addresses:
      if host != _DELAYED:
        network.limit(host, megabits)

  return limit


def _lose(percent):
  def lose(network):
    for host in ("worker1", "ps0"):
      network.lose(host, percent)

  return lose


def _delay(milliseconds):
  return lambda network: network.delay(_DELAYED, milliseconds)


_DELAYED = "worker0"
FAULTS = {
  "worker_cut": _cut("worker1", 30, "a worker is cut off for 30 s"),
  "server_cut": _cut("ps0", 30, "a server is cut off for 30 s"),
  "bandwidth": Fault("20 Mbit/s everywhere", _limit_all(20), None),
  "bandwidth_halved": Fault(
    "10 Mbit/s everywhere", _limit_all(10), _limit_all(1000)
  ),
  "delay": Fault(
    "the way to a worker and back takes 50 ms longer", _delay(25), _delay(0)
  ),
  "loss": Fault(
    "1 % of the packets to a worker and a server are lost", _lose(1), _lose(0)
  ),
  "server_cut_long": _cut("ps0", 90, "a server is cut off for 90 s"),
  "worker_cut_for_good": _cut(
    "worker1", None, "a worker is cut off and never comes back"
  ),
}


@dataclasses.dataclass
class Outcome:
  """What came of a fault: seconds until news after its end, and the rest."""

  news: float
  silence: float
  restarts: int
  steps_lost: int


def play(fault, run, network):
  """Lets a fault happen to a run that trains; returns its `Outcome`.

  News is a row of metrics.csv from after the fault, or from after the start of
  one that the run has to live with.
  """
  rows = run.rows()
  run.wait_for(lambda: run.rows() > rows, "the next test")
  step, first, starts = run.last_step(), len(run.words), len(run.all_pids())
  begun = run.now
  fault.begin(network)
  if fault.seconds:
    time.sleep(fault.seconds)
    fault.end(network)
    step = run.last_step()
  hit = run.now
  # The second one: the first may have been under way.
  run.wait_for(lambda: run.last_step() > step + run.interval, "news")
  news = run.now - hit
  if fault.end and not fault.seconds:
    fault.end(network)
  words = run.words[first:]
  times = [begun, *(seconds for seconds, _ in words), run.now]
  resumed = [
    int(found[1])
    for _, line in words
    if (found := re.search(r"Resuming at step (\d+)", line))
  ]
  return Outcome(
    news=news,
    silence=max(b - a for a, b in zip(times, times[1:], strict=False)),
    restarts=len(run.all_pids()) - starts,
    steps_lost=max([step - one for one in resumed], default=0),
  )


def play_all(names, workdir, training, tell=print):
  """Lets faults happen to one run, one after the other.

  Args:
    names: of `FAULTS`.
    workdir: folder of the run.
    training: flags of the trainer.
    tell: function of the outcomes so far, a dict by name.

  Returns:
    The outcomes, the exit code of the run, which is asked to stop at the end,
    and what is left of it.
  """
  hosts = namespaces.cluster_of(_WORKERS, _SERVERS)
  folder = os.path.join(workdir, "logs")
  os.makedirs(folder)
  tag, outcomes = f"s{os.getpid()}", {}
  supervisor = ["-m", "tests.acceptance.namespaced_cluster", tag]
  supervisor += [str(_WORKERS), str(_SERVERS), folder]
  every = [host for one in hosts.values() for host in one]
  with (
    namespaces.Network(every, tag, [_DELAYED]) as network,
    Watched(workdir, training, supervisor=supervisor) as run,
  ):
    run.most_seconds = _MOST_SECONDS
    run.interval = EVALUATE_EVERY
    run.wait_for_training(1)
    for name in names:
      outcomes[name] = play(FAULTS[name], run, network)
      tell(outcomes)
    run.process.send_signal(signal.SIGTERM)
    code = run.finish()
    time.sleep(1)
    left = [pid for pid in run.all_pids() if is_alive(pid)]
  return outcomes, code, left


def make_table(outcomes):
  """Renders outcomes, a dict by name, as Markdown."""
  lines = [
    "| fault | passes | news after | longest silence | restarts "
    "| steps made again |",
    "|---|---|---|---|---|---|",
  ]
  for name, one in outcomes.items():
    passes = one.steps_lost <= CHECKPOINT_EVERY
    lines.append(
      f"| {FAULTS[name].words} | {'yes' if passes else 'no'} "
      f"| {one.news:.0f} s | {one.silence:.0f} s | {one.restarts} "
      f"| {one.steps_lost} |"
    )
  return "\n".join(lines) + "\n"


def main():
  """Plays the faults, prints the table; returns the exit code."""
  parser = timing.build_parser("namespaces", __doc__)
  parser.add_argument("--only", help="names of faults; all by default")
  parser.add_argument("flags", nargs="*", help="after --: of the trainer")
  given = parser.parse_args()
  lack = namespaces.missing()
  if lack:
    print(f"error: {lack}; this needs root's rights on Linux.", file=sys.stderr)
    return 2
  # Ended as by an error: the processes and the network end, too.
  signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
  training = [*TRAINING, *given.flags]
  names = given.only.split(",") if given.only else list(FAULTS)

  def tell(outcomes, end=""):
    # What is done is kept, should the rest be interrupted.
    load = os.getloadavg()[1]
    timing.publish(
      f"`./scripts/namespaces.sh` on {timing.machine()}, at a load of "
      f"{load:.0f}; two workers and two servers, each a network namespace, "
      f"`{' '.join(training)}`. One run, one fault after the other.\n\n"
      f"{make_table(outcomes)}{end}",
      given.output,
      "namespaces",
    )

  folder = tempfile.mkdtemp(prefix="namespaces_")
  outcomes, code, left = play_all(
    names, os.path.join(folder, "run"), training, tell
  )
  tell(
    outcomes,
    f"\nAsked to stop, the run saved and ended with code {code}; processes "
    f"left over: {len(left)}.\n",
  )
  shutil.rmtree(folder, ignore_errors=True)
  is_good = all(x.steps_lost <= CHECKPOINT_EVERY for x in outcomes.values())
  return 0 if is_good and code == 128 + signal.SIGTERM and not left else 1


if __name__ == "__main__":
  sys.exit(main())
