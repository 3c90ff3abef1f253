"""Exports what a finished run trained: a SavedModel with its derivatives.

    python -m trainers.export --run=DIR --output=DIR

What it writes needs none of this code, see `sobolev_tf.export`; the card
beside it holds the run's settings and results.
"""

import json
import os
import sys

from trainers.distillation import export as distillation
from trainers.lifecycle import command_line, files
from trainers.lifecycle.command_line import CommandError, setting
from trainers.regression import export as regression
from trainers.synthetic_gradients import export as synthetic_gradients

_FLAGS = {
  "run": setting(
    "",
    "folder of a finished run of trainers.regression, trainers.distillation or "
    "trainers.synthetic_gradients: the one that holds config.json",
  ),
  "output": setting("", "folder of the SavedModel, new or empty"),
  "seed": setting(
    -1,
    "which of the networks that a regression run trained side by side; -1 is "
    "the first",
    minimum=-1,
  ),
}
# By a setting that no other experiment has.
EXPERIMENTS = {
  "function": regression,
  "percentage": distillation,
  "num_modules": synthetic_gradients,
}


def export_run(run, output, seed=None):
  """Writes the SavedModel of a run; all of it or nothing.

  Args:
    run: folder of a finished run.
    output: folder to be made.
    seed: of the network, where the run has several; None means the first.

  Raises:
    CommandError: the run is none of ours, damaged or not finished, it has no
      such seed, or the output cannot be written.
  """
  experiment = _experiment_of(run)
  try:
    experiment.export_run(run, output, seed)
  except ValueError as error:
    raise CommandError(str(error)) from error


def _experiment_of(run):
  path = os.path.join(run, "config.json")
  try:
    with open(path, encoding="utf-8", opener=files.regular) as file:
      settings = json.load(file)
  except (OSError, ValueError, RecursionError) as error:
    raise CommandError(
      f"{run} is no folder of a run: config.json cannot be read; give --run "
      "the --workdir of one."
    ) from error
  for name, experiment in EXPERIMENTS.items():
    if isinstance(settings, dict) and name in settings:
      return experiment
  raise CommandError(
    f"{run} is a run of which nothing can be exported; regression, "
    "distillation and synthetic_gradients have networks to export."
  )


def main(argv):
  """Exports what the command line names; returns the exit code."""
  given = command_line.read_flags(argv, _FLAGS, __doc__)
  if not (given["run"] and given["output"]):
    raise CommandError("give --run=DIR and --output=DIR.")
  seed = given["seed"] if given["seed"] >= 0 else None
  export_run(given["run"], given["output"], seed)
  print(f"Written to {given['output']}.", file=sys.stderr)
  return 0


if __name__ == "__main__":
  command_line.run_main(main)
