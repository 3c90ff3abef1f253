r"""Teachers to ship, and how they learnt, from actor-critic runs.

    python -m trainers.teachers.report --workdir=runs/teachers \
        --output=results/teachers

Takes every finished run below --workdir and writes GAME.npz with its card
GAME.json, table.md and curves.png; names those that it leaves out. The weights
are rounded to the half precision of the file before they are scored, so that
the card's scores are those of the file. What is there already and has not
changed is not played again.
"""

import csv
import dataclasses
import glob
import json
import os
import sys
import typing

import numpy as np

from data import atari
from sobolev_tf.export import weights
from trainers.lifecycle import checkpoints, command_line
from trainers.lifecycle.command_line import CommandError
from trainers.teachers import figures
from trainers.teachers import files as teacher_files
from trainers.teachers.actor_critic import ActorCritic
from trainers.teachers.scores import play
from trainers.teachers.train import PRESETS, Config

# Mean score in training of a synchronous advantage actor-critic (6 runs, 16
# environments, learning rate annealed over 10 million steps), by million steps.
REFERENCE_STEPS = (1, 2, 5, 8, 10)
REFERENCE = {
  "pong": (-20.0, -16.0, 14.0, 18.0, 18.5),
  "breakout": (3.0, 19.0, 114.0, 222.0, 275.0),
  "space_invaders": (210.0, 256.0, 595.0, 676.0, 688.0),
}
_MILLION = 1_000_000
# A score in training is the mean over this many million steps before a point.
_WINDOW = 0.1
_WAYS = {"sampled": False, "greedy": True}


class Teacher(typing.NamedTuple):
  """A run's teacher: its `Config`, its card, and its curve.

  Attributes:
    config: settings of the run.
    card: what stands beside the weights.
    steps: float array `[T]`, in millions.
    scores: float array `[T]`, mean score of the games that ended there.
  """

  config: Config
  card: dict
  steps: np.ndarray
  scores: np.ndarray


def write(workdir, output):
  """Writes everything; returns the table.

  Raises:
    CommandError: there is no checkpoint, or two runs play the same game.
  """
  folders = _find_runs(workdir)
  _make_folder(output)
  found = [
    Teacher(config, ship(folder, config, output), *_read_curve(folder))
    for folder, config in folders.items()
  ]
  table = _table(found)
  with open(os.path.join(output, "table.md"), "w", encoding="utf-8") as file:
    file.write(table)
  figures.save_curves(
    os.path.join(output, "curves.png"),
    {one.config.game: _panel(one) for one in found},
  )
  return table


def _make_folder(output):
  try:
    os.makedirs(output, exist_ok=True)
  except OSError as error:
    raise CommandError(
      f"--output {output} cannot be written ({error.strerror}); name another "
      "folder."
    ) from error


def _find_runs(workdir):
  """The finished runs: dict from folder to `Config`."""
  found = {}
  pattern = os.path.join(workdir, "**", "config.json")
  for path in sorted(glob.glob(pattern, recursive=True)):
    folder = os.path.dirname(path)
    config = _read_config(path)
    if not os.path.exists(os.path.join(folder, "finished.json")):
      _say(f"{folder} is not finished and left out; train it to its end.")
      continue
    for other, known in found.items():
      if known.game == config.game:
        raise CommandError(
          f"{folder} and {other} both play {config.game}; give a --workdir "
          "that holds one of them."
        )
    found[folder] = config
  if not found:
    raise CommandError(
      f"there is no finished run below {workdir}; train a teacher first, with "
      "python -m trainers.teachers."
    )
  return found


def _read_config(path):
  try:
    with open(path, encoding="utf-8") as file:
      return Config(**json.load(file))
  except (ValueError, TypeError) as error:
    raise CommandError(
      f"{path} does not hold the settings of a teacher's run ({error}); give "
      "a --workdir with such runs alone."
    ) from error


def ship(folder, config, output):
  """Writes GAME.npz and GAME.json of a run, if they are not there already.

  Args:
    folder: the run.
    config: its settings.
    output: where the files go.

  Returns:
    The card.

  Raises:
    CommandError: a file cannot be written, or a score is not finite.
  """
  game = atari.get_game(config.game)
  learner = ActorCritic(config, game.num_actions)
  step = checkpoints.restore(
    learner.trackables(), os.path.join(folder, "checkpoints"), _say
  )
  if step < config.num_steps:
    raise CommandError(
      f"{folder} is finished, but its checkpoint of the last step is damaged "
      f"(the newest whole one is of step {step:,}); train it anew."
    )
  weights.round_weights(learner.network)
  card = {
    "game": game.name,
    "action_names": list(game.actions),
    "steps": step,
    "seed": config.seed,
    "command": command_of(config),
  }
  path = os.path.join(output, f"{game.name}.npz")
  known = _read_known(path, learner.network)
  if known is not None and all(known.get(key) == card[key] for key in card):
    return known
  _say(f"Playing {config.num_score_games} games of {game.name} each way ...")
  card["scores"] = scores_of(learner.network, game, config)
  teacher_files.save_teacher(path, learner.network, card)
  return weights.load_card(path)


