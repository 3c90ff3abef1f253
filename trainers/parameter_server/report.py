r"""Accuracy and staleness of finished parameter-server runs, as a table.

    python -m trainers.parameter_server.report --workdir=DIR \
        --output=results/parameter_server

Reads every finished run below --workdir, those of one process for comparison
as well; trains nothing.
"""

import csv
import glob
import json
import os
import typing

import numpy as np

from trainers.lifecycle import command_line
from trainers.lifecycle.statistics import mean_and_deviation

_ONE_PROCESS, _MIRRORED = "one process", "mirrored"
_STALENESS = ("staleness", "staleness_90", "staleness_most")
_AGAIN = ("begun_again", "finished_again")


class Kind(typing.NamedTuple):
  """What makes a row of the table."""

  dataset: str
  method: str
  num_modules: int
  clutter: int
  learning_rate: float
  num_steps: int
  updates: str
  shares: int
  workers: int


class Trained(typing.NamedTuple):
  """A finished run's numbers; staleness over all its updates, or None."""

  seed: int
  accuracy: float
  staleness: tuple | None
  again: tuple | None


def read_runs(workdir):
  """Finds the finished runs below a folder: dict from `Kind` to `Trained`s.

  Raises:
    CommandError: there is none.
  """
  runs = {}
  pattern = os.path.join(workdir, "**", "finished.json")
  for path in sorted(glob.glob(pattern, recursive=True)):
    folder = os.path.dirname(path)
    config = _read_json(os.path.join(folder, "config.json"))
    if "dataset" not in config:  # a student's, which has no accuracy
      continue
    result = _read_json(path)
    alone = _MIRRORED if config["num_replicas"] > 1 else _ONE_PROCESS
    kind = Kind(
      config["dataset"],
      config["method"],
      config["num_modules"],
      config["clutter"],
      config["learning_rate"],
      config["num_steps"],
      config.get("main_updates", alone),
      config["num_replicas"],
      result.get("workers", 1),
    )
    runs.setdefault(kind, []).append(_read_run(folder, config, result))
  if not runs:
    raise command_line.CommandError(
      f"there is no finished run below {workdir}; train one first."
    )
  # One process first, then the rounds, then what waits for nobody.
  order = (_ONE_PROCESS, _MIRRORED, "sync", "async")
  return dict(
    sorted(
      runs.items(),
      key=lambda item: (*item[0][:6], order.index(item[0].updates), *item[0]),
    )
  )


def _read_run(folder, config, result):
  accuracy = result["test_accuracy"]
  if "workers" not in result:
    return Trained(config["seed"], accuracy, None, None)
  with open(os.path.join(folder, "metrics.csv"), newline="") as file:
    rows = list(csv.DictReader(file))
  means, nineties, mosts = (
    [float(row[name]) for row in rows] for name in _STALENESS
  )
  # Every row covers as many steps as the next one.
  staleness = np.mean(means), np.median(nineties), max(mosts)
  again = tuple(result[name] for name in _AGAIN)
  return Trained(config["seed"], accuracy, staleness, again)


def make_table(runs):
  """Renders the runs as Markdown."""
  lines = [
    "| data, method, modules, clutter, rate, steps | main updates "
    "| shares per batch | workers "
    "| test accuracy | seeds | updates in between: mean, 90 %, most "
    "| shares begun / finished again |",
    "|---|---|---|---|---|---|---|---|",
  ]
  for kind, trained in runs.items():
    accuracy = mean_and_deviation(100 * run.accuracy for run in trained)
    stale = again = ""
    if trained[0].staleness is not None:
      mean, ninety, most = np.array([run.staleness for run in trained]).T
      stale = f"{mean.mean():.2f}, {np.median(ninety):.0f}, {most.max():.0f}"
      sums = np.sum([run.again for run in trained], axis=0)
      again = f"{sums[0]} / {sums[1]}"
    lines.append(
      f"| {kind.dataset}, {kind.method}, {kind.num_modules}, "
      f"{kind.clutter}, {kind.learning_rate:g}, {kind.num_steps:,} "
      f"| {kind.updates} | {kind.shares} | {kind.workers} "
      f"| {accuracy} % | {len(trained)} | {stale} "
      f"| {again} |"
    )
  return "\n".join(lines) + "\n"


def write_csv(path, runs):
  """Writes one row per run."""
  with open(path, "w", encoding="utf-8", newline="") as file:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
      [*Kind._fields, "seed", "test_accuracy", *_STALENESS, *_AGAIN]
    )
    for kind, trained in runs.items():
      for run in sorted(trained, key=lambda run: run.seed):
        stale = [f"{x:.6g}" for x in run.staleness or ()] or [""] * 3
        again = run.again or [""] * 2
        writer.writerow(
          [*kind, run.seed, f"{run.accuracy:.6g}", *stale, *again]
        )


def write_report(workdir, output):
  """Writes table.md and results.csv below `output`; returns the table."""
  runs = read_runs(workdir)
  text = make_table(runs)
  os.makedirs(output, exist_ok=True)
  write_csv(os.path.join(output, "results.csv"), runs)
  path = os.path.join(output, "table.md")
  with open(path, "w", encoding="utf-8") as file:
    file.write(text)
  return text


def _read_json(path):
  with open(path, encoding="utf-8") as file:
    return json.load(file)


def main(argv):
  """Writes the report that the command line asks for."""
  return command_line.write_report(argv, __doc__, write_report)


if __name__ == "__main__":
  command_line.run_main(main)
