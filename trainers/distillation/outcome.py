"""What is measured of a student and kept, on one machine or on a cluster."""

import dataclasses
import os

import numpy as np

from sobolev_tf.export import weights
from trainers.distillation.config import measures
from trainers.lifecycle.command_line import CommandError
from trainers.teachers import files as teacher_files
from trainers.teachers import scores as game_scores

_GRADIENT_FRAMES = 200  # the gradients of more would need much memory
# Whether the most probable action is played, or one drawn from the policy.
_WAYS = {"greedy": True, "sampled": False}


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
  result = {}
  known = lessons.card.get("scores", {})
  for way, is_greedy in _WAYS.items() if config.num_score_episodes else ():
    scores = game_scores.play(
      learner.student,
      lessons.game,
      config.num_score_episodes,
      config.seed,
      is_greedy,
      check,
    )
    if not np.all(np.isfinite(scores)):
      raise CommandError(
        f"a {way} score of {config.game} is not finite; the emulator or its "
        "ROM is damaged: install ale-py anew."
      )
    result[f"score_{way}"] = [float(score) for score in scores]
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