def _read_known(path, network):
  """The card in `path` if the file holds these very weights."""
  if not os.path.exists(path):
    return None
  try:
    there, card = teacher_files.load_teacher(path, None)
  except CommandError:
    return None
  same = all(
    np.array_equal(a, b)
    for a, b in zip(there.variables, network.variables, strict=True)
  )
  return card if same else None


def scores_of(network, game, config):
  """Scores over whole games, "sampled" and "greedy", as a card holds them."""
  result = {}
  for way, is_greedy in _WAYS.items() if config.num_score_games else ():
    scores = play(
      network, game, config.num_score_games, config.seed, is_greedy=is_greedy
    )
    if not np.isfinite(scores).all():
      raise CommandError(
        f"a {way} score of {game.name} is not finite; the emulator or its ROM "
        "is damaged: install ale-py anew."
      )
    result[way] = {
      "mean": float(np.mean(scores)),
      "std": float(np.std(scores)),
      "episodes": [float(score) for score in scores],
    }
  return result


def command_of(config):
  """The command line of a run, from the preset that needs fewest flags."""
  commands = []
  for name, preset in PRESETS.items():
    changed = [
      f"--{field.name}={getattr(config, field.name)}"
      for field in dataclasses.fields(Config)
      if field.name == "game"
      or getattr(config, field.name) != getattr(preset, field.name)
    ]
    commands.append([f"--preset={name}", *changed])
  flags = " ".join(min(commands, key=len))
  return f"python -m trainers.teachers {flags} --workdir=DIR"


def _read_curve(folder):
  """Steps in millions and scores of a run's rows in which a game ended."""
  path = os.path.join(folder, "metrics.csv")
  with open(path, encoding="utf-8", newline="") as file:
    text = file.read()
  # A run in progress may be writing its last row.
  rows = csv.DictReader(text[: text.rfind("\n") + 1].splitlines())
  points = [
    (int(row["step"]) / _MILLION, float(row["score"]))
    for row in rows
    if row["score"]
  ]
  steps, scores = np.array(points).reshape(-1, 2).T
  return steps, scores


def score_at(teacher, step):
  """Mean score in training just before `step` (in millions); NaN if unknown."""
  inside = (teacher.steps > step - _WINDOW) & (teacher.steps <= step + 1e-9)
  return float(np.mean(teacher.scores[inside])) if inside.any() else np.nan


def _table(found):
  """The table, in Markdown."""
  last = max(one.card["steps"] for one in found) / _MILLION
  milestones = [step for step in REFERENCE_STEPS if step <= last]
  columns = (
    "game",
    "steps",
    *(f"at {step}M (reference)" for step in milestones),
    "at the end (reference)",
    "sampled",
    "greedy",
  )
  rows = [columns, ["---"] * len(columns)]
  for one in found:
    end = one.card["steps"] / _MILLION
    points = [_beside(one, step) for step in (*milestones, end)]
    ways = [_spread(one.card["scores"].get(way)) for way in _WAYS]
    rows.append((one.config.game, f"{one.card['steps']:,}", *points, *ways))
  lines = [f"| {' | '.join(row)} |" for row in rows]
  return "\n".join([*lines, "", *_NOTES, ""])


_NOTES = (
  "Scores `at` a step are those of the games in training, mean over the",
  "100,000 steps before; in brackets the reference, a synchronous advantage",
  "actor-critic (6 runs, learning rate annealed over 10 million steps instead",
  "of over the steps of ours), interpolated between its points. `sampled` and",
  "`greedy` are mean ± deviation over whole games from random starts, played",
  "by the weights of the file.",
)


def _beside(one, step):
  ours = score_at(one, step)
  text = "-" if np.isnan(ours) else f"{ours:.1f}"
  reference = REFERENCE.get(one.config.game)
  if reference is None or not REFERENCE_STEPS[0] <= step <= REFERENCE_STEPS[-1]:
    return text
  return f"{text} ({np.interp(step, REFERENCE_STEPS, reference):.1f})"


def _spread(scores):
  return f"{scores['mean']:.1f} ± {scores['std']:.1f}" if scores else "-"


def _panel(one):
  reference = REFERENCE.get(one.config.game)
  if reference is not None:
    # As far as our run goes, and one point more.
    end = one.config.num_steps / _MILLION
    count = sum(step < end for step in REFERENCE_STEPS) + 1
    reference = REFERENCE_STEPS[:count], reference[:count]
  return one.steps, one.scores, reference


def _say(sentence):
  print(sentence, file=sys.stderr, flush=True)


def main(argv):
  """Writes the teachers and their report."""
  return command_line.write_report(argv, __doc__, write)


if __name__ == "__main__":
  command_line.run_main(main)
