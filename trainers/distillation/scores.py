"""How well a student plays, beside its teacher."""

import numpy as np

from trainers.lifecycle.command_line import CommandError
from trainers.teachers import scores as game_scores

# Whether the most probable action is played, or one drawn from the policy.
WAYS = {"greedy": True, "sampled": False}


def play_student(config, learner, lessons, check=lambda: None):
  """Plays episodes with the student.

  Args:
    config: settings with the fields of `distillation_config.Config`.
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
  for way, is_greedy in WAYS.items() if config.num_score_episodes else ():
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
