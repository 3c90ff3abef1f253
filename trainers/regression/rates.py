r"""Chooses learning rates on held-out points, for Figure 2.

    python -m trainers.regression --preset=desk --function=all \
        --num_train=20,100,10000 --method=all --seed=100,101,102 \
        --num_validation=10000 --learning_rate=3e-5,3e-4,3e-3 \
        --workdir=DIR/search
    python -m trainers.regression.rates --workdir=DIR/search --output=DIR
    python -m trainers.regression ... --rates=DIR/rates.csv --workdir=DIR/final

For each function, number of points and method it takes the rate with the
lowest error at the held-out points, its logarithm averaged over the seeds. They
are drawn apart from the training and the test points, and the test points have
no say; the seeds of the final networks should be others. With --redraw it names
the choices of the rates.csv that is there.
"""

import dataclasses
import os

import numpy as np

from trainers.lifecycle import command_line, tables
from trainers.lifecycle.command_line import CommandError
from trainers.lifecycle.report import Report
from trainers.regression.config import Config

_KEYS = ("function", "num_train", "method")
_MEASURE = "validation_mse"
_COLUMNS = (*_KEYS, "learning_rate", _MEASURE, "chosen")


def collect(runs, output):
  """Writes rates.csv, one row per rate that was tried."""
  found = {}
  for run in runs:
    key = tuple(getattr(run.config, name) for name in _KEYS)
    tried = found.setdefault(key, {})
    tried[run.config.learning_rate] = run.result and _mean(run.result)
  rows = []
  for key, tried in sorted(found.items()):
    best = _best(key, tried)
    for rate, error in sorted(tried.items()):
      row = dict(zip((*_KEYS, "learning_rate"), (*key, rate), strict=True))
      row |= tables.numbers_of({_MEASURE: error}, [_MEASURE])
      rows.append({**row, "chosen": "yes" if rate == best else "no"})
  tables.write_csv(os.path.join(output, "rates.csv"), rows)


def _mean(result):
  """Geometric mean over the seeds: errors span orders of magnitude."""
  return float(np.exp(np.mean(np.log(result[_MEASURE]))))


def _best(key, tried):
  finished = {rate: error for rate, error in tried.items() if error}
  if not finished:
    raise CommandError(
      f"no run of {' '.join(map(str, key))} ended with finite weights; try "
      "lower learning rates."
    )
  return min(finished, key=finished.get)


def render(output):
  """A line for each choice in rates.csv; nothing is drawn."""
  path = os.path.join(output, "rates.csv")
  lines = []
  for key, rows in tables.group(_read(path), *_KEYS).items():
    (chosen,) = [r for r in rows if r["chosen"] == "yes"]
    rates = tables.numbers(rows, "learning_rate")
    value = float(chosen["learning_rate"])
    line = f"{' '.join(key)}: {value:g}, best of {len(rates)} rates"
    if len(rates) > 1 and value in (min(rates), max(rates)):
      line += " (at the edge of the values tried)"
    lines.append(line)
  return "\n".join(lines), {}


def _read(path):
  try:
    rows = tables.read_csv(path, *_COLUMNS)
    groups = tables.group(rows, *_KEYS).values()
    counts = {sum(r["chosen"] == "yes" for r in own) for own in groups}
    if counts != {1}:
      raise CommandError("it has not one chosen rate for each experiment")
    tables.numbers(rows, "learning_rate")
  except (CommandError, ValueError) as error:
    raise CommandError(
      f"{path} is not the rates.csv of a search ({error}); make one with "
      "trainers.regression.rates."
    ) from error
  return rows


def apply_rates(configs, path):
  """Gives each configuration the rate that was chosen for it.

  Args:
    configs: list of `Config`.
    path: of a rates.csv.

  Raises:
    CommandError: the file is no such file, or holds no choice for one.
  """
  chosen = {
    tuple(row[name] for name in _KEYS): float(row["learning_rate"])
    for row in _read(path)
    if row["chosen"] == "yes"
  }
  found = []
  for config in configs:
    key = tuple(str(getattr(config, name)) for name in _KEYS)
    if key not in chosen:
      raise CommandError(
        f"{path} holds no rate for {' '.join(key)}; search it first."
      )
    found.append(dataclasses.replace(config, learning_rate=chosen[key]))
  return found


REPORT = Report(
  __doc__,
  "RATE=chosen ./scripts/reproduce_figure2.sh",
  lambda fields: Config if fields.get("num_validation") else None,
  collect,
  render,
  lambda config: (_MEASURE,),
  series="seed",
  table="",
)
main = REPORT.main

if __name__ == "__main__":
  command_line.run_main(main)
