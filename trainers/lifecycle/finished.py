"""Runs that trainers left below a folder, read back for a report.

A run may have been damaged since it was written. What is wrong with it is said
in one sentence, and the other runs are read all the same.
"""

import csv
import dataclasses
import glob
import json
import math
import os
import typing

import numpy as np

from trainers.lifecycle import files, sums
from trainers.lifecycle.command_line import CommandError
from trainers.lifecycle.values import parse_value

_REMEDY = "restore it, train the run anew, or give a --workdir without it"


class _Damaged(Exception):
  """What is wrong with a file of a run: "FILE ...", without a full stop."""


class Run(typing.NamedTuple):
  """A run as its folder describes it.

  Attributes:
    folder: path.
    config: the dataclass of its settings.
    result: dict of its final numbers, or None while it is unfinished.
    rows: of metrics.csv, dicts from a column to a number, or to None where the
      row has none; empty while the run is unfinished.
  """

  folder: str
  config: typing.Any
  result: dict | None
  rows: list

  def curve(self, column: str, **where) -> tuple[np.ndarray, np.ndarray]:
    """Steps `[T]` and values `[T]` of one column of metrics.csv.

    Args:
      column: its name; rows without a number there are left out.
      **where: numbers that other columns must have, such as `seed=3` of a run
        that logs several networks side by side.
    """
    points = [
      (row["step"], row[column])
      for row in self.rows
      if row.get(column) is not None
      and all(row[name] == value for name, value in where.items())
    ]
    steps, values = np.array(points, np.float64).reshape(-1, 2).T
    return steps.astype(np.int64), values


def find_runs(workdir, kind, numbers, series=None):
  """Reads every run below a folder.

  Args:
    workdir: folder to look in.
    kind: function from the raw settings, a dict, to the dataclass that holds
      them, or to None for a run that does not belong to the report.
    numbers: function from the settings to the names that the result of a
      finished run must have, each a finite number (or a list of them, one for
      each of the series).
    series: setting that lists what the run trains side by side, such as
      "seed", and the column of metrics.csv that tells them apart; or None.

  Returns:
    (runs, damages): a list of `Run` in the order of their folders, and one
    sentence for each run that cannot be read.

  Raises:
    CommandError: no run is finished.
  """
  runs, damages = [], []
  pattern = os.path.join(glob.escape(str(workdir)), "**", "config.json")
  for path in sorted(glob.glob(pattern, recursive=True)):
    folder = os.path.dirname(path)
    try:
      config_class = kind(fields := _read_object(folder, "config.json"))
      if config_class is not None:
        config = _build(config_class, fields)
        runs.append(_read_run(folder, config, numbers(config), series))
    except _Damaged as damage:
      damages.append(f"{os.path.join(folder, str(damage))}; {_REMEDY}.")
  if not any(run.result for run in runs):
    raise CommandError(
      " ".join(
        [
          f"there is no finished run below {workdir}; train one first.",
          *damages,
        ]
      )
    )
  return runs, damages


def check_distinct(runs, identity):
  """Raises a `CommandError` if two runs have the same `identity(run)`."""
  seen = {}
  for run in runs:
    other = seen.setdefault(identity(run), run)
    if other is not run:
      raise CommandError(
        f"{run.folder} and {other.folder} are the same experiment; give a "
        "--workdir that holds one of them."
      )


def varied_settings(runs, known):
  """Names of the settings beside `known` in which runs differ."""
  return [
    field.name
    for field in dataclasses.fields(runs[0].config)
    if field.name not in known
    and len({getattr(run.config, field.name) for run in runs}) > 1
  ]


def _read_run(folder, config, numbers, series):
  if not os.path.exists(os.path.join(folder, "finished.json")):
    return Run(folder, config, None, [])
  change = sums.find_change(folder)
  result = _read_object(folder, "finished.json")
  keys = getattr(config, series) if series else (None,)
  for name in numbers:
    values = result.get(name) if series else [result.get(name)]
    is_whole = isinstance(values, list) and len(values) == len(keys)
    if not is_whole or not all(map(_is_number, values)):
      raise _Damaged(f"finished.json has no finite {name}")
  rows = _read_metrics(folder)
  if change:  # whoever damages a file less finely is told more above
    raise _Damaged(change)
  for key in keys:
    own = [row for row in rows if not series or row.get(series) == key]
    steps = [row.get("step") or 0 for row in own]
    if sorted({0, *steps}) != [0, *steps] or steps[-1:] < [config.num_steps]:
      raise _Damaged(
        "metrics.csv does not lead step by step to the last one, "
        f"{config.num_steps:,}"
      )
  return Run(folder, config, result, rows)


def _read_object(folder, name):
  try:
    path = os.path.join(folder, name)
    with open(path, encoding="utf-8", opener=files.regular) as file:
      content = json.load(file)
  except (OSError, ValueError, RecursionError) as error:
    reason = str(error).replace("\n", " ")
    raise _Damaged(f"{name} cannot be read ({reason})") from error
  if not isinstance(content, dict):
    raise _Damaged(f"{name} holds no JSON object")
  return content


def _build(config_class, fields):
  """The settings; one that is newer than the run has its default."""
  known = {field.name: field for field in dataclasses.fields(config_class)}
  try:
    values = {}
    for name, value in fields.items():
      items = value if isinstance(value, list) else [value]
      values[name] = parse_value(known[name], ",".join(map(str, items)))
    return config_class(**values)
  except KeyError as error:
    raise _Damaged(f"config.json has an unknown setting, {error}") from error
  except (CommandError, ValueError) as error:
    reason = str(error).rstrip(".")
    raise _Damaged(f"config.json holds no such settings ({reason})") from error


def _is_number(value):
  return type(value) in (int, float) and math.isfinite(value)


def _read_metrics(folder):
  try:
    path = os.path.join(folder, "metrics.csv")
    with open(path, encoding="utf-8", newline="", opener=files.regular) as file:
      text = file.read()
    rows = [
      {name: float(cell) if cell else None for name, cell in row.items()}
      for row in csv.DictReader(text.splitlines())
    ]
  except (OSError, ValueError, TypeError, csv.Error) as error:
    raise _Damaged(f"metrics.csv cannot be read ({error})") from error
  if not text.endswith("\n"):
    raise _Damaged("metrics.csv ends within a row")
  return rows
