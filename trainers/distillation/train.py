r"""Distils an Atari policy into a smaller network (paper §4.2, Figure 4).

    python -m trainers.distillation --preset=desk --game=pong \
        --method=sobolev --percentage=1 --seed=0 --workdir=DIR

`trainers.teachers` makes the teacher, `trainers.teachers.record` its recording.
"""

import dataclasses
import functools
import json
import os

import numpy as np
import tensorflow as tf

from sobolev_tf.export import weights
from trainers.distillation import scores
from trainers.distillation import search as distillation_search
from trainers.distillation.config import PRESETS, Config, columns, measures
from trainers.distillation.jacobians import Cache
from trainers.distillation.learner import Learner
from trainers.distillation.lessons import Lessons
from trainers.distillation.objective import Objective
from trainers.lifecycle import command_line, loop, run
from trainers.teachers import files as teacher_files

_STEPS_PER_CHECK = 50  # reading the loss makes the processor wait
_GRADIENT_FRAMES = 200  # the gradients of more would need much memory

_jacobians = Cache()  # the runs of one process mostly share them


@functools.lru_cache(maxsize=1)
def _learner(*settings):
  # One learner per kind of step: a sweep compiles each only once.
  return Learner(*settings)


def build_learner(config, lessons):
  """An untrained `Learner`; it reuses the last one of the same kind."""
  learner = _learner(
    Objective.of(config), lessons.teacher, lessons.game.num_actions
  )
  learner.reset(config.seed, config.learning_rate)
  return learner


def training_batches(config, lessons, first, last):
  """Yields what `Learner.train_step` takes, from the step `first` on.

  Frames are read ahead.
  """

  def read(step):
    indices = lessons.training_indices(int(step))
    return indices, *lessons.frames(indices)

  def load(step):
    indices, frames, logits = tf.numpy_function(
      read, [step], [tf.int64, tf.uint8, tf.float32]
    )
    frames = tf.ensure_shape(frames, [None, 84, 84, 4])
    logits = tf.ensure_shape(logits, [None, lessons.game.num_actions])
    return indices, frames, logits

  objective, jacobians = Objective.of(config), None
  if objective.compares_gradients:
    jacobians = _jacobians.get(lessons, config.jacobian_gib)
  batches = tf.data.Dataset.range(first, last).map(load).prefetch(2)
  steps = range(first, last)
  for step, (indices, *batch) in zip(steps, batches, strict=True):
    batch.append(tf.constant([config.seed, step]))
    if jacobians is not None:
      _, logits, seed = batch
      v = objective.directions(logits, seed)
      batch.append(tf.constant(jacobians.project(indices.numpy(), v)))
    yield batch


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
  lessons = Lessons(config)
  with run.open_run(workdir, config, columns(config)) as this_run:
    _claim_teacher(this_run, lessons.card["sha256"])
    if this_run.finished:
      this_run.say("This run is finished already.")
      return this_run.result
    learner = build_learner(config, lessons)
    objects = learner.trackables()
    step = this_run.restore(objects)
    if step == 0:
      this_run.save(objects, 0)  # for a loss that is not finite early on
    batches = training_batches(config, lessons, step, config.num_steps)
    with this_run.progress(config.num_steps, step) as progress:
      while step < config.num_steps:
        step, logs = _advance(this_run, learner, lessons, batches, step)
        progress.advance_to(step)
        if loop.is_due(step, config.evaluate_every, config.num_steps):
          this_run.log(step, {**logs, **evaluate(config, learner, lessons)})
        if loop.is_due(step, config.checkpoint_every, config.num_steps):
          this_run.save(objects, step)
        this_run.check_stop(objects, step)
    result = finish_student(this_run, learner, lessons)
    this_run.finish(result)
    return result


