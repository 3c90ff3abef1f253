"""What is measured of a student and kept, on one machine or on a cluster."""

import dataclasses
import os

import numpy as np

from sobolev_tf.export import weights
from trainers.distillation.config import measures
from trainers.teachers import files as teacher_files
from trainers.teachers import scores as game_scores

_GRADIENT_FRAMES = 200  # the gradients of more would need much memory


def evaluate(config, learner, examples):
  """Both measures on the held-out frames, by name."""
  values = learner.evaluate(examples.held_out_batches())
  return dict(zip(measures(config), values, strict=True))


def conclude(config, learner, examples, check=lambda: None):
  """Everything that is measured once, at the end of a run.

  `check` is called now and then and may raise, to stop.
  """
  count = min(_GRADIENT_FRAMES, len(examples.held_out))
  spread = np.linspace(0, len(examples.held_out) - 1, count).astype(int)
  frames = examples.frames(examples.held_out[spread])
  return {
    **evaluate(config, learner, examples),
    **learner.compare_gradients(*frames),
    **examples.baselines()._asdict(),
    "num_train": len(examples.train),
    "num_held_out": len(examples.held_out),
    **play_student(config, learner, examples, check),
  }


def play_student(config, learner, examples, check=lambda: None):
  """Plays episodes with the student.

  Args:
    config: settings with the fields of `config.Config`.
    learner: its `DistillationLearner`.
    examples: its `TeacherExamples`.
    check: function that is called at every step and may raise, to stop.

  Returns:
    dict of lists, `score_greedy` and `score_sampled` with one score per
    episode, and the teacher's as `teacher_score_...`; empty if no episodes
    are asked for.

  Raises:
    CommandError: a score is not finite.
  """
  known = examples.card.get("scores", {})
  found = game_scores.play_both_ways(
    learner.student,
    examples.game,
    config.num_score_episodes,
    config.seed,
    check,
  )
  result = {f"score_{way}": scores for way, scores in found.items()}
  for way in found:
    if way in known:
      result[f"teacher_score_{way}"] = known[way]["episodes"]
  return result


def finish_student(this_run, learner, examples):
  """Writes the student as it is exported, watched and played.

  Returns:
    what `conclude` measures of it.
  """
  config = this_run.config
  # The student is what its file holds: the result is that one's.
  weights.round_weights(learner.student)
  result = conclude(config, learner, examples, this_run.raise_if_stopping)
  card = {
    "game": config.game,
    "action_names": list(examples.game.actions),
    "distilled": dataclasses.asdict(config),
    "result": result,
  }
  path = os.path.join(this_run.workdir, "student.npz")
  teacher_files.save_network(path, learner.student, card)
  return result


def describe(config, result):
  """A finished run in a line."""
  error, kl = (result[name] for name in measures(config))
  return (
    f"{config.game} {config.percentage:g} % {config.method} seed "
    f"{config.seed}: action prediction error {error:.2%}, KL {kl:.4f}"
  )
