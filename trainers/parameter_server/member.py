r"""Training on many machines: Hogwild updates on parameter servers.

    ./scripts/local_cluster.sh --workers=2 --ps=1 -- \
        --preset=desk --dataset=digits --method=sobolev --workdir=DIR

starts a cluster on this machine. --experiment=distillation trains a student of
an Atari teacher instead of a classifier with synthetic gradients. On several
machines the same command runs on each, and TF_CONFIG names the member:

    TF_CONFIG='{"cluster": {"chief": ["a:2222"], "ps": ["b:2222"],
      "worker": ["c:2222", "d:2222"]}, "task": {"type": "chief", "index": 0}}' \
        python -m trainers.parameter_server --bind=any --workdir=DIR ...

Only the chief writes to the folder. A member that dies is restarted by whatever
started it; the chief resumes from the newest checkpoint.
"""

import dataclasses
import sys

from trainers.distillation.served import ServedStudent
from trainers.lifecycle import command_line, exit_codes, run
from trainers.lifecycle.command_line import CommandError, setting
from trainers.parameter_server import cluster, lifeline, worker_batches
from trainers.parameter_server.chief import (
  COLUMNS,
  Chief,
  Lost,
  named_failures,
)
from trainers.parameter_server.learner import ParameterServerLearner
from trainers.synthetic_gradients.served import ServedClassifier

EXPERIMENTS = {
  "synthetic_gradients": ServedClassifier,
  "distillation": ServedStudent,
}
_DEFAULT = next(iter(EXPERIMENTS))
_FLAGS = {
  "experiment": setting(
    _DEFAULT,
    "what is trained; --help lists the flags of the one that is given with it",
    choices=tuple(EXPERIMENTS),
  ),
  **cluster.FLAGS,
  "patience": setting(
    600.0, "seconds that a member waits for others before it gives up", above=0
  ),
  "lifeline": setting(False, "true: end when the standard input closes"),
}


def train(experiment, config, workdir, members, patience):
  """The chief's part: runs one configuration, or resumes it.

  Args:
    experiment: one of `EXPERIMENTS`.
    config: its settings.
    workdir: folder of the run.
    members: a `cluster.Cluster`, whose servers and workers are or will be
      there.
    patience: seconds to wait for a member.

  Returns:
    dict of the final numbers.

  Raises:
    CommandError: the folder, the data, the network or a worker do not fit.
    Lost: a server, or everybody, is gone for longer than `patience`.
    run.Stopped: a signal arrived; the state is saved.
    run.NotFinite: the loss was not finite; the newest checkpoint is kept.
  """
  model = EXPERIMENTS[experiment](config)
  model.draw(0)
  columns = (*model.columns(config), *COLUMNS)
  with (
    named_failures(),
    run.open_run(workdir, config, columns) as this_run,
  ):
    if this_run.finished:
      this_run.say("This run is finished already.")
      return this_run.result
    watchdog = lifeline.Watchdog(this_run.say, patience)
    try:
      learner = _connect(this_run, experiment, members, patience, watchdog)
      chief = Chief(this_run, learner, columns, members, patience, watchdog)
      return chief.train()
    finally:
      watchdog.stop()


def _connect(this_run, experiment, members, patience, watchdog):
  """Waits for the members, and makes the variables on the servers."""
  config = this_run.config
  if members.num_workers != config.num_replicas:
    this_run.say(
      f"{members.num_workers} worker(s) take the {config.num_replicas} "
      "share(s) of each batch; --num_replicas cuts it otherwise."
    )
  with watchdog.paused():  # `wait_for` reports by itself
    missing = cluster.wait_for(
      members.others(), this_run.say, patience, lambda: this_run.is_stopping
    )
  if this_run.is_stopping:
    raise run.Stopped("stopped before the cluster was complete.", 143)
  if missing:
    raise Lost(f"{', '.join(missing)} did not appear within {patience:.0f} s")
  strategy = cluster.connect(members)
  learner = ParameterServerLearner(
    EXPERIMENTS[experiment](config),
    config,
    strategy,
    members.num_servers,
    shared_settings(experiment, config),
  )
  for device, size in learner.placement().items():
    this_run.say(f"{device} holds {size / 1e6:.3f} MB of the networks.")
  return learner


def shared_settings(experiment, config):
  """What all members must have been started with."""
  return {"experiment": experiment, **dataclasses.asdict(config)}


def _lead(experiment, config, workdir, members, patience):
  """The chief's part with its exit code."""
  try:
    result = train(experiment, config, workdir, members, patience)
  except run.Stopped as stop:
    print(stop, file=sys.stderr)
    return stop.code
  except run.NotFinite as stop:
    print(stop, file=sys.stderr)
    return 1
  except Lost as loss:
    print(
      f"A member of the cluster is lost: {loss}. Start it and the chief again; "
      "the run resumes at the newest checkpoint.",
      file=sys.stderr,
    )
    return exit_codes.LOST
  print(EXPERIMENTS[experiment].describe(config, result))
  return 0


def _serve(experiment, config, members, patience):
  """A worker's or a server's part: serves until the chief is gone."""
  if members.role == "worker":
    kind = EXPERIMENTS[experiment]
    # Before anything else of TensorFlow, hence before the data are opened.
    registration = worker_batches.register(
      lambda index: model.draw(index),
      shared_settings(experiment, config),
      kind.share_dtypes,
    )
    model = kind(config)
    model.draw(0)
  server = cluster.serve(members)
  name = f"{members.role} {members.index}"
  print(f"{name} serves at {members.address}.", flush=True)
  was_there = lifeline.follow_chief(
    members.jobs["chief"][0],
    patience,
    lambda sentence: print(f"{name}: {sentence}", flush=True),
  )
  how = "has been gone for" if was_there else "did not appear within"
  print(f"{name}: the chief {how} {patience:.0f} s; leaving.")
  del registration, server
  return 0 if was_there else exit_codes.LOST


def main(argv):
  """Plays the part in the cluster that TF_CONFIG or the flags name."""
  experiment = _experiment(argv)
  kind = EXPERIMENTS[experiment]
  command = command_line.parse(
    argv, kind.config_class, kind.presets, __doc__, _FLAGS
  )
  if command.swept:
    raise CommandError(
      f"--{command.swept[0]} has several values; a cluster makes one run at a "
      "time."
    )
  (config,), given = command.configs, command.arguments
  patience = given["patience"]
  members = cluster.read(given)
  cluster.ensure_threads(members)
  if given["lifeline"]:
    lifeline.follow_stdin(members.role)
  if members.role == "chief":
    return _lead(experiment, config, command.workdir, members, patience)
  return _serve(experiment, config, members, patience)


def _experiment(argv):
  """The experiment that the flags name; it decides what other flags exist."""
  name = {"experiment": _FLAGS["experiment"]}
  return command_line.read_flags(argv, name, known_only=True)["experiment"]
