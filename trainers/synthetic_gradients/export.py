"""The classifier of a finished run of Table 1."""

import dataclasses
import os

import tensorflow as tf

import sobolev_tf
from trainers.lifecycle import checkpoints, finished
from trainers.lifecycle.command_line import CommandError
from trainers.synthetic_gradients.config import build_data
from trainers.synthetic_gradients.learner import SyntheticGradientLearner
from trainers.synthetic_gradients.report import REPORT


def export_run(folder, output, seed=None):
  """Writes the network without its estimators; see `trainers.export`."""
  if seed is not None:
    raise CommandError("a run of Table 1 has one network; leave --seed out.")
  runs, damages = finished.find_runs(folder, REPORT.kind, REPORT.numbers)
  if len(runs) != 1 or damages:
    raise CommandError(
      damages[0] if damages else f"{folder} holds {len(runs)} runs; give one."
    )
  (run,) = runs
  data = build_data(run.config)
  learner = SyntheticGradientLearner(
    run.config, tf.distribute.get_strategy(), data.image_shape, data.num_classes
  )
  at = os.path.join(folder, "checkpoints")
  if not checkpoints.restore(learner.trackables(), at):
    raise CommandError(f"{folder} has no checkpoint left to export.")
  sobolev_tf.export(
    learner.network,
    output,
    input_shape=data.image_shape,
    card={
      "data": run.config.dataset,
      "settings": dataclasses.asdict(run.config),
      "results": run.result,
      "intended_use": "a comparison of ways to train it (Table 1)",
      "limits": "x are pictures as data.pictures normalises them; y are logits",
    },
  )
