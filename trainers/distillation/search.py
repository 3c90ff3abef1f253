"""Choosing the settings of each method on the validation slice.

Every method gets as many trials, on frames of the training episodes
(`trial_plan`). For each game, method and percentage of frames that was trained
on, the settings with the lowest KL on the validation slice are taken, of the
trials that were as long as the final runs; those with the lowest error are
marked as well. A final run takes those of the nearest percentage: little data
needs other weights than much. No test episode takes part, as long as
--percentage of the search is at most --reserved_percentage.
"""

import dataclasses
import math

import numpy as np

from trainers.distillation.config import trained_percentage, variant
from trainers.lifecycle import tables
from trainers.lifecycle.command_line import CommandError

SETTINGS = ("alpha", "learning_rate", "noise", "weight_decay")
TRIAL = ("num_steps", *SETTINGS)
MEASURES = ("validation_error", "validation_kl")
KEYS = ("game", "method", "percentage")
# What is chosen by: the measure's place, and its column in search.csv.
CRITERIA = {"kl": (1, "chosen"), "error": (0, "chosen_by_error")}
# What matters besides the learning rate.
WEIGHTS = {"regular": "weight_decay", "sobolev": "alpha", "noise": "noise"}
# A control that is not searched by itself takes what was chosen for another.
_BORROWED = {"attention": "sobolev"}


def trials(runs):
  """Measures of each trial, means over seeds.

  A trial with an unfinished run, whose loss was not finite, has none.

  Args:
    runs: a list of `finished.Run`.

  Returns:
    dict from (game, method, percentage of the frames without the validation
    slice) to a dict from the values of `TRIAL` to the values of `MEASURES`, or
    None.
  """
  groups = {}
  for run in runs:
    config = run.config
    settings = tuple(getattr(config, name) for name in TRIAL)
    key = (config.game, variant(config), trained_percentage(config))
    found = groups.setdefault(key, {})
    found.setdefault(settings, []).append(run.result)
  return {
    key: {
      settings: _mean(results) for settings, results in sorted(found.items())
    }
    for key, found in groups.items()
  }


def _mean(results):
  if not all(results):
    return None
  means = [float(np.mean([r[name] for r in results])) for name in MEASURES]
  return tuple(means) if np.all(np.isfinite(means)) else None


def choose(found, criterion="kl"):
  """The trial with the lowest measure, of those as long as the final runs.

  Args:
    found: dict from the values of `TRIAL` to measures, as in `trials`.
    criterion: one of `CRITERIA`.

  Raises:
    CommandError: no such trial is finished.
  """
  longest = max(number for number, *_ in found)
  finished = {t: m for t, m in found.items() if m and t[0] == longest}
  if not finished:
    raise CommandError(
      "no trial of a method ended with finite weights; search lower learning "
      "rates."
    )
  place, _ = CRITERIA[criterion]
  return min(finished, key=lambda trial: finished[trial][place])


def matters(name, method):
  """Whether a method, named as `variant` does, asks for one of `SETTINGS`."""
  base = method.split()[0]
  return name in ("learning_rate", WEIGHTS.get(_BORROWED.get(base, base)))


def at_an_edge(chosen, found):
  """Names of the chosen settings that lie at an end of what was tried.

  Zero is the natural end of a setting and no edge.

  Args:
    chosen: dict of settings.
    found: list of dicts of settings, of all trials.
  """
  names = []
  for name, value in chosen.items():
    tried = {settings[name] for settings in found}
    is_least = value == min(tried) and value > 0
    if len(tried) > 1 and (is_least or value == max(tried)):
      names.append(name)
  return names


def write_csv(path, found):
  """Writes one row per trial and marks the chosen ones.

  Args:
    path: file to write.
    found: as `trials` returns it.
  """
  rows = []
  for key, measured in found.items():
    best = {c: choose(measured, c) for c in CRITERIA}
    for trial, measures in measured.items():
      numbers = dict(zip(MEASURES, measures or (), strict=bool(measures)))
      row = dict(zip((*KEYS, *TRIAL), (*key, *trial), strict=True))
      row |= tables.numbers_of(numbers, MEASURES)
      for criterion, (_, column) in CRITERIA.items():
        row[column] = "yes" if trial == best[criterion] else "no"
      rows.append(row)
  tables.write_csv(path, rows)


def read_choice(path, criterion="kl"):
  """Reads what `write_csv` wrote.

  Args:
    path: of the file.
    criterion: one of `CRITERIA`.

  Returns:
    dict from the keys of `trials` to the chosen settings, a dict.

  Raises:
    CommandError: the file is missing or was not written by a search.
  """
  _, column = CRITERIA[criterion]
  try:
    return {
      (row["game"], row["method"], float(row["percentage"])): settings_of(row)
      for row in tables.read_csv(path, *KEYS, *TRIAL, column)
      if row[column] == "yes"
    }
  except (CommandError, ValueError) as error:
    raise CommandError(
      f"{path} is not the search.csv of a search ({error}); make one with "
      "trainers.distillation.search_report."
    ) from error


def settings_of(row):
  """The settings in a row of search.csv, numbers by name."""
  return {name: float(row[name]) for name in SETTINGS}


def apply_choice(config, chosen):
  """Gives a run what was chosen for its game, method and percentage.

  Of the percentages that were searched the nearest counts, by their ratio.

  Args:
    config: a `config.Config`.
    chosen: as `read_choice` returns it.

  Raises:
    CommandError: nothing was chosen for the game and the method.
  """
  method = _BORROWED.get(config.method, config.method)
  percentages = [p for g, m, p in chosen if (g, m) == (config.game, method)]
  if not percentages:
    raise CommandError(
      f"the search holds no trial of {method} on {config.game}; search it "
      "first, or give its settings without --search."
    )
  nearest = min(percentages, key=lambda p: abs(math.log(p / config.percentage)))
  return dataclasses.replace(config, **chosen[config.game, method, nearest])
