r"""Table 1 and its curves from finished synthetic-gradient runs.

    python -m trainers.synthetic_gradients.report --workdir=DIR \
        --output=results/table1_digits
    python -m trainers.synthetic_gradients.report --redraw \
        --output=results/table1_digits

The first reads every run below --workdir, the second makes table and figures
again from what the first wrote into --output; nothing is trained. A run that
was begun and is not finished (because its loss was not finite, for example) is
counted beside its method. Runs that differ in more than method and seed make a
table with a column for each such setting. If that is the number of modules
alone, there is a folder of figures for each number, otherwise none.
"""

import dataclasses
import os

import numpy as np

from trainers.lifecycle import command_line, finished, tables
from trainers.lifecycle.report import Report
from trainers.lifecycle.statistics import (
  mean_and_deviation,
  p_of_difference,
  verdicts,
)
from trainers.synthetic_gradients import figures
from trainers.synthetic_gradients.config import Config
from trainers.synthetic_gradients.networks import METHODS, RESNET_DATASETS

# Table 1: top-1 accuracy in per cent on CIFAR-10 with three modules, and top-1
# and top-5 accuracy on ImageNet with one and three.
_LEFT_OUT = "left out (footnote 6)"
_PAPER_CIFAR10 = {
  "backprop": "94.3",
  "noprop": "54.5 ± 1.15",
  "direct": "79.2 ± 0.01",
  "vfbn": "88.5 ± 2.70",
  "critic": "93.2 ± 0.02",
  "sobolev": "93.5 ± 0.01",
  "sobolev_labels": _LEFT_OUT,
}
_PAPER_IMAGENET = {
  "1": {
    "backprop": "75.0 / 92.3",
    "noprop": "54.0 / 77.3",
    "direct": "not tried",
    "vfbn": "57.9 / 81.5",
    "critic": "71.7 / 90.5",
    "sobolev": "72.0 / 90.8",
    "sobolev_labels": _LEFT_OUT,
  },
  "3": {
    "backprop": "75.0 / 92.3",
    "noprop": "18.7 / 38.0",
    "direct": "not tried",
    "vfbn": "28.3 / 52.9",
    "critic": "65.7 / 86.9",
    "sobolev": "66.5 / 87.4",
    "sobolev_labels": _LEFT_OUT,
  },
}
# The paper's order, from worst to best; ImageNet is without the direct one.
_ORDER = ("noprop", "direct", "vfbn", "critic", "sobolev", "backprop")
_SILENT = (
  ("direct", "sobolev"),
  ("sobolev", "sobolev_labels"),
  ("sobolev", "local"),  # local losses are younger than the paper
)
# Curves, one of each border: what they are called, and their vertical axis.
_ALIGNMENT = ("cosine", "relative_error")
_SETTINGS = ("dataset", "num_modules")


def results_of(config):
  """Names of a run's final numbers."""
  top5 = config.dataset in RESNET_DATASETS
  return "test_accuracy", *(["test_top5_accuracy"] * top5), "test_loss"


def collect(runs, output):
  """Writes results.csv, one row per run, and the curves.

  Backpropagation has no modules and is compared with each number of them.
  """
  known = (*_SETTINGS, "method", "seed")
  varied = finished.varied_settings(runs, (*known, "data_dir"))
  names = (*_SETTINGS, *varied, "method", "seed")

  def settings(config):
    return tuple(getattr(config, name) for name in names)

  finished.check_distinct(runs, lambda run: settings(run.config))
  split = [run for run in runs if run.config.method != "backprop"]
  numbers = sorted({run.config.num_modules for run in split})
  found = {}
  for run in runs:
    alike = (
      numbers if numbers and run not in split else [run.config.num_modules]
    )
    for number in alike:
      config = dataclasses.replace(run.config, num_modules=number)
      found.setdefault(settings(config), run)
  order = sorted(found, key=lambda k: (*k[:-2], METHODS.index(k[-2]), k[-1]))
  runs = [found[key] for key in order]
  keys = [dict(zip(names, key, strict=True)) for key in order]
  results = results_of(runs[0].config)
  tables.write_csv(
    os.path.join(output, "results.csv"),
    [
      {**key, **tables.numbers_of(run.result, results)}
      for key, run in zip(keys, runs, strict=True)
    ],
  )
  borders = range(1, max(numbers, default=0) + 1)
  columns = [f"{name}_{k}" for name in _ALIGNMENT for k in borders]
  if not varied:
    path = os.path.join(output, "curves.csv")
    tables.write_curves(path, keys, runs, ["test_accuracy", *columns])


def render(output):
  """The table, and what is drawn, from the files of a folder."""
  rows = tables.read_csv(
    os.path.join(output, "results.csv"), *_SETTINGS, "method", "seed"
  )
  names = list(rows[0])[: list(rows[0]).index("method")]
  varied = [name for name in names if len(tables.group(rows, name)) > 1]
  draws = {}
  if names == list(_SETTINGS) and "dataset" not in varied:
    draws["curves.csv"] = lambda path: save_figures(output, path, bool(varied))
  return make_table(rows, varied) + "\n" + make_verdicts(rows, varied), draws


def accuracies(rows, name="test_accuracy"):
  """Test accuracies in per cent by seed, of the finished runs."""
  return {row["seed"]: 100 * float(row[name]) for row in rows if row[name]}


