r"""Accuracy and staleness of finished parameter-server runs, as a table.

    python -m trainers.parameter_server.report --workdir=DIR \
        --output=results/parameter_server
    python -m trainers.parameter_server.report --redraw \
        --output=results/parameter_server

The first reads every finished classifier below --workdir, those of one process
for comparison as well, the second makes the table again from results.csv.
"""

import os

import numpy as np

from trainers.lifecycle import command_line, tables
from trainers.lifecycle.report import Report
from trainers.lifecycle.statistics import mean_and_deviation
from trainers.synthetic_gradients.config import Config
from trainers.synthetic_gradients.served import ServedClassifier

# One process first, then the rounds, then what waits for nobody.
_UPDATES = ("one process", "mirrored", "sync", "async")
_DATA = (
  "dataset",
  "method",
  "num_modules",
  "clutter",
  "learning_rate",
  "num_steps",
)
_KIND = (*_DATA, "updates", "shares", "workers")  # what makes a row
_STALENESS = ("staleness", "staleness_90", "staleness_most")
_AGAIN = ("begun_again", "finished_again")


def kind_of_run(fields):
  """The settings' class; None for a student's run, which has no accuracy."""
  if "dataset" not in fields:
    return None
  return ServedClassifier.config_class if "main_updates" in fields else Config


def results_of(config):
  """Names of a run's final numbers."""
  served = ("workers", *_AGAIN) if hasattr(config, "main_updates") else ()
  return "test_accuracy", *served


def collect(runs, output):
  """Writes results.csv, one row per run."""

  def place(row):
    kind = [row[name] for name in _KIND]
    updates = _UPDATES.index(row["updates"])
    return *kind[: len(_DATA)], updates, *kind[len(_DATA) + 1 :], row["seed"]

  rows = sorted((_row(run) for run in runs if run.result), key=place)
  tables.write_csv(os.path.join(output, "results.csv"), rows)


def _row(run):
  config = run.config
  stale = {}
  if hasattr(config, "main_updates"):
    # Every row of metrics.csv covers as many steps as the next one.
    for name, over in zip(
      _STALENESS, (np.mean, np.median, np.max), strict=True
    ):
      stale[name] = over(run.curve(name)[1])
  return {
    **{name: getattr(config, name) for name in _DATA},
    "updates": getattr(
      config, "main_updates", _UPDATES[config.num_replicas > 1]
    ),
    "shares": config.num_replicas,
    "workers": run.result.get("workers", 1),
    "seed": config.seed,
    **tables.numbers_of(
      {**run.result, **stale}, ("test_accuracy", *_STALENESS, *_AGAIN)
    ),
  }


def render(output):
  """The table from results.csv; nothing is drawn."""
  rows = tables.read_csv(
    os.path.join(output, "results.csv"),
    *_KIND,
    "test_accuracy",
    *_STALENESS,
    *_AGAIN,
  )
  return tables.markdown(tables.group(rows, *_KIND).values(), _CELLS), {}


def _data(group):
  *words, rate, steps = (group[0][name] for name in _DATA)
  return ", ".join([*words, f"{float(rate):g}", f"{int(steps):,}"])


def _accuracy(group):
  shares = tables.numbers(group, "test_accuracy")
  return f"{mean_and_deviation(100 * share for share in shares)} %"


def _stale(group):
  mean, ninety, most = (tables.numbers(group, name) for name in _STALENESS)
  if not mean:
    return ""
  return f"{np.mean(mean):.2f}, {np.median(ninety):.0f}, {max(most):.0f}"


def _again(group):
  sums = [sum(tables.numbers(group, name)) for name in _AGAIN]
  return " / ".join(f"{count:.0f}" for count in sums) * bool(_stale(group))


_CELLS = {
  "data, method, modules, clutter, rate, steps": _data,
  "main updates": lambda group: group[0]["updates"],
  "shares per batch": lambda group: group[0]["shares"],
  "workers": lambda group: group[0]["workers"],
  "test accuracy": _accuracy,
  "seeds": lambda group: str(len(group)),
  "updates in between: mean, 90 %, most": _stale,
  "shares begun / finished again": _again,
}
REPORT = Report(
  __doc__,
  "./scripts/reproduce_parameter_server.sh",
  kind_of_run,
  collect,
  render,
  results_of,
)
main = REPORT.main

if __name__ == "__main__":
  command_line.run_main(main)
