"""Faults of a network, and what becomes of a run whose members are hosts.

    ./scripts/namespaces.sh [--only=NAME,...] [--output=DIR] [-- FLAG ...]

Chief, two workers and two parameter servers are hosts of their own: network
namespaces with an address each, on a switch. A scenario does one thing to a
cable while they train; it passes as those of cluster_faults do. FLAGs go to the
trainer.

Cuts take a host off the switch, so nothing tells the others. Rates are limited
by tc's tbf, packets dropped by nft; delay comes from `wire`, since the kernels
at hand have no netem.
"""

import os
import shutil
import signal
import sys
import tempfile
import time

from benchmarks import timing
from tests.acceptance import cluster_faults, namespaces
from tests.acceptance.watched_cluster import Watched

_WORKERS, _SERVERS = 2, 2
_CUT = 30.0  # seconds
_NORMAL, _HALF = 20, 10  # Mbit/s, where the network decides
_DELAY = 25  # ms each way
_LOSS = 1  # per cent of the packets
_TRAINING = (
  *cluster_faults.TRAINING,
  "--num_replicas=2",
)


def plain(run, network):
  """Nothing happens."""


def worker_cut(run, network):
  """A worker is cut off for 30 s."""
  _cut(run, network, "worker0")


def worker_cut_for_good(run, network):
  """A worker is cut off and never comes back."""
  run.wait_for_training()
  network.cut("worker0")


def server_cut(run, network):
  """A parameter server is cut off for 30 s."""
  _cut(run, network, "ps0")


def server_cut_long(run, network):
  """A parameter server is cut off for 90 s: the chief gives it up meanwhile."""
  _cut(run, network, "ps0", 3 * _CUT)


def bandwidth_halved(run, network):
  """Every cable carries 20 Mbit/s, and later 10."""
  for host in network.addresses:
    network.limit(host, _NORMAL)
  run.wait_for_training()
  for host in network.addresses:
    network.limit(host, _HALF)


def delay_added(run, network):
  """The way to a worker and back takes 50 ms longer."""
  run.wait_for_training()
  network.delay("worker0", _DELAY)


def packets_lost(run, network):
  """One packet in a hundred that arrives at a worker or a server is lost."""
  run.wait_for_training()
  network.lose("worker0", _LOSS)
  network.lose("ps0", _LOSS)


def _cut(run, network, host, seconds=_CUT):
  run.wait_for_training()
  network.cut(host)
  time.sleep(seconds)
  network.mend(host)


SCENARIOS = (
  worker_cut_for_good,
  worker_cut,
  server_cut,
  server_cut_long,
  bandwidth_halved,
  delay_added,
  packets_lost,
)


def play(scenario, workdir, training):
  """Plays a scenario; returns a `cluster_faults.Outcome`."""
  hosts = namespaces.cluster_of(_WORKERS, _SERVERS)
  names = [name for names in hosts.values() for name in names]
  delayed = ["worker0"] if scenario is delay_added else []
  folder = os.path.join(workdir, "logs")
  os.makedirs(folder)
  tag = f"s{os.getpid()}"
  with namespaces.Network(names, tag, delayed) as network:
    supervisor = ["-m", "tests.acceptance.namespaced_cluster", tag]
    numbers = [str(_WORKERS), str(_SERVERS)]
    with Watched(
      workdir, training, supervisor=[*supervisor, *numbers, folder]
    ) as run:
      scenario(run, network)
      step, hit, news = run.last_step(), run.now, None
      if scenario is not plain:
        run.wait_for(lambda: run.last_step() > step, "news")
        news = run.now
      code = run.finish()
    return cluster_faults.outcome(run, code, hit, step, news)


def main():
  """Plays the scenarios, prints the table; returns the exit code."""
  parser = timing.build_parser("namespaces", __doc__)
  parser.add_argument("--only", help="names of scenarios; all by default")
  parser.add_argument("--plain_runs", type=int, default=3)
  parser.add_argument("flags", nargs="*", help="after --: of the trainer")
  given = parser.parse_args()
  lack = namespaces.missing()
  if lack:
    print(f"error: {lack}; this needs root's rights on Linux.", file=sys.stderr)
    return 2
  # Ended as by an error: the processes and the network end, too.
  signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
  training = [*_TRAINING, *given.flags]
  chosen = given.only.split(",") if given.only else None
  wanted = {f"plain_{seed}": plain for seed in range(given.plain_runs)}
  wanted.update((one.__name__, one) for one in SCENARIOS)
  wanted = {n: s for n, s in wanted.items() if not chosen or n in chosen}
  outcomes = {}
  folder = tempfile.mkdtemp(prefix="namespaces_")
  for number, (name, scenario) in enumerate(wanted.items()):
    print(f"{number + 1} of {len(wanted)}: {name} ...", flush=True)
    seed = [f"--seed={name[-1]}"] if scenario is plain else []
    workdir = os.path.join(folder, name)
    outcomes[name] = play(scenario, workdir, [*training, *seed])
    shutil.rmtree(workdir, ignore_errors=True)
    table = cluster_faults.make_table(outcomes)
    print(table.splitlines()[-1], flush=True)
    # What is done is kept, should the rest be interrupted.
    timing.publish(
      f"`./scripts/namespaces.sh` on {timing.machine()}; two workers and two "
      f"servers, each a network namespace, `{' '.join(training)}`.\n\n{table}",
      given.output,
      "namespaces",
    )
  shutil.rmtree(folder, ignore_errors=True)
  return 1 if any(cluster_faults.judge(outcomes).values()) else 0


if __name__ == "__main__":
  sys.exit(main())