def _is_imagenet(rows):
  return "test_top5_accuracy" in rows[0]


def make_table(rows, varied):
  """Renders accuracies beside the paper's as Markdown.

  Args:
    rows: of results.csv.
    varied: names of the settings in which they differ.
  """

  def of_seeds(measure, name="test_accuracy"):
    def cell(group):
      values = list(accuracies(group, name).values())
      return measure(values) if values else "-"

    return cell

  columns = [name.replace("_", " ") for name in varied]
  cells = {
    **{c: lambda g, n=n: g[0][n] for c, n in zip(columns, varied, strict=True)},
    "method": lambda group: group[0]["method"],
    f"test accuracy on {rows[0]['dataset']}, %": of_seeds(mean_and_deviation),
    "top-5, %": of_seeds(mean_and_deviation, "test_top5_accuracy"),
    "seeds": lambda group: str(len(accuracies(group))),
    "worst": of_seeds(lambda values: f"{min(values):.1f}"),
    "best": of_seeds(lambda values: f"{max(values):.1f}"),
    "unfinished": lambda group: str(len(group) - len(accuracies(group))),
  }
  if _is_imagenet(rows):
    cells["paper, ImageNet, top-1 / top-5, %"] = lambda group: (
      _PAPER_IMAGENET.get(group[0]["num_modules"], {}).get(
        group[0]["method"], "-"
      )
    )
  else:
    del cells["top-5, %"]
    cells["paper, CIFAR-10, %"] = lambda group: _PAPER_CIFAR10.get(
      group[0]["method"], "-"
    )
  return tables.markdown(tables.group(rows, *varied, "method").values(), cells)


def differences(group, worse, better):
  """By how many points one method is above another, for the seeds of both.

  Args:
    group: rows of results.csv with the same settings.
    worse: the method that the paper finds worse.
    better: the one that it finds better.
  """
  methods = tables.group(group, "method")
  low, high = (accuracies(methods.get((m,), [])) for m in (worse, better))
  return np.array([high[s] - low[s] for s in sorted(set(low) & set(high))])


def make_verdicts(rows, varied):
  """One line per comparison of the paper, and those that it left out."""
  order = [m for m in _ORDER if m != "direct" or not _is_imagenet(rows)]
  pairs = list(zip(order[:-1], order[1:], strict=True))
  pairs += _SILENT if _is_imagenet(rows) else _SILENT[1:]
  if ("local",) not in tables.group(rows, "method"):
    pairs.remove(("sobolev", "local"))
  groups = tables.group(rows, *varied)
  gaps = {
    (settings, pair): differences(group, *pair)
    for settings, group in groups.items()
    for pair in pairs
  }
  tested = {key: gap for key, gap in gaps.items() if len(gap) > 1}
  family = [
    (None if pair in _SILENT else gap.mean() > 0, p_of_difference(gap))
    for (_, pair), gap in tested.items()
  ]
  phrases = dict(zip(tested, verdicts(family), strict=True))
  lines = []
  for settings in groups:
    if varied:
      title = ", ".join(map(" ".join, zip(varied, settings, strict=True)))
      lines.append(f"\n{title}:\n")
    for pair in pairs:
      gap, phrase = gaps[settings, pair], phrases.get((settings, pair))
      text = "not measured"
      if len(gap):
        text = f"{gap.mean():+.1f} points, {phrase or 'one seed only'}"
      lines.append(f"- {pair[0]} < {pair[1]}: {text}")
  if phrases:
    lines.append("\np of paired t-tests, Holm's correction over the table.")
  return "\n".join(lines) + "\n"


def save_figures(output, path, by_number):
  """Draws accuracy over the updates, and alignment by depth.

  Args:
    output: folder.
    path: of the curves.
    by_number: whether each number of modules has a folder of its own.
  """
  accuracy = tables.read_curves(path, "test_accuracy")
  for number in dict.fromkeys(key[1] for key in accuracy):
    folder = os.path.join(output, f"modules_{number}") if by_number else output
    os.makedirs(folder, exist_ok=True)
    note = _note(accuracy, number)
    figures.save_curves(
      os.path.join(folder, "accuracy.png"),
      {"test accuracy": _lines(accuracy, number)},
      "test pictures classified correctly",
      note,
      "percent",
    )
    for name in _ALIGNMENT:
      panels = {
        f"border {k} of {number} (from below)": _lines(
          tables.read_curves(path, f"{name}_{k}"), number
        )
        for k in range(1, int(number) + 1)
      }
      if any(panels.values()):
        figures.save_curves(
          os.path.join(folder, f"{name}.png"),
          panels,
          f"{name.replace('_', ' ')} of synthetic and true gradient",
          note,
          "log" if name == "relative_error" else "linear",
          num_columns=len(panels),
        )


def _note(curves, number):
  """Which data set and how many modules a figure is of."""
  dataset = next(key[0] for key in curves if key[1] == number)
  return f"{dataset}, number of synthetic-gradient modules: {number}."


def _lines(curves, number):
  """dict from a method to its curve, with this number of modules."""
  return {key[-1]: curve for key, curve in curves.items() if key[1] == number}


REPORT = Report(
  __doc__,
  "./scripts/reproduce_table1_*.sh",
  lambda fields: Config,
  collect,
  render,
  results_of,
)
main = REPORT.main

if __name__ == "__main__":
  command_line.run_main(main)
