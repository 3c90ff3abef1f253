r"""Times the parameter server on this machine, and checks the model against it.

    python -m benchmarks.parameter_server [--workers=1,2,4] [--width=0.25] \
        [--output=results/benchmarks]

Every number of workers is a cluster of real processes on loopback; each worker
takes shares of 32 pictures. Beside it stands the trainer of one process. Bytes
are what the loopback interface counts, so nothing else may use it meanwhile.

All processes share this machine's cores, so the model is the simplest one: a
worker alone needs some time for a share, and all processes together some time
of a core; N workers make N times as many shares a second as one,
until the cores are all busy.
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time

import tensorflow as tf

from benchmarks import timing
from trainers.parameter_server import cluster, local_cluster, worker_batches
from trainers.parameter_server import member as trainer
from trainers.parameter_server.learner import ParameterServerLearner
from trainers.synthetic_gradients import config as table1_config
from trainers.synthetic_gradients.learner import SyntheticGradientLearner
from trainers.synthetic_gradients.served import ServedClassifier

_WARM = 3  # rounds that are not counted
_SHARE = 32  # pictures, SM §4.2


def build_config(workers, width):
  """Settings of the cluster that is timed: a share for each worker."""
  return dataclasses.replace(
    ServedClassifier.presets["desk"],
    width=width,
    num_replicas=workers,
    batch_size=_SHARE * workers,
  )


class Bench:
  """A cluster of processes whose chief is this one."""

  def __init__(
    self,
    workers,
    servers,
    width,
    build_members=local_cluster.build_members,
    bind="loopback",
  ):
    """Starts the servers and workers, and connects.

    Args:
      workers: number of workers.
      servers: number of parameter servers.
      width: of the networks.
      build_members: as `local_cluster.build_members`.
      bind: who reaches this process's port, as `cluster.FLAGS` has it.
    """
    self.config = build_config(workers, width)
    settings = trainer.shared_settings("synthetic_gradients", self.config)
    self.data = table1_config.build_data(self.config)
    self._folder = tempfile.TemporaryDirectory(prefix="parameter_server_")
    arguments = [
      "--preset=desk",
      f"--width={width}",
      f"--num_replicas={workers}",
      f"--batch_size={self.config.batch_size}",
      f"--workdir={self._folder.name}",
    ]
    *self._members, chief = build_members(
      workers, servers, 0, arguments, self._folder.name
    )
    for member in self._members:
      member.start()
    flags = {"role": "", "bind": bind}
    members = cluster.read(flags, chief.environment)
    cluster.wait_for(members.others(), print, 120)
    strategy = cluster.connect(members)
    self.learners = {}
    for updates in ("sync", "async"):
      config = dataclasses.replace(self.config, main_updates=updates)
      self.learners[updates] = ParameterServerLearner(
        ServedClassifier(config), config, strategy, servers, settings
      )
    self._settings, self._strategy = settings, strategy

  def close(self):
    """Ends the processes."""
    for member in self._members:
      member.stop(15, 5)
    self._folder.cleanup()

  def time_rounds(self, updates, rounds, warm=_WARM):
    """Trains for a while.

    Args:
      updates: "sync" or "async".
      rounds: how many are timed.
      warm: how many go before them.

    Returns:
      dict with the seconds, bytes and seconds of a core of one share.
    """
    learner = self.learners[updates]
    learner.push()
    learner.train(0, warm, _wait)
    start, sent, used = time.perf_counter(), _loopback_bytes(), self._cores()
    learner.train(warm, warm + rounds, _wait)
    shares = rounds * self.config.num_replicas
    return {
      "seconds": (time.perf_counter() - start) / shares,
      "bytes": (_loopback_bytes() - sent) / shares,
      "core_seconds": (self._cores() - used) / shares,
    }

  def parts(self, rounds):
    """Milliseconds of the parts of a share, each timed alone."""
    learner = self.learners["sync"]
    coordinator = tf.distribute.coordinator.ClusterCoordinator(self._strategy)
    model = learner.model

    @tf.function
    def nothing():
      return tf.zeros([])

    @tf.function
    def draw():
      x, _ = worker_batches.draw(
        self._settings, tf.constant(0, tf.int64), model.share_specs
      )
      return tf.reduce_sum(x)

    @tf.function
    def read():
      return tf.add_n([tf.reduce_sum(v) for v in model.network.variables])

    def on_worker(function):
      coordinator.schedule(function)
      coordinator.join()

    network = model.local.network
    x, y = (tf.constant(z) for z in self.data.training_batch(0, _SHARE))

    @tf.function
    def compute():
      found = network.gradients(x, y, False)
      return tf.add_n([tf.reduce_sum(g) for g in found.main + found.estimators])

    candidates = {
      "schedule": (lambda: on_worker(nothing), 1),
      "draw": (lambda: on_worker(draw), 1),
      "read": (lambda: on_worker(read), 1),
      "compute": (lambda: compute().numpy(), 1),
    }
    times = timing.interleaved(candidates, rounds)
    for name in ("draw", "read"):
      times[name] -= times["schedule"]
    return {name: value / 1e3 for name, value in times.items()}

  def sizes(self):
    """Bytes of each variable that a share reads."""
    network = self.learners["sync"].model.network
    return [v.shape.num_elements() * v.dtype.size for v in network.variables]

  def traffic(self):
    """Bytes that a share has to read, and to write, by its variables."""
    network = self.learners["sync"].model.network
    size = {
      id(v): v.shape.num_elements() * v.dtype.size for v in network.variables
    }
    written = [*network.main_variables, *network.estimator_variables]
    statistics = sum(size.values()) - sum(size[id(v)] for v in written)
    # Every variable comes, every gradient goes; of the moving statistics the
    # change goes.
    return sum(size.values()), sum(size[id(v)] for v in written) + statistics

  def _cores(self):
    pids = [member.process.pid for member in self._members]
    return sum(_core_seconds(pid) for pid in [os.getpid(), *pids])


def time_alone(width, batch_size, rounds):
  """Seconds of a step of the trainer of one process."""
  config = dataclasses.replace(
    table1_config.PRESETS["desk"], width=width, batch_size=batch_size
  )
  data = table1_config.build_data(config)
  learner = SyntheticGradientLearner(
    config, tf.distribute.get_strategy(), data.image_shape, data.num_classes
  )
  for step in range(_WARM + rounds):
    if step == _WARM:
      start = time.perf_counter()
    logs = learner.train_step(*data.training_batch(step, batch_size))
    float(logs["loss"])
  return (time.perf_counter() - start) / rounds


def _wait(step, is_done):
  del step
  while not is_done():
    time.sleep(2e-4)
  return True


def _loopback_bytes():
  with open("/proc/net/dev", encoding="utf-8") as file:
    line = next(line for line in file if line.strip().startswith("lo:"))
  return int(line.split(":")[1].split()[0])


def _core_seconds(pid):
  with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
    fields = file.read().rpartition(")")[2].split()
  return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def predict(alone, workers, cores):
  """Shares per second of several workers, from one worker's measurement.

  Args:
    alone: what `time_rounds` returned for one worker.
    workers: how many workers.
    cores: how many cores all processes share.
  """
  return min(workers / alone["seconds"], cores / alone["core_seconds"])


def make_tables(measured, alone, cores):
  """Renders the measurements as Markdown.

  Args:
    measured: dict from a number of workers to what `measure` returned.
    alone: dict from a number of workers to the seconds of a step of one
      process on as many pictures.
    cores: number of cores.
  """
  lines = [
    "| workers | updates | pictures/s | one process, same batch | model | "
    "measured / model | MB per share on the wire | by the variables | core "
    "seconds per share |",
    "|---|---|---|---|---|---|---|---|---|",
  ]
  for workers, found in measured.items():
    for updates in ("sync", "async"):
      one, now = measured[1][updates], found[updates]
      rate, model = 1 / now["seconds"], predict(one, workers, cores)
      lines.append(
        f"| {workers} | {updates} | {_SHARE * rate:.0f} "
        f"| {_SHARE * workers / alone[workers]:.0f} | {_SHARE * model:.0f} "
        f"| {rate / model:.2f} | {now['bytes'] / 1e6:.2f} "
        f"| {sum(found['traffic']) / 1e6:.2f} | {now['core_seconds']:.3f} |"
      )
  parts = measured[1]["parts"]
  whole = 1e3 * measured[1]["sync"]["seconds"]
  rest = whole - sum(parts.values())
  lines += [
    "",
    f"One worker, sync, {whole:.1f} ms a share: "
    + ", ".join(f"{name} {value:.1f} ms" for name, value in parts.items())
    + f", and {rest:.1f} ms for writing, the end of the round and waiting "
    "(each part timed alone; compute in one process).",
  ]
  return "\n".join(lines) + "\n"


def measure(workers, servers, width, rounds):
  """All measurements of one cluster."""
  bench = Bench(workers, servers, width)
  try:
    found = {
      updates: bench.time_rounds(updates, rounds)
      for updates in ("sync", "async")
    }
    found["traffic"] = bench.traffic()
    found["parts"] = bench.parts(max(rounds // 4, 2)) if workers == 1 else {}
    return found
  finally:
    bench.close()


def main():
  """Prints the tables, and writes them if a folder is given."""
  parser = timing.build_parser("parameter_server", __doc__)
  parser.add_argument("--workers", default="1,2,4", help="must begin with 1")
  parser.add_argument("--servers", type=int, default=1)
  parser.add_argument("--width", type=float, default=0.25)
  parser.add_argument("--rounds", type=int, default=60)
  parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
  given = parser.parse_args()
  if given.only:  # one cluster per process: TensorFlow cannot leave it again
    found = measure(given.only, given.servers, given.width, given.rounds)
    print(json.dumps(found), flush=True)
    os._exit(0)
  measured, alone = {}, {}
  for workers in [int(item) for item in given.workers.split(",")]:
    result = subprocess.run(
      [sys.executable, "-m", "benchmarks.parameter_server", *sys.argv[1:]]
      + [f"--only={workers}"],
      stdout=subprocess.PIPE,
      check=True,
    )
    measured[workers] = json.loads(result.stdout.splitlines()[-1])
    alone[workers] = time_alone(given.width, _SHARE * workers, given.rounds)
  text = (
    f"`python -m benchmarks.parameter_server --width={given.width} "
    f"--servers={given.servers} --rounds={given.rounds}` on "
    f"{timing.machine()}, all processes on it; shares of {_SHARE} cluttered "
    "digits, Sobolev, three modules.\n\n"
    + make_tables(measured, alone, len(os.sched_getaffinity(0)))
  )
  timing.publish(text, given.output, "parameter_server")


if __name__ == "__main__":
  main()
