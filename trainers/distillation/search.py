"""Choosing the weight and the learning rate on the validation slice.

Every method gets as many trials, of the same length as the final runs, on
frames of the training episodes; for each game, method and percentage of frames
that was trained on, the settings with the lowest KL on the validation slice
are taken. A final run takes those of the nearest percentage: little data needs
other weights than much. No test episode takes part, as long as
--percentage of the search is at most --reserved_percentage.
"""

import dataclasses
import math

import numpy as np

from trainers.distillation.config import trained_percentage, variant
from trainers.lifecycle import tables
from trainers.lifecycle.command_line import CommandError

SETTINGS = ("alpha", "learning_rate", "noise")
MEASURES = ("validation_error", "validation_kl")
KEYS = ("game", "method", "percentage")
# What matters besides the learning rate.
_WEIGHT = {"sobolev": "alpha", "noise": "noise"}
# A control that is not searched by itself takes what was chosen for another.
_BORROWED = {"attention": "sobolev"}


def trials(runs):
  """Measures of each trial, means over seeds.

  A trial with an unfinished run, whose loss was not finite, has none.

  Args:
    runs: a list of `finished.Run`.

  Returns:
    dict from (game, method, percentage of the frames without the validation
    slice) to a dict from the values of `SETTINGS` to the values of `MEASURES`,
    or None.
  """
  groups = {}
  for run in runs:
    config = run.config
    settings = tuple(getattr(config, name) for name in SETTINGS)
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


def choose(found):
  """The settings with the lowest validation KL.

  Args:
    found: dict from settings to measures, as in `trials`.

  Raises:
    CommandError: no trial is finished.
  """
  finished = {s: measures for s, measures in found.items() if measures}
  if not finished:
    raise CommandError(
      "no trial of a method ended with finite weights; search lower learning "
      "rates."
    )
  return min(finished, key=lambda settings: finished[settings][1])


def matters(name, method):
  """Whether a method, named as `variant` does, asks for one of `SETTINGS`."""
  base = method.split()[0]
  return name in ("learning_rate", _WEIGHT.get(_BORROWED.get(base, base)))


def at_an_edge(chosen, found):
  """Names of the chosen settings that lie at an end of their grid.

  Args:
    chosen: dict of settings.
    found: dict from settings to measures, as in `trials`.
  """
  names = []
  for place, name in enumerate(SETTINGS):
    tried = {settings[place] for settings in found}
    if len(tried) > 1 and chosen[name] in (min(tried), max(tried)):
      names.append(name)
  return names


def write_csv(path, found):
  """Writes one row per trial and marks the chosen one.

  Args:
    path: file to write.
    found: as `trials` returns it.
  """
  rows = []
  for key, measured in found.items():
    best = choose(measured)
    for settings, measures in measured.items():
      numbers = dict(zip(MEASURES, measures or (), strict=bool(measures)))
      row = dict(zip((*KEYS, *SETTINGS), (*key, *settings), strict=True))
      row |= tables.numbers_of(numbers, MEASURES)
      rows.append({**row, "chosen": "yes" if settings == best else "no"})
  tables.write_csv(path, rows)


def read_choice(path):
  """Reads what `write_csv` wrote.

  Returns:
    dict from the keys of `trials` to the chosen settings, a dict.

  Raises:
    CommandError: the file is missing or was not written by a search.
  """
  try:
    return {
      (row["game"], row["method"], float(row["percentage"])): {
        name: float(row[name]) for name in SETTINGS
      }
      for row in tables.read_csv(path, *KEYS, *SETTINGS, "chosen")
      if row["chosen"] == "yes"
    }
  except (CommandError, ValueError) as error:
    raise CommandError(
      f"{path} is not the search.csv of a search ({error}); make one with "
      "trainers.distillation.search_report."
    ) from error


def apply_choice(config, chosen):
  """Gives a run what was chosen for its game, method and percentage.

  Of the percentages that were searched the nearest counts, by their ratio.

  Args:
    config: a `distillation_config.Config`.
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
