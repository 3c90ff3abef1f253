"""Tables and figures from finished regression runs (Figures 2, 3 and 5-11).

    python -m trainers.regression.report --workdir=DIR --output=results/figure2

Reads every finished run below --workdir; trains nothing.
"""

import csv
import dataclasses
import glob
import json
import os
import typing

import numpy as np

from data import benchmark_functions
from trainers.lifecycle import command_line
from trainers.lifecycle.statistics import (
  compare,
  mean_and_deviation,
  tally,
  verdict,
)
from trainers.regression import figures
from trainers.regression import train as regression

# Figures of the paper and its supplement.
_FIGURES = {
  "ackley": "5",
  "beale": "6",
  "booth": "7",
  "bukin": "8",
  "mccormick": "9",
  "rosenbrock": "10",
  "styblinski_tang": "3_and_11",
}
_MEASURES = ("test_mse", "test_gradient_mse", "test_sobolev_distance")


class Trained(typing.NamedTuple):
  """A finished run: its folder, its `Config` and its result."""

  folder: str
  config: regression.Config
  result: dict


def read_runs(workdir):
  """Finds the finished runs below a folder.

  Returns:
    (runs, varied): dict from (function, num_train, ..., method) to `Trained`,
    and the names of the settings in the key's middle: those, beside function,
    num_train, method and seed, in which the runs differ.

  Raises:
    CommandError: there is none, or two have the same settings.
  """
  found = []
  pattern = os.path.join(workdir, "**", "finished.json")
  for path in sorted(glob.glob(pattern, recursive=True)):
    folder = os.path.dirname(path)
    config = _read_config(os.path.join(folder, "config.json"))
    with open(path, encoding="utf-8") as file:
      found.append(Trained(folder, config, json.load(file)))
  if not found:
    raise command_line.CommandError(
      f"there is no finished run below {workdir}; train one first."
    )
  varied = [
    field.name
    for field in dataclasses.fields(regression.Config)
    if field.name not in ("function", "num_train", "method", "seed")
    and len({getattr(run.config, field.name) for run in found}) > 1
  ]
  names = ("function", "num_train", *varied, "method")
  runs = {}
  for run in found:
    key = tuple(getattr(run.config, name) for name in names)
    if key in runs:
      raise command_line.CommandError(
        f"{run.folder} and {runs[key].folder} are the same experiment; give a "
        "--workdir that holds one of them."
      )
    runs[key] = run
  order = list(benchmark_functions.FUNCTIONS)
  keys = sorted(runs, key=lambda key: (order.index(key[0]), *key[1:]))
  return {key: runs[key] for key in keys}, varied


def _read_config(path):
  with open(path, encoding="utf-8") as file:
    fields = json.load(file)
  return regression.Config(
    **{
      name: tuple(value) if isinstance(value, list) else value
      for name, value in fields.items()
    }
  )


def paper_claim(function, num_train):
  """Which method the paper says is better (§4.1), or None if it is silent."""
  if function != "ackley" or num_train >= 10_000:
    return "sobolev"
  # "regular regression performed better" on Ackley "in the relatively low
  # data regime"; the text does not say whether 100 points still count.
  return "regular" if num_train <= 20 else None


def write_csv(path, runs, varied):
  """Writes one row per trained network."""
  with open(path, "w", encoding="utf-8", newline="") as file:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
      ["function", "num_train", *varied, "method", "seed", *_MEASURES]
    )
    for key, run in runs.items():
      for index, seed in enumerate(run.config.seed):
        numbers = [f"{run.result[name][index]:.6g}" for name in _MEASURES]
        writer.writerow([*key, seed, *numbers])


def make_table(runs, varied):
  """Renders the comparison of the two methods as a Markdown table, counted."""
  columns = [
    "function",
    "points",
    *(name.replace("_", " ") for name in varied),
    "log10 test MSE, regular",
    "log10 test MSE, Sobolev",
    "MSE ratio",
    "gradient MSE ratio",
    "Sobolev distance ratio",
    "verdict",
  ]
  rows = [columns, ["---"] * len(columns)]
  for *settings, method in runs:
    if method != "regular" or (*settings, "sobolev") not in runs:
      continue
    regular = runs[*settings, "regular"].result
    sobolev = runs[*settings, "sobolev"].result
    ratios = [compare(regular[name], sobolev[name]) for name in _MEASURES]
    function, size, *rest = settings
    rows.append(
      [
        function,
        f"{size:,}",
        *map(str, rest),
        _spread(regular),
        _spread(sobolev),
        *(f"{ratio:.3g}" for ratio, _ in ratios),
        verdict(paper_claim(function, size), *ratios[0]),
      ]
    )
  table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
  if len(rows) == 2:
    return table
  return f"{table}\n{tally(row[-1] for row in rows[2:])}\n"


def _spread(result):
  return mean_and_deviation(np.log10(result["test_mse"]), digits=2)


def save_surfaces(output, runs):
  """Draws each function beside its models of the two smallest sizes."""
  functions = list(dict.fromkeys(function for function, _, _ in runs))
  for name in functions:
    function = benchmark_functions.get_function(name)
    grid = figures.Grid.over(function)
    columns = [(name.replace("_", " "), *_label(function, grid))]
    sizes = sorted({size for f, size, _ in runs if f == name})[:2]
    for size in sizes:
      for method in regression.METHODS:
        if (name, size, method) not in runs:
          continue
        run = runs[name, size, method]
        learner, scaling = regression.load_networks(run.folder, run.config)
        values, gradients = regression.predict(learner, scaling, grid.points)
        columns.append((f"{method}, {size} points", values[0], gradients[0]))
    path = os.path.join(output, f"figure{_FIGURES[name]}_{name}.png")
    figures.save_comparison(path, grid, columns)


def _label(function, grid):
  # A grid can hit a kink, where the gradient is not a number; the arrow there
  # is left out.
  value, gradient = benchmark_functions.label(function, grid.points)
  return value, np.nan_to_num(gradient, posinf=0.0, neginf=0.0)


def write_report(workdir, output):
  """Writes results.csv, table.md and the figures; returns the table.

  Runs that differ in more than function, size, method and seed are a search:
  they make a table with a column for each such setting, and no figures.
  """
  runs, varied = read_runs(workdir)
  os.makedirs(output, exist_ok=True)
  write_csv(os.path.join(output, "results.csv"), runs, varied)
  table = make_table(runs, varied)
  with open(os.path.join(output, "table.md"), "w", encoding="utf-8") as file:
    file.write(table)
  if not varied:
    errors = {key: run.result["test_mse"] for key, run in runs.items()}
    figures.save_figure2(os.path.join(output, "figure2.png"), errors)
    save_surfaces(output, runs)
  return table


def main(argv):
  """Writes the report that the command line names."""
  return command_line.write_report(argv, __doc__, write_report)


if __name__ == "__main__":
  command_line.run_main(main)
