"""How well a student plays, beside its teacher."""

from trainers.teachers import scores as game_scores


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
