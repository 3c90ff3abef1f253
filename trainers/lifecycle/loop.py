"""What the trainers' loops and `main` functions share."""

import os
import sys

import numpy as np

from trainers.lifecycle import run, sharing


def next_stop(step, most, num_steps, *every):
  """The next step at which a loop has something to do besides training.

  Args:
    step: where the loop is.
    most: how many steps it may make at once.
    num_steps: the last step.
    *every: intervals of evaluation, checkpoints and the like.

  Returns:
    A step after `step`.
  """
  due = [(step // interval + 1) * interval for interval in every]
  return min(step + most, num_steps, *due)


def is_due(step, every, num_steps):
  """Whether something that happens every so many steps happens at `step`."""
  return step % every == 0 or step == num_steps


def is_finite(variables):
  """Whether every number of the variables is finite."""
  return all(np.isfinite(variable.numpy()).all() for variable in variables)


def train(this_run, first, objects, advance, test, most, advice):
  """Trains a run to its end; tests and saves when that is due.

  Args:
    this_run: a `run.Run` whose settings have `num_steps`, `evaluate_every` and
      `checkpoint_every`.
    first: the step to begin at.
    objects: what its checkpoints hold.
    advance: function of two steps that makes the updates between them. It
      returns the step that it reached, which is the second one unless a
      `Guard` refused an update, and the numbers of the last update.
    test: function of (step, those numbers) that logs a row and returns what
      is to be kept of it.
    most: updates between two checks that the loss is finite.
    advice: sentence for the user whose loss is not finite.

  Returns:
    What the last test returned; None if `first` is the last step already.

  Raises:
    run.Stopped: a signal arrived; the state is saved.
    run.NotFinite: an update was refused; the state before it is saved.
  """
  config, step, result = this_run.config, first, None
  with this_run.progress(config.num_steps, first) as progress:
    while step < config.num_steps:
      last = next_stop(
        step,
        most,
        config.num_steps,
        config.evaluate_every,
        config.checkpoint_every,
      )
      step, numbers = advance(step, last)
      if step < last:
        stop_at(this_run, objects, step, advice)
      progress.advance_to(step)
      if is_due(step, config.evaluate_every, config.num_steps):
        result = test(step, numbers)
      if is_due(step, config.checkpoint_every, config.num_steps):
        this_run.save(objects, step)
      this_run.check_stop(objects, step)
  return result


def stop_at(this_run, objects, step, advice):
  """Saves the weights that a `Guard` has kept, and stops the run."""
  this_run.save(objects, step)
  raise run.NotFinite(
    f"the loss or its gradient is not finite at step {step} of "
    f"{this_run.workdir}; that update was not made, and the weights of step "
    f"{step} are kept. {advice}"
  )


def run_all(command, train, describe):
  """Trains every configuration of a command line, as `run_each` does."""
  runs = runs_of(command)
  shared_in = command.workdir if command.swept else None
  return run_each(runs, train, describe, shared_in)


def runs_of(command):
  """A `command_line.Command` as a list of (configuration, its folder)."""
  return [(one, _workdir_of(command, one)) for one in command.configs]


def run_each(runs, train, describe, shared_in=None):
  """Trains runs, one after the other.

  A run whose loss is not finite is reported, and the others go on.

  Args:
    runs: list of (configuration, folder).
    train: function of (config, workdir) that returns a result.
    describe: function of (config, result) that returns a line to print.
    shared_in: the folder of them all, if other processes may train some of
      them: what another one works on is passed over.

  Returns:
    The exit code.

  Raises:
    CommandError: a folder or a setting does not fit.
  """
  diverged = []

  def work(config, workdir):
    try:
      print(describe(config, train(config, workdir)), flush=True)
    except run.NotFinite as stop:
      print(stop, file=sys.stderr)
      diverged.append(workdir)

  try:
    busy = _share(runs, work, shared_in) if shared_in else _do(runs, work)
  except run.Stopped as stop:
    print(stop, file=sys.stderr)
    return stop.code
  if busy:
    print(f"{busy} run(s) are being trained by another process.")
  return 1 if diverged else 0


def _share(runs, work, workdir):
  run.make_folder(workdir)
  sharing.publish(workdir, [folder for _, folder in runs])
  return sharing.take_each(runs, work)


def _do(runs, work):
  for config, workdir in runs:
    work(config, workdir)
  return 0


def _workdir_of(command, config):
  """The folder of one run: a level for each setting with several values."""
  parts = []
  for name in command.swept:
    value = getattr(config, name)
    # A bare number says what it is.
    parts.append(f"{name}_{value}" if name == "seed" else str(value))
  return os.path.join(command.workdir, *parts)
