"""What is measured of a student and kept, on one machine or on a cluster."""

import dataclasses
import os

import numpy as np

from sobolev_tf.export import weights
from trainers.distillation.config import measures
from trainers.teachers import files as teacher_files
from trainers.teachers import scores as game_scores

_GRADIENT_FRAMES = 200  # the gradients of more would need much memory


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
    **play_student(config, learner, lessons, check),
  }


def play_student(config, learner, lessons, check=lambda: None):
  """Plays episodes with the student.

  Args:
    config: settings with the fields of `config.Config`.
    learner: its `Learner`.
    lessons: its `Lessons`.
    check: function that is called at every step and may raise, to stop.

  Returns:
    dict of lists, `score_greedy` and `score_sampled` with one score per
    episode, and the teacher's as `teacher_score_...`; empty if no episodes
    are asked for.

  Raises:
    CommandError: a score is not finite.
  """
  known = lessons.card.get("scores", {})
  found = game_scores.play_both_ways(
    learner.student,
    lessons.game,
    config.num_score_episodes,
    config.seed,
    check,
  )
  result = {f"score_{way}": scores for way, scores in found.items()}
  for way in found:
    if way in known:
      result[f"teacher_score_{way}"] = known[way]["episodes"]
  return result


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


def describe(config, result):
  """A finished run in a line."""
  error, kl = (result[name] for name in measures(config))
  return (
    f"{config.game} {config.percentage:g} % {config.method} seed "
    f"{config.seed}: action prediction error {error:.2%}, KL {kl:.4f}"
  )
