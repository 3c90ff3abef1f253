"""The model of a cluster's throughput beside networks of several rates.

    ./scripts/namespaces.sh --rates [--workers=1,2] [--output=DIR]

Chief, workers and two servers are hosts of a `namespaces.Network`. The time of
a share without any limit, with one worker, is what the model is given; from
that and the bytes of the variables it predicts the rest.
"""

import argparse
import json
import os
import subprocess
import sys

from benchmarks import parameter_server, timing
from benchmarks.parameter_server_model import Load, Machine, rates
from tests.acceptance import namespaced_cluster, namespaces

_SERVERS = 2
# Mbit/s and rounds; 0 has no limit.
_ROUNDS = {0: 6, 1000: 6, 100: 5, 10: 3}
_KINDS = ("sync", "async")


def measure(workers, width, tag):
  """Times rounds at every rate; this process is on the chief's host.

  Args:
    workers: number of workers.
    width: of the networks.
    tag: of the `namespaces.Network`, which is there already.

  Returns:
    dict with the bytes of each variable, and "times": what `time_rounds` of
    `parameter_server.Bench` returned by rate and kind of update.
  """
  network = namespaces.Network(_hosts(workers), tag)

  def build_members(workers, servers, port, arguments, folder):
    del port
    return namespaced_cluster.build_members(
      tag, workers, servers, folder, arguments
    )

  bench = parameter_server.Bench(workers, _SERVERS, width, build_members, "any")
  try:
    times = {}
    for megabits, rounds in _ROUNDS.items():
      for host in network.addresses if megabits else ():
        network.limit(host, megabits)
      warm = 1 if megabits else 3
      times[megabits] = {
        kind: bench.time_rounds(kind, rounds, warm) for kind in _KINDS
      }
    return {"sizes": bench.sizes(), "times": times}
  finally:
    bench.close()


def measure_there(workers, width):
  """`measure` in a process on the chief's host of a network made for it."""
  tag = f"r{os.getpid()}"
  with namespaces.Network(_hosts(workers), tag) as network:
    result = subprocess.run(
      [*network.launcher("chief"), sys.executable, "-m"]
      + ["tests.acceptance.network_rates", f"--only={tag}"]
      + [f"--workers={workers}", f"--width={width}"],
      stdout=subprocess.PIPE,
      check=True,
    )
  return json.loads(result.stdout.splitlines()[-1])


def predict(sizes, alone, workers, megabits):
  """Shares a second, dict by kind of update.

  Args:
    sizes: bytes of each variable.
    alone: seconds of a share of one worker without a limit, by kind.
    workers: number of workers.
    megabits: of every cable, each way.
  """
  load = Load(tuple(sizes), tuple(sizes), 0.0)
  return {
    kind: rates(
      load, Machine(workers, _SERVERS, megabits / 1e3, 1.0, alone[kind])
    )[kind][0]
    for kind in _KINDS
  }


def make_table(found):
  """Renders what `measure` returned, by number of workers, as Markdown."""
  first = found[min(found)]["times"]["0"]
  alone = {kind: first[kind]["seconds"] for kind in _KINDS}
  lines = [
    "| workers | Mbit/s | updates | predicted shares/s | measured | measured / "
    "predicted | core seconds a share |",
    "|---|---|---|---|---|---|---|",
  ]
  for workers, one in found.items():
    for megabits, times in one["times"].items():
      for kind in _KINDS:
        measured = 1 / times[kind]["seconds"]
        cells = ["", f"{measured:.3f}", ""]
        if int(megabits):
          wanted = predict(one["sizes"], alone, workers, int(megabits))[kind]
          cells = [f"{wanted:.3f}", cells[1], f"{measured / wanted:.2f}"]
        lines.append(
          f"| {workers} | {megabits if int(megabits) else 'no limit'} | {kind} "
          f"| {' | '.join(cells)} | {times[kind]['core_seconds']:.2f} |"
        )
  return "\n".join(lines) + "\n"


def main():
  """Prints the table, and writes it if a folder is given."""
  parser = timing.build_parser("namespaces_rates", __doc__)
  parser.add_argument("--workers", default="1,2")
  parser.add_argument("--width", type=float, default=0.25)
  parser.add_argument("--only", help=argparse.SUPPRESS)
  given = parser.parse_args()
  if given.only:  # one cluster per process: TensorFlow cannot leave it again
    print(json.dumps(measure(int(given.workers), given.width, given.only)))
    sys.stdout.flush()
    os._exit(0)
  found = {
    workers: measure_there(workers, given.width)
    for workers in map(int, given.workers.split(","))
  }
  size = sum(found[min(found)]["sizes"])
  text = (
    f"`./scripts/namespaces.sh --rates --workers={given.workers}` on "
    f"{timing.machine()}, which others used as well; {_SERVERS} servers; a "
    f"share reads {size / 1e6:.2f} MB and writes as much.\n\n"
    + make_table(found)
  )
  timing.publish(text, given.output, "namespaces_rates")


def _hosts(workers):
  hosts = namespaces.cluster_of(workers, _SERVERS)
  return [name for names in hosts.values() for name in names]


if __name__ == "__main__":
  main()
