r"""Synthetic gradients on many machines: Hogwild updates on parameter servers.

    ./scripts/local_cluster.sh --workers=2 --ps=1 -- \
        --preset=desk --dataset=digits --method=sobolev --workdir=DIR

starts a cluster on this machine. On several machines the same command runs on
each, with TF_CONFIG saying who it is:

    TF_CONFIG='{"cluster": {"chief": ["a:2222"], "ps": ["b:2222"],
      "worker": ["c:2222", "d:2222"]}, "task": {"type": "chief", "index": 0}}' \
        python -m trainers.parameter_server --bind=any --workdir=DIR ...

Only the chief writes to the folder. Whoever dies is started again by whatever
started it; the chief resumes from the newest checkpoint.
"""

import dataclasses
import sys

from trainers import (
  cluster,
  command_line,
  decoupled_config,
  decoupled_networks,
  exit_codes,
  lifeline,
  run,
  worker_batches,
)
from trainers.asynchronous_learner import AsynchronousLearner
from trainers.chief import COLUMNS, Chief, DiskFull, Lost, named_failures
from trainers.command_line import CommandError, setting
from trainers.served_classifier import ServedClassifier


@dataclasses.dataclass(frozen=True)
class Config(decoupled_config.Config):
  """Settings of one run: those of one machine, and two that differ."""

  num_replicas: int = setting(
    10,
    "shares that each batch is cut into; any worker takes any share",
    "SM §4.2",
    minimum=1,
  )
  estimator_updates: str = setting(
    "hogwild",
    "every worker updates the estimators by itself; there is no other way here",
    "SM §4",
    choices=("hogwild",),
  )
  main_updates: str = setting(
    "sync",
    "sync: the mean of a round's gradients is applied; async: every share's at "
    "once",
    "SM §4 names both",
    choices=("sync", "async"),
  )


def _preset(base):
  """Settings of one machine as those of a cluster, of two workers at least."""
  changes = {"num_replicas": max(base.num_replicas, 2)}
  return Config(**{**dataclasses.asdict(base), **changes})


PRESETS = {
  name: _preset(base) for name, base in decoupled_config.PRESETS.items()
}
_FLAGS = {
  **cluster.FLAGS,
  "patience": (
    "600",
    "seconds that a member waits for others before it gives up",
  ),
  "lifeline": ("false", "true: end when the standard input closes"),
}


def columns(config):
  """Names of the numbers in metrics.csv."""
  return (*decoupled_config.columns(config), *COLUMNS)


def train(config, workdir, members, patience):
  """The chief's part: runs one configuration, or resumes it.

  Args:
    config: a `Config`.
    workdir: folder of the run.
    members: a `cluster.Cluster`, whose servers and workers are or will be
      there.
    patience: seconds to wait for somebody.

  Returns:
    dict of the final test accuracy and loss.

  Raises:
    CommandError: the folder, the data, the network or a worker do not fit.
    Lost: a server, or everybody, is gone for longer than `patience`.
    DiskFull: the folder cannot be written.
    run.Stopped: a signal arrived; the state is saved.
    run.NotFinite: the loss was not finite; the newest checkpoint is kept.
  """
  data = _checked_data(config)
  with (
    named_failures(workdir),
    run.open_run(workdir, config, columns(config)) as this_run,
  ):
    if this_run.finished:
      this_run.say("This run is finished already.")
      return this_run.result
    learner = _connect(this_run, members, patience, data)
    return Chief(this_run, learner, columns(config), members, patience).train()


def _checked_data(config):
  """The data set; a setting that does not fit it is a `CommandError`."""
  try:
    data = decoupled_config.build_data(config)
    # Not kept: what is made before the chief connects is lost to it.
    decoupled_networks.build_segments(config, data.num_classes)
    data.training_batch(0, config.batch_size // config.num_replicas)
  except ValueError as error:
    raise CommandError(str(error)) from error
  return data


def _connect(this_run, members, patience, data):
  """Waits for the members, and makes the variables on the servers."""
  if members.num_workers != this_run.config.num_replicas:
    this_run.say(
      f"{members.num_workers} worker(s) take the "
      f"{this_run.config.num_replicas} share(s) of each batch; --num_replicas "
      "cuts it otherwise."
    )
  missing = cluster.wait_for(
    members.others(), this_run.say, patience, lambda: this_run.is_stopping
  )
  if this_run.is_stopping:
    raise run.Stopped("stopped before the cluster was complete.", 143)
  if missing:
    raise Lost(f"{', '.join(missing)} did not come within {patience:.0f} s")
  config = this_run.config
  learner = AsynchronousLearner(
    ServedClassifier(config, data),
    config,
    cluster.connect(members),
    members.num_servers,
    dataclasses.asdict(config),
  )
  for device, size in learner.placement().items():
    this_run.say(f"{device} holds {size / 1e6:.3f} MB of the networks.")
  return learner


def _lead(config, workdir, members, patience):
  """The chief's part with its exit code."""
  try:
    result = train(config, workdir, members, patience)
  except run.Stopped as stop:
    print(stop, file=sys.stderr)
    return stop.code
  except run.NotFinite as stop:
    print(stop, file=sys.stderr)
    return 1
  except DiskFull as stop:
    print(f"error: {stop}", file=sys.stderr)
    return exit_codes.FAILED
  except Lost as loss:
    print(
      f"A member of the cluster is lost: {loss}. Start it and the chief again; "
      "the run resumes at the newest checkpoint.",
      file=sys.stderr,
    )
    return exit_codes.LOST
  print(
    f"{config.dataset} {config.method} seed {config.seed}: test accuracy "
    f"{result['test_accuracy']:.2%}"
  )
  return 0


def _serve(config, members, patience):
  """A worker's or a server's part: serves until the chief is gone."""
  if members.role == "worker":
    # Before anything else of TensorFlow, hence before the data are opened.
    registration = worker_batches.register(
      lambda index: data.training_batch(index, size),
      dataclasses.asdict(config),
    )
    size = config.batch_size // config.num_replicas
    try:
      data = decoupled_config.build_data(config)
      data.training_batch(0, size)
    except ValueError as error:
      raise CommandError(str(error)) from error
  server = cluster.serve(members)
  name = f"{members.role} {members.index}"
  print(f"{name} serves at {members.address}.", flush=True)
  lifeline.follow_chief(members.jobs["chief"][0], patience)
  print(f"{name}: the chief is gone since {patience:.0f} s; leaving.")
  del registration, server
  return 0


def main(argv):
  """Plays the part in the cluster that TF_CONFIG or the flags name."""
  command = command_line.parse(argv, Config, PRESETS, __doc__, _FLAGS)
  if command.swept:
    raise CommandError(
      f"--{command.swept[0]} has several values; a cluster makes one run at a "
      "time."
    )
  config, flags = command.configs[0], command.arguments
  patience = _seconds(flags["patience"])
  members = cluster.read(flags)
  if flags["lifeline"] == "true":
    lifeline.follow_stdin(members.role)
  if members.role == "chief":
    return _lead(config, command.workdir, members, patience)
  return _serve(config, members, patience)


def _seconds(text):
  try:
    seconds = float(text)
  except ValueError:
    seconds = 0.0
  if not seconds > 0:
    raise CommandError(f"--patience is {text!r}; give seconds above 0.")
  return seconds


if __name__ == "__main__":
  lifeline.leave_with(lambda: command_line.run_main(main))
