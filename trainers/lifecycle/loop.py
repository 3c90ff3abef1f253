"""What the trainers' loops and `main` functions share."""

import os
import sys

import numpy as np

from trainers.lifecycle import checkpoints, run


def next_stop(step, most, num_steps, *every):
  """The next step at which a loop has something else to do than to train.

  Args:
    step: where the loop is.
    most: how many steps it may make at once.
    num_steps: the last step.
    *every: intervals of evaluation, checkpoints and the like.

  Returns:
    A step behind `step`.
  """
  due = [(step // interval + 1) * interval for interval in every]
  return min(step + most, num_steps, *due)


def is_due(step, every, num_steps):
  """Whether something that happens every so many steps happens at `step`."""
  return step % every == 0 or step == num_steps


def is_finite(variables):
  """Whether every number of the variables is finite."""
  return all(np.isfinite(variable.numpy()).all() for variable in variables)


def retreat(this_run, objects, variables, train_steps, bad, advice):
  """Goes back to the last finite weights, saves them and stops the run.

  Every batch is a function of its step, so the newest checkpoint leads to the
  same weights again; to keep a copy of them at every step would cost more.

  Args:
    this_run: a `run.Run` with a checkpoint, if only of step 0.
    objects: what its checkpoints hold.
    variables: every variable of `objects`.
    train_steps: function of (first, last) that makes those updates.
    bad: index of the first update whose loss was not finite.
    advice: sentence that says what to change.

  Raises:
    run.NotFinite: always.
  """
  folder = os.path.join(this_run.workdir, "checkpoints")
  start = checkpoints.restore(objects, folder, this_run.say)
  kept = max(bad - 1, start)
  if kept > start:
    train_steps(start, kept)
  before = [variable.numpy() for variable in variables]
  if bad > kept:
    train_steps(kept, bad)
  # The update before can have left infinite weights behind a finite loss.
  if is_finite(variables):
    kept = bad
  else:
    for variable, value in zip(variables, before, strict=True):
      variable.assign(value)
  this_run.save(objects, kept)
  raise run.NotFinite(
    f"the loss is not finite at step {bad} of {this_run.workdir}; the weights "
    f"of step {kept} are kept. {advice}"
  )


def run_all(command, train, describe):
  """Trains every configuration of a command line, one after the other.

  Several processes of one command share its runs: what another process works
  on is passed over. A run whose loss is not finite is reported, and the others
  go on.

  Args:
    command: a `command_line.Command`.
    train: function of (config, workdir) that returns a result.
    describe: function of (config, result) that returns a line to print.

  Returns:
    The exit code.

  Raises:
    CommandError: a folder or a setting does not fit.
  """
  busy = diverged = 0
  for config in command.configs:
    workdir = _workdir_of(command, config)
    try:
      result = train(config, workdir)
    except run.Busy:
      if not command.swept:
        raise
      busy += 1
    except run.NotFinite as stop:
      print(stop, file=sys.stderr)
      diverged += 1
    except run.Stopped as stop:
      print(stop, file=sys.stderr)
      return stop.code
    else:
      print(describe(config, result), flush=True)
  if busy:
    print(f"{busy} run(s) are being trained by another process.")
  return 1 if diverged else 0


def _workdir_of(command, config):
  """The folder of one run: a level for each setting with several values."""
  parts = []
  for name in command.swept:
    value = getattr(config, name)
    # A bare number says what it is.
    parts.append(f"{name}_{value}" if name == "seed" else str(value))
  return os.path.join(command.workdir, *parts)