def _claim_teacher(this_run, sha256):
  """Notes whose student this is, or compares that with an old note."""
  path = os.path.join(this_run.workdir, "teacher.json")
  if not os.path.exists(path):
    with open(path, "w", encoding="utf-8") as file:
      json.dump({"sha256": sha256}, file)
    return
  with open(path, encoding="utf-8") as file:
    known = json.load(file)["sha256"]
  if known != sha256:
    raise command_line.CommandError(
      f"--workdir {this_run.workdir} holds a student of another teacher; use "
      "the same --teachers to resume it, or another --workdir."
    )


def _advance(this_run, learner, lessons, batches, first):
  """Trains up to the next step at which something else has to happen.

  Returns:
    that step, and the numbers of its update as metrics.csv names them.
  """
  config = this_run.config
  last = loop.next_stop(
    first,
    _STEPS_PER_CHECK,
    config.num_steps,
    config.evaluate_every,
    config.checkpoint_every,
  )
  losses = []
  for _ in range(first, last):
    logs = learner.train_step(*next(batches))
    losses.append(logs["loss"])
  is_bad = np.logical_not(np.isfinite(np.array(losses)))
  if is_bad.any():
    _retreat(this_run, learner, lessons, first + int(is_bad.argmax()))
  distance = logs.get("gradient_distance")
  return last, {
    "train_loss": float(logs["loss"]),
    "train_kl": float(logs["divergence"]),
    # Regular distillation compares no gradients: its column stays empty.
    "train_gradient_distance": "" if distance is None else float(distance),
  }


def _retreat(this_run, learner, lessons, bad):
  def train_steps(first, last):
    for batch in training_batches(this_run.config, lessons, first, last):
      learner.train_step(*batch)

  loop.retreat(
    this_run,
    learner.trackables(),
    learner.variables,
    train_steps,
    bad,
    "Lower --learning_rate or --alpha in another --workdir.",
  )


def evaluate(config, learner, lessons):
  """Both measures on the held-out frames, by name."""
  values = learner.evaluate(lessons.held_out_batches())
  return dict(zip(measures(config), values, strict=True))


def conclude(config, learner, lessons, check=lambda: None):
  """Everything that is measured once, at the end of a run.

  `check` is called now and then and may raise, to stop.
  """
  count = min(_GRADIENT_FRAMES, len(lessons.held_out))
  spread = np.linspace(0, len(lessons.held_out) - 1, count).astype(int)
  frames = lessons.frames(lessons.held_out[spread])
  return {
    **evaluate(config, learner, lessons),
    **learner.compare_gradients(*frames),
    **lessons.baselines()._asdict(),
    "num_train": len(lessons.train),
    "num_held_out": len(lessons.held_out),
    **scores.play_student(config, learner, lessons, check),
  }


def finish_student(this_run, learner, lessons):
  """Writes the student as it is exported, watched and played.

  Returns:
    what `conclude` measures of it.
  """
  config = this_run.config
  # The student is what its file holds: the result is that one's.
  weights.round_weights(learner.student)
  result = conclude(config, learner, lessons, this_run.raise_if_stopping)
  card = {
    "game": config.game,
    "action_names": list(lessons.game.actions),
    "distilled": dataclasses.asdict(config),
    "result": result,
  }
  path = os.path.join(this_run.workdir, "student.npz")
  teacher_files.save_network(path, learner.student, card)
  return result


def main(argv):
  """Trains every configuration that the command line names."""
  command = command_line.parse(
    argv,
    Config,
    PRESETS,
    __doc__,
    {
      "search": (
        "",
        "search.csv whose choices replace alpha, learning_rate and noise",
      )
    },
  )
  if command.arguments["search"]:
    chosen = distillation_search.read_choice(command.arguments["search"])
    configs = [
      distillation_search.apply_choice(c, chosen) for c in command.configs
    ]
    command = command._replace(configs=configs)
  return loop.run_all(command, train, describe)


def describe(config, result):
  """A finished run in a line."""
  error, kl = (result[name] for name in measures(config))
  return (
    f"{config.game} {config.percentage:g} % {config.method} seed "
    f"{config.seed}: action prediction error {error:.2%}, KL {kl:.4f}"
  )
