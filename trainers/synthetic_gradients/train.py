r"""Synthetic gradients in the classification of pictures (§4.3, Table 1).

    python -m trainers.synthetic_gradients --preset=desk --dataset=digits \
        --method=sobolev --num_modules=3 --seed=0 --workdir=DIR

The pictures are cluttered digits, which need no download, CIFAR-10, ImageNet,
or frames of games, which `python -m data.game_frames` makes, in colour or grey.
The presets paper_imagenet, smoke_imagenet and desk_games belong to these two.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from trainers.lifecycle import command_line, loop, run
from trainers.lifecycle.command_line import CommandError
from trainers.synthetic_gradients import replicas
from trainers.synthetic_gradients.config import (
  PRESETS,
  Config,
  build_data,
  columns,
  describe,
)
from trainers.synthetic_gradients.learner import SyntheticGradientLearner

_STEPS_PER_CHECK = 50  # reading the loss makes the processor wait


def train(config, workdir):
  """Runs one configuration, or resumes it.

  Args:
    config: a `Config`.
    workdir: folder of the run.

  Returns:
    dict of the final test accuracies and loss.

  Raises:
    CommandError: the folder, the machine, the data or the network do not fit.
    run.Stopped: a signal arrived; the state is saved.
    run.NotFinite: the loss was not finite; the state before is saved.
  """
  strategy = replicas.build_strategy(config.num_replicas)
  try:
    data = build_data(config)
    learner = SyntheticGradientLearner(
      config, strategy, data.image_shape, data.num_classes
    )
    data.training_batch(0, config.batch_size)
  except ValueError as error:
    raise CommandError(str(error)) from error
  with run.open_run(workdir, config, columns(config)) as this_run:
    if this_run.finished:
      this_run.say("This run is finished already.")
      return this_run.result
    objects = learner.trackables()
    step = this_run.restore(objects)
    batches = data.training_batches(step, config.num_steps, config.batch_size)

    def advance(first, last):
      is_tested = loop.is_due(last, config.evaluate_every, config.num_steps)
      made = []
      for step in range(first, last):
        is_measured = is_tested and step + 1 == last
        logs = learner.train_step(*_next_batch(batches), is_measured)
        made.append(logs.pop("is_made"))
      numbers = {name: float(value) for name, value in logs.items()}
      return first + int(np.sum(made)), numbers

    def test(step, numbers):
      result = learner.evaluate(data.test_batches())
      _log(this_run, learner, data, step, {**numbers, **result})
      return result

    result = loop.train(
      this_run,
      step,
      objects,
      advance,
      test,
      _STEPS_PER_CHECK,
      "Lower --learning_rate in another --workdir.",
    ) or learner.evaluate(data.test_batches())  # resumed after the last step
    _report_skipped(this_run, data)
    this_run.finish(result)
    return result


def _report_skipped(this_run, data):
  if data.skipped:
    names = list(data.skipped)
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    this_run.say(
      f"{len(names)} picture(s) could not be decoded and were skipped: "
      f"{', '.join(names[:5])}{more}."
    )


def _next_batch(batches):
  try:
    return next(batches)
  except ValueError as error:  # hardly any picture is readable
    raise CommandError(str(error)) from error


def _log(this_run, learner, data, step, numbers):
  config = this_run.config
  row = {"train_loss": numbers.pop("loss"), **numbers}
  x, y = data.training_batch(step, config.batch_size)
  row.update(learner.asymmetries(x, y, tf.constant([config.seed, step])))
  # What a method does not have, such as Noprop's value, stays empty.
  this_run.log(step, {**dict.fromkeys(columns(config), ""), **row})


def main(argv):
  """Trains every configuration that the command line names."""
  command = command_line.parse(argv, Config, PRESETS, __doc__)
  # Backpropagation has no modules: one run of it serves all their numbers.
  once = {}
  for config in command.configs:
    is_plain = config.method == "backprop"
    key = dataclasses.replace(config, num_modules=0) if is_plain else config
    once.setdefault(key, config)
  command = command._replace(configs=list(once.values()))
  return loop.run_all(command, train, describe)
