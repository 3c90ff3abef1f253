r"""Teachers to ship, and how they learnt, from actor-critic runs.

    python -m trainers.teachers.report --workdir=runs/teachers \
        --output=results/teachers
    python -m trainers.teachers.report --redraw --output=results/teachers

The first takes every finished run below --workdir and writes GAME.npz with its
card GAME.json, results.csv, curves.csv, table.md and curves.png; it names the
runs that it leaves out. The weights are rounded to the half precision of the
file before they are scored, so that the card's scores are those of the file.
What is there already and has not changed is not played again. The second makes
table and curves again from the CSV files.
"""

import dataclasses
import os
import sys

import numpy as np

from data import atari
from sobolev_tf.export import weights
from trainers.lifecycle import checkpoints, command_line, finished, tables
from trainers.lifecycle.command_line import CommandError
from trainers.lifecycle.report import Report
from trainers.teachers import figures
from trainers.teachers import files as teacher_files
from trainers.teachers.actor_critic import ActorCritic
from trainers.teachers.scores import WAYS, play_both_ways
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
_PLAYED = [f"{way}_{name}" for way in WAYS for name in ("mean", "std")]
_LEARNT = [*(f"score_at_{step}M" for step in REFERENCE_STEPS), "score_at_end"]


def collect(runs, output):
  """Writes the teachers, results.csv with a row for each, and the curves.

  Returns:
    A sentence for each run whose teacher cannot be shipped.
  """
  for run in runs:
    if not run.result:
      _say(f"{run.folder} is not finished and left out; train it to its end.")
  runs = [run for run in runs if run.result]
  finished.check_distinct(runs, lambda run: run.config.game)
  shipped, rows, damages = [], [], []
  for run in runs:
    try:
      card = ship(run.folder, run.config, output)
    except CommandError as error:
      damages.append(str(error))
      continue
    key = {"game": run.config.game, "seed": run.config.seed}
    rows.append({**key, "steps": card["steps"], **_numbers(run, card)})
    shipped.append((key, run))
  if not shipped:
    raise CommandError(" ".join(damages))
  tables.write_csv(os.path.join(output, "results.csv"), rows)
  path = os.path.join(output, "curves.csv")
  tables.write_curves(path, *zip(*shipped, strict=True), ["score"])
  return damages


def _numbers(run, card):
  """What `_LEARNT` and `_PLAYED` name."""
  steps, scores = run.curve("score")
  points = (*REFERENCE_STEPS, card["steps"] / _MILLION)
  learnt = [score_at(steps / _MILLION, scores, point) for point in points]
  found = dict(zip(_LEARNT, learnt, strict=True))
  for way, played in card["scores"].items():
    found |= {f"{way}_{name}": played[name] for name in ("mean", "std")}
  return tables.numbers_of(found, (*_LEARNT, *_PLAYED))


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
  found = play_both_ways(
    learner.network, game, config.num_score_games, config.seed
  )
  card["scores"] = {
    way: {
      "mean": float(np.mean(scores)),
      "std": float(np.std(scores)),
      "episodes": scores,
    }
    for way, scores in found.items()
  }
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


def score_at(steps, scores, step):
  """Mean score in training just before a step; None if unknown.

  Args:
    steps: `[T]`, in millions.
    scores: `[T]`, of the games that ended there.
    step: in millions.
  """
  inside = (steps > step - _WINDOW) & (steps <= step + 1e-9)
  return float(np.mean(scores[inside])) if inside.any() else None


def render(output):
  """The table, and what is drawn, from the files of a folder."""
  rows = tables.read_csv(
    os.path.join(output, "results.csv"), "game", "steps", *_LEARNT, *_PLAYED
  )
  return make_table(rows), {
    "curves.csv": lambda path: figures.save_curves(
      os.path.join(output, "curves.png"),
      _panels(rows, path),
      *_LEGEND,
    )
  }


def make_table(rows):
  """Renders the rows of results.csv as Markdown."""

  def end(row):
    return int(row["steps"]) / _MILLION

  def played(way):
    def cell(row):
      mean, deviation = row[f"{way}_mean"], row[f"{way}_std"]
      return f"{float(mean):.1f} ± {float(deviation):.1f}" if mean else "-"

    return cell

  cells = {
    "game": lambda row: row["game"],
    "steps": lambda row: f"{int(row['steps']):,}",
    **{
      f"at {step}M (reference)": lambda row, step=step: _beside(
        row["game"], step, row[f"score_at_{step}M"]
      )
      for step in REFERENCE_STEPS
      if step <= max(map(end, rows))
    },
    "at the end (reference)": lambda row: _beside(
      row["game"], end(row), row["score_at_end"]
    ),
    **{way: played(way) for way in WAYS},
  }
  return "\n".join([tables.markdown(rows, cells), *_NOTES, ""])


_LEGEND = (
  "ours: A3C, one run, learning rate annealed to the last step shown",
  "reference: synchronous advantage actor-critic, 16 environments, mean of 6 "
  "runs,\nlearning rate annealed over 10 million steps",
  "Atari 2600; a step is one action, repeated over 4 frames; mean score of the "
  "games that ended.",
)
_NOTES = (
  "Scores `at` a step are those of the games in training, mean over the",
  "100,000 steps before; in brackets the reference, a synchronous advantage",
  "actor-critic (6 runs, learning rate annealed over 10 million steps instead",
  "of over the steps of ours), interpolated between its points. `sampled` and",
  "`greedy` are mean ± deviation over whole games from random starts, played",
  "by the weights of the file.",
)


def _beside(game, step, score):
  text = f"{float(score):.1f}" if score else "-"
  reference = REFERENCE.get(game)
  if reference is None or not REFERENCE_STEPS[0] <= step <= REFERENCE_STEPS[-1]:
    return text
  return f"{text} ({np.interp(step, REFERENCE_STEPS, reference):.1f})"


def _panels(rows, path):
  """dict from a game to (steps in millions, scores, reference or None)."""
  panels, curves = {}, tables.read_curves(path, "score")
  for row in rows:
    game, end = row["game"], int(row["steps"]) / _MILLION
    steps, scores = curves.get((game,), ([], [[]]))
    reference = REFERENCE.get(game)
    if reference is not None:
      # As far as our run goes, and one point further.
      count = sum(step < end for step in REFERENCE_STEPS) + 1
      reference = REFERENCE_STEPS[:count], reference[:count]
    panels[game] = np.array(steps) / _MILLION, scores[0], reference
  return panels


def _say(sentence):
  print(sentence, file=sys.stderr, flush=True)


REPORT = Report(
  __doc__,
  "./scripts/train_teachers.sh",
  lambda fields: Config,
  collect,
  render,
  lambda config: (),
)
main = REPORT.main

if __name__ == "__main__":
  command_line.run_main(main)
