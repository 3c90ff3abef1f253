"""Tables and figures from finished regression runs (Figures 2, 3 and 5-11).

    python -m trainers.regression_report --workdir=DIR --output=results/figure2

Reads every finished run below --workdir; trains nothing.
"""

import csv
import glob
import json
import os
import sys

import numpy as np
from absl import flags

from data import benchmark_functions
from trainers import command_line, regression, regression_figures

# Figures of the paper's supplement; Figure 3 shows the same as Figure 11.
_FIGURES = {
  "ackley": 5,
  "beale": 6,
  "booth": 7,
  "bukin": 8,
  "mccormick": 9,
  "rosenbrock": 10,
  "styblinski_tang": 11,
}
_MEASURES = ("test_mse", "test_gradient_mse", "test_sobolev_distance")


def read_runs(workdir):
  """Finds the finished runs below a folder.

  Returns:
    dict from (function, num_train, method) to (folder, `Config`, result).

  Raises:
    CommandError: there is none, or two have the same key.
  """
  runs = {}
  pattern = os.path.join(workdir, "**", "finished.json")
  for path in sorted(glob.glob(pattern, recursive=True)):
    folder = os.path.dirname(path)
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
      fields = json.load(file)
    config = regression.Config(
      **{
        name: tuple(value) if isinstance(value, list) else value
        for name, value in fields.items()
      }
    )
    with open(path, encoding="utf-8") as file:
      result = json.load(file)
    key = (config.function, config.num_train, config.method)
    if key in runs:
      raise command_line.CommandError(
        f"{folder} and {runs[key][0]} are the same experiment; give a "
        "--workdir that holds one of them."
      )
    runs[key] = (folder, config, result)
  if not runs:
    raise command_line.CommandError(
      f"there is no finished run below {workdir}; train one first."
    )
  order = list(benchmark_functions.FUNCTIONS)
  return dict(
    sorted(
      runs.items(), key=lambda item: (order.index(item[0][0]), *item[0][1:])
    )
  )


def paper_claim(function, num_train):
  """Which method the paper says is better (§4.1), or None if it is silent."""
  if function != "ackley" or num_train >= 10_000:
    return "sobolev"
  # "regular regression performed better" on Ackley "in the relatively low
  # data regime"; the text does not say whether 100 points still count.
  return "regular" if num_train <= 20 else None


def compare(regular, sobolev):
  """Compares the test errors of the two methods seed by seed.

  Args:
    regular: test MSE of each seed.
    sobolev: the same for Sobolev training; same seeds, same points.

  Returns:
    (ratio, winner): the geometric mean of regular / sobolev, and the method
    whose log error is lower by more than two standard errors of the paired
    difference, or "none".
  """
  difference = np.log10(regular) - np.log10(sobolev)
  mean = difference.mean()
  if len(difference) > 1:
    error = difference.std(ddof=1) / np.sqrt(len(difference))
  else:
    error = np.inf
  winner = "none"
  if abs(mean) > 2 * error:
    winner = "sobolev" if mean > 0 else "regular"
  return 10**mean, winner


def verdict(claim, winner):
  """One phrase: does the measurement agree with the paper's claim?"""
  if claim is None:
    return f"paper silent; {_better(winner)}"
  if winner == claim:
    return f"as in the paper: {_better(winner)}"
  return f"NOT as in the paper: {_better(winner)}"


def _better(winner):
  return "no clear difference" if winner == "none" else f"{winner} better"


def write_csv(path, runs):
  """Writes one row per trained network."""
  with open(path, "w", encoding="utf-8", newline="") as file:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
      ["function", "num_train", "method", "seed", "num_steps", *_MEASURES]
    )
    for key, (_, config, result) in runs.items():
      for index, seed in enumerate(config.seed):
        numbers = [f"{result[name][index]:.6g}" for name in _MEASURES]
        writer.writerow([*key, seed, config.num_steps, *numbers])


def make_table(runs):
  """Renders the comparison as a Markdown table."""
  lines = [
    "| function | points | log10 test MSE, regular | log10 test MSE, Sobolev "
    "| MSE ratio | gradient MSE ratio | verdict |",
    "|---|---|---|---|---|---|---|",
  ]
  for function, size, method in runs:
    if method != "regular" or (function, size, "sobolev") not in runs:
      continue
    regular = runs[function, size, "regular"][2]
    sobolev = runs[function, size, "sobolev"][2]
    ratio, winner = compare(regular["test_mse"], sobolev["test_mse"])
    gradient_ratio, _ = compare(
      regular["test_gradient_mse"], sobolev["test_gradient_mse"]
    )
    lines.append(
      f"| {function} | {size:,} | {_spread(regular)} | {_spread(sobolev)} "
      f"| {ratio:.3g} | {gradient_ratio:.3g} "
      f"| {verdict(paper_claim(function, size), winner)} |"
    )
  return "\n".join(lines) + "\n"


def _spread(result):
  logs = np.log10(result["test_mse"])
  return f"{logs.mean():.2f} ± {logs.std():.2f}"


def save_surfaces(output, runs):
  """Draws each function beside its models of the two smallest sizes."""
  functions = list(dict.fromkeys(function for function, _, _ in runs))
  for name in functions:
    function = benchmark_functions.get_function(name)
    grid = regression_figures.Grid.over(function)
    columns = [(name.replace("_", " "), *_label(function, grid))]
    sizes = sorted({size for f, size, _ in runs if f == name})[:2]
    for size in sizes:
      for method in regression.METHODS:
        if (name, size, method) not in runs:
          continue
        folder, config, _ = runs[name, size, method]
        learner, scaling = regression.load_networks(folder, config)
        values, gradients = regression.predict(learner, scaling, grid.points)
        columns.append((f"{method}, {size} points", values[0], gradients[0]))
    path = os.path.join(output, f"figure{_FIGURES[name]}_{name}.png")
    regression_figures.save_comparison(path, grid, columns)


def _label(function, grid):
  # A grid can hit a kink, where the gradient is not a number; the arrow there
  # is left out.
  value, gradient = benchmark_functions.label(function, grid.points)
  return value, np.nan_to_num(gradient, posinf=0.0, neginf=0.0)


def write_report(workdir, output):
  """Writes results.csv, table.md and the figures; returns the table."""
  runs = read_runs(workdir)
  os.makedirs(output, exist_ok=True)
  write_csv(os.path.join(output, "results.csv"), runs)
  table = make_table(runs)
  with open(os.path.join(output, "table.md"), "w", encoding="utf-8") as file:
    file.write(table)
  errors = {key: result["test_mse"] for key, (_, _, result) in runs.items()}
  regression_figures.save_figure2(os.path.join(output, "figure2.png"), errors)
  save_surfaces(output, runs)
  return table


def main(argv):
  """Writes the report that the command line names."""
  flag_values = flags.FlagValues()
  for name in ("workdir", "output"):
    flags.DEFINE_string(name, None, "", flag_values=flag_values)
  if {"--help", "-h"} & set(argv[1:]):
    print(__doc__)
    return 0
  try:
    flag_values(argv)
  except flags.Error as error:
    raise command_line.CommandError(str(error)) from error
  if not (flag_values.workdir and flag_values.output):
    raise command_line.CommandError(
      "--workdir and --output must both be given."
    )
  table = write_report(flag_values.workdir, flag_values.output)
  print(table)
  print(f"Written to {flag_values.output}.", file=sys.stderr)
  return 0


if __name__ == "__main__":
  command_line.run_main(main)
