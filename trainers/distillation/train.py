r"""Distils an Atari policy into a smaller network (paper §4.2, Figure 4).

    python -m trainers.distillation --preset=desk --game=pong \
        --method=sobolev --percentage=1 --seed=0 --workdir=DIR

`trainers.teachers` makes the teacher, `trainers.teachers.record` its recording.
"""

import os

import numpy as np
import tensorflow as tf

from trainers.distillation.config import PRESETS, Config, columns
from trainers.distillation.examples import TeacherExamples
from trainers.distillation.jacobians import Cache
from trainers.distillation.learner import DistillationLearner
from trainers.distillation.objective import Objective
from trainers.distillation.outcome import describe, evaluate, finish_student
from trainers.distillation.search import SETTINGS, apply_choice, read_choice
from trainers.lifecycle import command_line, files, loop, run
from trainers.lifecycle.command_line import setting
from trainers.lifecycle.pool import Pool

_STEPS_PER_CHECK = 50  # reading the loss makes the processor wait

# The runs of one process mostly share them.
_jacobians = Cache()
_learners = Pool(most=1)


def build_learner(config, examples):
  """An untrained `DistillationLearner`, which nobody else has."""
  learner = DistillationLearner(*_kind(config, examples))
  learner.reset(config.seed, config.learning_rate, config.weight_decay)
  return learner


def _kind(config, examples):
  """What the compiled steps of a `DistillationLearner` depend on."""
  return Objective.of(config), examples.teacher, examples.game.num_actions


def training_batches(config, examples, first, last):
  """Yields what the learner's `train_step` takes, from the step `first` on.

  Frames are read ahead.
  """

  def read(step):
    rows = examples.training_rows(int(step))
    return rows, *examples.frames(examples.train[rows])

  def load(step):
    rows, frames, logits = tf.numpy_function(
      read, [step], [tf.int64, tf.uint8, tf.float32]
    )
    frames = tf.ensure_shape(frames, [None, 84, 84, 4])
    logits = tf.ensure_shape(logits, [None, examples.game.num_actions])
    return rows, frames, logits

  objective, jacobians = Objective.of(config), None
  if objective.compares_gradients:
    jacobians = _jacobians.get(examples, config.jacobian_gib)
  batches = tf.data.Dataset.range(first, last).map(load).prefetch(2)
  steps = range(first, last)
  for step, (rows, frames, logits) in zip(steps, batches, strict=True):
    seed = tf.constant([config.seed, step])
    if jacobians is None:
      yield frames, logits, seed
    else:
      v = objective.draw_directions(logits, seed)
      gradient = tf.constant(jacobians.project(rows.numpy(), v.numpy()))
      yield frames, logits, seed, (v, gradient)


def train(config, workdir):
  """Runs one configuration, or resumes it.

  Args:
    config: a `Config`.
    workdir: folder of the run.

  Returns:
    dict of the final measures, the baselines and the student's scores.

  Raises:
    CommandError: the folder, the teacher or the recording do not fit.
    run.Stopped: a signal arrived; the state is saved.
    run.NotFinite: the loss was not finite; the state before is saved.
  """
  examples = TeacherExamples(config)
  with run.open_run(workdir, config, columns(config)) as this_run:
    _claim_teacher(this_run, examples.card["sha256"])
    if this_run.finished:
      this_run.say("This run is finished already.")
      return this_run.result
    with _learners.borrow(
      DistillationLearner, *_kind(config, examples)
    ) as learner:
      learner.reset(config.seed, config.learning_rate, config.weight_decay)
      _train(this_run, learner, examples)
      result = finish_student(this_run, learner, examples)
    this_run.finish(result)
    return result


def _train(this_run, learner, examples):
  config, objects = this_run.config, learner.trackables()
  step = this_run.restore(objects)
  batches = training_batches(config, examples, step, config.num_steps)

  def advance(first, last):
    made = []
    for _ in range(first, last):
      logs = learner.train_step(*next(batches))
      made.append(logs["is_made"])
    return first + int(np.sum(made)), logs

  def test(step, logs):
    distance = logs.get("gradient_distance")
    row = {
      "train_loss": float(logs["loss"]),
      "train_kl": float(logs["divergence"]),
      # Regular distillation compares no gradients: its column stays empty.
      "train_gradient_distance": "" if distance is None else float(distance),
    }
    this_run.log(step, {**row, **evaluate(config, learner, examples)})

  loop.train(
    this_run,
    step,
    objects,
    advance,
    test,
    _STEPS_PER_CHECK,
    "Lower --learning_rate or --alpha in another --workdir.",
  )


def _claim_teacher(this_run, sha256):
  """Records which teacher the student has, or compares it with the record."""
  path = os.path.join(this_run.workdir, "teacher.json")
  if not os.path.exists(path):
    files.replace(path, files.as_json({"sha256": sha256}))
    return
  if files.read_json(path).get("sha256") != sha256:
    raise command_line.CommandError(
      f"--workdir {this_run.workdir} holds a student of another teacher; use "
      "the same --teachers to resume it, or another --workdir."
    )


def main(argv):
  """Trains every configuration that the command line names."""
  description = f"search.csv whose choices replace {', '.join(SETTINGS)}"
  extra = {"search": setting("", description)}
  command = command_line.parse(argv, Config, PRESETS, __doc__, extra)
  path = command.arguments["search"]
  if path:
    double = command.given.intersection(SETTINGS)
    if double:
      raise command_line.CommandError(
        f"--{min(double)} and --search are both given, and a search chooses "
        f"{', '.join(SETTINGS)}; leave one of them out."
      )
    chosen = read_choice(path)
    configs = [apply_choice(one, chosen) for one in command.configs]
    command = command._replace(configs=configs)
  return loop.run_all(command, train, describe)
