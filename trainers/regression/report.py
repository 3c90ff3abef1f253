r"""Tables and figures from finished regression runs (Figures 2, 3 and 5-11).

    python -m trainers.regression.report --workdir=DIR --output=results/figure2
    python -m trainers.regression.report --redraw --output=results/figure2
    python -m trainers.regression.report --workdir=DIR \
        --add_to=results/figure2 --output=results/figure2

The first reads every finished run below --workdir, the second draws again what
it wrote into --output, the third adds runs of further seeds to it (surfaces
are of DIR alone); nothing is trained. Runs that differ in more than
function, size, method and seed are a search: they make a table with a column
for each such setting, and no figures.
"""

import functools
import os

import numpy as np

from data import benchmark_functions
from trainers.lifecycle import command_line, finished, tables
from trainers.lifecycle.figures import style_of
from trainers.lifecycle.report import Report
from trainers.lifecycle.statistics import (
  bootstrap_interval,
  compare,
  improvement,
  interquartile_mean,
  mean_and_deviation,
  ratio_with_interval,
  tally,
  verdicts,
)
from trainers.regression import figures, surfaces
from trainers.regression import train as regression
from trainers.regression.learner import METHODS

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
_TRAINED_ON = ", trained on"  # names the array of a model's training points
_MEASURES = ("test_mse", "test_gradient_mse", "test_sobolev_distance")


def paper_claim(function, num_train):
  """Which method the paper says is better (§4.1), or None if it is silent."""
  if function != "ackley" or num_train >= 10_000:
    return "sobolev"
  # "regular regression performed better" on Ackley "in the relatively low
  # data regime"; the text does not say whether 100 points still count.
  return "regular" if num_train <= 20 else None


def collect(runs, output):
  """Writes results.csv, one row per network, and the surfaces of no search."""
  runs = [run for run in runs if run.result]
  known = ("function", "num_train", "method", "seed")
  varied = finished.varied_settings(runs, known)
  if _is_chosen(runs, varied):  # one for each, by trainers.regression.rates
    varied.remove("learning_rate")
  names = ("function", "num_train", *varied, "method")

  def settings(run):
    return tuple(getattr(run.config, name) for name in names)

  finished.check_distinct(runs, settings)
  order = list(benchmark_functions.FUNCTIONS)
  runs.sort(key=lambda run: (order.index(run.config.function), *settings(run)))
  keys, rows, networks = [], [], []
  for run in runs:
    for index, seed in enumerate(run.config.seed):
      result = {name: run.result[name][index] for name in _MEASURES}
      keys.append(
        {**dict(zip(names, settings(run), strict=True)), "seed": seed}
      )
      rows.append({**keys[-1], **tables.numbers_of(result, _MEASURES)})
      own = [row for row in run.rows if row["seed"] == seed]
      networks.append(run._replace(rows=own))
  tables.write_csv(os.path.join(output, "results.csv"), rows)
  if varied:
    return []
  path = os.path.join(output, "curves.csv")
  tables.write_curves(path, keys, networks, ["test_mse"])
  return _write_surfaces(output, runs)


def _is_chosen(runs, varied):
  """Whether each experiment has a learning rate of its own."""
  found = {}
  for run in runs:
    config = run.config
    key = config.function, config.num_train, config.method
    found.setdefault(key, set()).add(config.learning_rate)
  is_one = all(len(rates) == 1 for rates in found.values())
  return varied == ["learning_rate"] and is_one


def _write_surfaces(output, runs):
  """Writes each function's models of its two smallest sizes, over a grid.

  Returns:
    A sentence for each run whose networks cannot be read.
  """
  models_of, damages = {}, []
  for run in runs:
    name, size = run.config.function, run.config.num_train
    sizes = {r.config.num_train for r in runs if r.config.function == name}
    if size not in sorted(sizes)[:2]:
      continue
    grid = surfaces.Grid.over(benchmark_functions.get_function(name))
    try:
      with regression.load_networks(run.folder, run.config) as networks:
        values, gradients = regression.predict(*networks, grid.points)
    except command_line.CommandError as error:
      damages.append(f"{error} Its surface is left out.")
      continue
    title, seed = f"{run.config.method}, {size} points", run.config.seed[0]
    models_of.setdefault(name, {})[title] = np.c_[
      values[0], gradients[0, :, 0]
    ].astype(np.float32)
    models_of[name][title + _TRAINED_ON] = benchmark_functions.sample_points(
      benchmark_functions.get_function(name), size, [seed, 0]
    ).astype(np.float32)
  for name, models in models_of.items():
    np.savez_compressed(os.path.join(output, _surface_file(name)), **models)
  return damages


def _surface_file(name):
  return f"figure{_FIGURES[name]}_{name}.npz"


def render(output):
  """The table, and what is drawn, from the files of a folder."""
  path = os.path.join(output, "results.csv")
  rows = tables.read_csv(path, "function", "num_train", "method", *_MEASURES)
  names = list(rows[0])
  varied = names[2 : names.index("method")]
  functions = dict.fromkeys(row["function"] for row in rows)
  draws = {_surface_file(n): functools.partial(_draw, n) for n in functions}
  draws["results.csv"] = lambda path: _draw_results(rows, output)
  draws["curves.csv"] = lambda path: figures.save_curves(
    os.path.join(output, "curves.png"), tables.read_curves(path, "test_mse")
  )
  return make_table(rows, varied), {} if varied else draws


def _draw_results(rows, output):
  figures.save_figure2(
    os.path.join(output, "figure2.png"), errors(rows), claims(rows)
  )
  if found := ratios(rows):
    figures.save_profile(os.path.join(output, "profile.png"), found)


