"""Reading what distillation runs left behind."""

import csv
import glob
import json
import os
import typing

import numpy as np

from trainers.distillation.config import METHODS, Config
from trainers.lifecycle.command_line import CommandError

# The games of Figure 4 in its order; others follow by name.
_GAMES = ("pong", "breakout", "space_invaders")
# Settings that make a row of its own when they are not the paper's.
_VARIANTS = ("kl", "norm", "rows", "unit_norm", "num_projections")
# Settings that all runs of a table must agree in.
_COMMON = ("num_steps", "batch_size")


class Trained(typing.NamedTuple):
  """A run: its folder, its `Config`, its result (None while unfinished)."""

  folder: str
  config: Config
  result: dict | None


def variant(config):
  """A method's name with the settings in which it is not the paper's."""
  changes = [
    f"{name}={getattr(config, name)}"
    for name in _VARIANTS
    if getattr(config, name) != getattr(Config, name)
  ]
  return " ".join([config.method, *changes])


def trained_percentage(config):
  """Per cent of the frames without the validation slice."""
  return round(config.percentage * (1 - config.validation_share), 9)


def read_runs(workdir, is_search):
  """Finds the runs below a folder.

  Args:
    workdir: folder to look in.
    is_search: whether runs that were measured on a validation slice are
      wanted, or those that were measured on test episodes.

  Returns:
    dict from (game, percentage, method) to a list of `Trained`, sorted by
    seed. A search has more than one per seed.

  Raises:
    CommandError: none is finished, or runs do not belong in one table.
  """
  pattern = os.path.join(workdir, "**", "config.json")
  found = [
    _read_run(os.path.dirname(path))
    for path in sorted(glob.glob(pattern, recursive=True))
  ]
  found = [r for r in found if bool(r.config.validation_share) == is_search]
  if not any(run.result for run in found):
    raise CommandError(
      f"there is no finished {'search ' if is_search else ''}run below "
      f"{workdir}; train one first."
    )
  for name in _COMMON:
    given = sorted({getattr(run.config, name) for run in found})
    if len(given) > 1:
      raise CommandError(
        f"the runs below {workdir} differ in {name} ({given[0]} and "
        f"{given[-1]}); give a --workdir that holds one kind."
      )
  runs = {}
  for run in sorted(found, key=_order):
    key = (run.config.game, run.config.percentage, variant(run.config))
    runs.setdefault(key, []).append(run)
  if not is_search:
    for group in runs.values():
      _check_seeds(group)
  return runs


def _order(run):
  config = run.config
  place = _GAMES.index(config.game) if config.game in _GAMES else len(_GAMES)
  return (
    place,
    config.game,
    trained_percentage(config),
    METHODS.index(config.method),
    variant(config),
    config.seed,
  )


def _check_seeds(group):
  for one, other in zip(group[:-1], group[1:], strict=True):
    if one.config.seed == other.config.seed:
      raise CommandError(
        f"{one.folder} and {other.folder} are the same experiment; give a "
        "--workdir that holds one of them."
      )


def _read_run(folder):
  with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
    config = Config(**json.load(file))
  path, result = os.path.join(folder, "finished.json"), None
  if os.path.exists(path):
    with open(path, encoding="utf-8") as file:
      result = json.load(file)
  return Trained(folder, config, result)


def curve(group, column):
  """One column of metrics.csv over the finished runs of a method.

  Returns:
    (steps `[T]`, values `[seeds, T]`), or None if none is finished.
  """
  steps, curves = None, []
  for run in group:
    if run.result is None:
      continue
    path = os.path.join(run.folder, "metrics.csv")
    with open(path, encoding="utf-8", newline="") as file:
      rows = list(csv.DictReader(file))
    steps = [int(row["step"]) for row in rows]
    curves.append([float(row[column]) for row in rows])
  return (steps, np.array(curves)) if curves else None


def scores(group, way):
  """Scores of all episodes that a method's students played, and the teacher's.

  Args:
    group: runs of a method.
    way: "greedy" or "sampled".

  Returns:
    Two lists, empty where nothing was played.
  """
  student, teacher = [], []
  for run in group:
    result = run.result or {}
    student += result.get(f"score_{way}", [])
    teacher = result.get(f"teacher_score_{way}", teacher)
  return student, teacher