def ratios(rows):
  """How many times larger regular training's test MSE is, by the points.

  Returns:
    dict from the number of training points to log10 of the ratios, `[seeds,
    functions]`; without sizes at which functions have other seeds.
  """
  found = {}
  for (size,), pairs in tables.group(_pairs(rows, []), "num_train").items():
    logs = [np.subtract(*np.log10(_both(pair, "test_mse"))) for pair in pairs]
    if len({len(one) for one in logs}) == 1:
      found[int(size)] = np.stack(logs, axis=1)
  return found


def describe_ratios(rows):
  """A sentence per number of points: the ratio's interquartile mean."""

  def mean(logs):
    return 10 ** interquartile_mean(logs)

  lines = []
  for size, logs in ratios(rows).items():
    low, high = bootstrap_interval(mean, logs)
    lines.append(f"{size:,} points {mean(logs):.2f} ({low:.2f} to {high:.2f})")
  if not lines:
    return ""
  return (
    "Interquartile mean of the MSE ratio over all functions and seeds, on a "
    f"logarithm, with a 95 % bootstrap interval: {'; '.join(lines)}.\n"
  )


def errors(rows):
  """dict from (function, points, method) to the test MSE of each seed."""
  groups = tables.group(rows, "function", "num_train", "method")
  return {
    (function, int(size), method): tables.numbers(group, "test_mse")
    for (function, size, method), group in groups.items()
  }


def claims(rows):
  """dict from (function, points) to the paper's claim and our verdict on it."""
  found = {}
  pairs = _pairs(rows, [])
  for row, phrase in zip(pairs, _judge(pairs), strict=True):
    key = row["function"], int(row["num_train"])
    found[key] = paper_claim(*key), phrase.split(" (")[0]
  return found


def _pairs(rows, varied):
  """What both methods were measured on, with the rows of each."""
  groups = [
    {**group[0], **tables.group(group, "method")}
    for group in tables.group(rows, "function", "num_train", *varied).values()
  ]
  return [
    g for g in groups if all((m,) in g for m in METHODS) and _both(g, "seed")[0]
  ]


def _judge(pairs):
  """The verdict on the paper's claim of each pair."""

  def agrees(row):
    claim = paper_claim(row["function"], int(row["num_train"]))
    ratio, p = compare(*_both(row, "test_mse"))
    return claim and (ratio > 1) == (claim == "sobolev"), p

  return verdicts(list(map(agrees, pairs)))


def _both(row, name):
  """The errors of the two methods, of the seeds that both have."""
  found = [
    {own["seed"]: float(own[name]) for own in row[method,]}
    for method in METHODS
  ]
  seeds = sorted(set.intersection(*map(set, found)), key=int)
  return [[errors[seed] for seed in seeds] for errors in found]


def make_table(rows, varied):
  """Renders the comparison of the two methods as a Markdown table, counted."""

  def spread(index):
    return lambda row: mean_and_deviation(
      np.log10(_both(row, "test_mse")[index]), 2
    )

  def ratio(name):
    return lambda row: f"{compare(*_both(row, name))[0]:.3g}"

  cells = {
    "function": lambda row: row["function"],
    "points": lambda row: f"{int(row['num_train']):,}",
    **{n.replace("_", " "): lambda row, n=n: row[n] for n in varied},
    "log10 test MSE, regular": spread(0),
    "log10 test MSE, Sobolev": spread(1),
    "MSE ratio": lambda row: ratio_with_interval(*_both(row, "test_mse")),
    "gradient MSE ratio": ratio("test_gradient_mse"),
    "Sobolev distance ratio": ratio("test_sobolev_distance"),
    "verdict": lambda row: row["verdict"],
  }
  pairs = _pairs(rows, varied)
  phrases = _judge(pairs)
  for row, phrase in zip(pairs, phrases, strict=True):
    row["verdict"] = phrase
  table = tables.markdown(pairs, cells)
  if not pairs:
    return table
  regular, sobolev = zip(
    *(_both(row, "test_mse") for row in pairs), strict=True
  )
  return (
    f"{table}\n{tally(phrases)} Probability that a Sobolev network's test MSE "
    "is below a regular one's, over all rows: "
    f"{improvement(sobolev, regular)}.\n"
    f"{'' if varied else describe_ratios(rows)}"
  )


def _read_surfaces(path):
  """dict from a title to an array; a `CommandError` if the file is damaged."""
  try:
    with np.load(path, allow_pickle=False) as models:
      return dict(models)
  # Whatever zipfile, zlib and NumPy raise on a damaged archive.
  except Exception as error:
    raise command_line.CommandError(
      f"{path} cannot be read ({type(error).__name__}); report the runs anew."
    ) from error


def _draw(name, path):
  """Draws a function beside its models."""
  function = benchmark_functions.get_function(name)
  grid = surfaces.Grid.over(function)
  columns = [surfaces.true_column(function, grid)]
  models = _read_surfaces(path)
  titles = [title for title in models if not title.endswith(_TRAINED_ON)]
  for title in titles:
    surface = models[title]  # [N, value and gradient]
    if len(surface) != len(grid.points) or title + _TRAINED_ON not in models:
      raise command_line.CommandError(
        f"{path} is of another version; report the runs anew."
      )
    method, size = title.split(", ")
    columns.append(
      surfaces.Column(
        f"{style_of(method).name}, {size}",
        surface[:, :1],
        surface[:, np.newaxis, 1:],
        models[title + _TRAINED_ON],
      )
    )
  surfaces.save_comparison(path.replace(".npz", ".png"), grid, columns)


REPORT = Report(
  __doc__,
  "./scripts/reproduce_figure2.sh",
  lambda fields: regression.Config,
  collect,
  render,
  lambda config: _MEASURES,
  series="seed",
)
main = REPORT.main

if __name__ == "__main__":
  command_line.run_main(main)
