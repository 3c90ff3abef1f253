r"""Table 1 and its curves from finished synthetic-gradient runs.

    python -m trainers.synthetic_gradients.report --workdir=DIR \
        --output=results/table1_digits

Reads every finished run below --workdir; trains nothing. A run that was begun
and is not finished (its loss was not finite, say) is counted beside its method.
"""

import csv
import dataclasses
import glob
import json
import os
import typing

import numpy as np
from scipy import stats

from trainers.lifecycle import command_line
from trainers.lifecycle.statistics import mean_and_deviation
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
  1: {
    "backprop": "75.0 / 92.3",
    "noprop": "54.0 / 77.3",
    "direct": "not tried",
    "vfbn": "57.9 / 81.5",
    "critic": "71.7 / 90.5",
    "sobolev": "72.0 / 90.8",
    "sobolev_labels": _LEFT_OUT,
  },
  3: {
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
ORDER = ("noprop", "direct", "vfbn", "critic", "sobolev", "backprop")
_SILENT = (("direct", "sobolev"), ("sobolev", "sobolev_labels"))
_CURVES = ("cosine", "relative_error")


class Trained(typing.NamedTuple):
  """A run: its folder, its `Config`, its result (None while unfinished)."""

  folder: str
  config: Config
  result: dict | None


def read_runs(workdir):
  """Finds the runs below a folder.

  Returns:
    (runs, varied): dict from (settings that vary ..., method) to a list of
    `Trained` sorted by seed, and the names of those settings.

  Raises:
    CommandError: none is finished, or two have the same settings.
  """
  found = [
    _read_run(os.path.dirname(path))
    for path in sorted(
      glob.glob(os.path.join(workdir, "**", "config.json"), recursive=True)
    )
  ]
  if not any(run.result for run in found):
    raise command_line.CommandError(
      f"there is no finished run below {workdir}; train one first."
    )
  varied = [
    field.name
    for field in dataclasses.fields(Config)
    if field.name not in ("method", "seed", "data_dir")
    and len(_values(found, field.name)) > 1
  ]
  runs, seen = {}, {}
  for run in sorted(found, key=lambda run: run.config.seed):
    for key in _keys(run, varied, _values(found, "num_modules")):
      other = seen.setdefault((*key, run.config.seed), run)
      if other is run:
        runs.setdefault(key, []).append(run)
      elif run.config.num_modules == other.config.num_modules:
        raise command_line.CommandError(
          f"{run.folder} and {other.folder} are the same experiment; give a "
          "--workdir that holds one of them."
        )
  keys = sorted(runs, key=lambda key: (*key[:-1], METHODS.index(key[-1])))
  return {key: runs[key] for key in keys}, varied


def _values(found, name):
  """What a setting is in the runs that heed it."""
  return {
    getattr(run.config, name)
    for run in found
    if not (name == "num_modules" and run.config.method == "backprop")
  }


def _keys(run, varied, numbers):
  """The rows of the table in which a run stands.

  Backpropagation has no modules and is compared with each number of them.
  """
  shared = run.config.method == "backprop" and "num_modules" in varied
  configs = [run.config]
  if shared:
    configs = [
      dataclasses.replace(run.config, num_modules=n) for n in sorted(numbers)
    ]
  return [
    tuple(getattr(config, name) for name in (*varied, "method"))
    for config in configs
  ]


def _read_run(folder):
  with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
    fields = json.load(file)
  config = Config(
    **{
      name: tuple(value) if isinstance(value, list) else value
      for name, value in fields.items()
    }
  )
  path, result = os.path.join(folder, "finished.json"), None
  if os.path.exists(path):
    with open(path, encoding="utf-8") as file:
      result = json.load(file)
  return Trained(folder, config, result)


def accuracies(runs, name="test_accuracy"):
  """Test accuracies in per cent by seed, of the finished runs."""
  return {run.config.seed: 100 * run.result[name] for run in runs if run.result}


def verdict(worse, better):
  """One phrase on the paper's claim that `better` is above `worse`.

  Args:
    worse: dict from seed to accuracy, of the method that the paper finds
      worse.
    better: the same for the one that it finds better.
  """
  seeds = sorted(set(worse) & set(better))
  if not seeds:
    return "not measured"
  differences = np.array([better[seed] - worse[seed] for seed in seeds])
  gap = f"{differences.mean():+.1f} points"
  if len(seeds) < 2:
    return f"{gap}, one seed only"
  if np.ptp(differences) == 0:
    is_clear = differences[0] != 0
  else:
    is_clear = stats.ttest_1samp(differences, 0.0).pvalue < 0.05
  if not is_clear:
    return f"no clear difference ({gap})"
  word = "as in the paper" if differences.mean() > 0 else "NOT as in the paper"
  return f"{word} ({gap})"


def write_csv(path, runs, varied):
  """Writes one row per run; an unfinished one has no numbers."""
  names = ("test_accuracy", "test_loss")
  if _has_top5(runs):
    names = ("test_accuracy", "test_top5_accuracy", "test_loss")
  with open(path, "w", encoding="utf-8", newline="") as file:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*varied, "method", "seed", *names])
    for key, group in runs.items():
      for run in group:
        numbers = [""] * len(names)
        if run.result:
          numbers = [f"{run.result[name]:.6g}" for name in names]
        writer.writerow([*key, run.config.seed, *numbers])


def _has_top5(runs):
  """Whether the runs are of ImageNet's kind."""
  return next(iter(runs.values()))[0].config.dataset in RESNET_DATASETS


def _paper(runs, varied, key):
  """The paper's number beside a row of the table."""
  if not _has_top5(runs):
    return _PAPER_CIFAR10[key[-1]]
  if "num_modules" in varied:
    number = key[varied.index("num_modules")]
  else:
    groups = [group for k, group in runs.items() if k[-1] != "backprop"]
    number = max((g[0].config.num_modules for g in groups), default=1)
  return _PAPER_IMAGENET.get(number, {}).get(key[-1], "-")


def make_table(runs, varied):
  """Renders accuracies beside the paper's as Markdown."""
  dataset = next(iter(runs.values()))[0].config.dataset
  top5 = ["top-5, %"] if _has_top5(runs) else []
  columns = [
    *(name.replace("_", " ") for name in varied),
    "method",
    f"test accuracy on {dataset}, %",
    *top5,
    "seeds",
    "worst",
    "best",
    "unfinished",
    "paper, ImageNet, top-1 / top-5, %" if top5 else "paper, CIFAR-10, %",
  ]
  rows = [columns, ["---"] * len(columns)]
  for key, group in runs.items():
    values = np.array(list(accuracies(group).values()))
    numbers = ["-", *["-"] * len(top5), "0", "-", "-"]
    if len(values):
      numbers = [
        mean_and_deviation(values),
        *(
          mean_and_deviation(accuracies(group, "test_top5_accuracy").values())
          for _ in top5
        ),
        str(len(values)),
        f"{values.min():.1f}",
        f"{values.max():.1f}",
      ]
    unfinished = sum(run.result is None for run in group)
    paper = _paper(runs, varied, key)
    rows.append([*map(str, key), *numbers, str(unfinished), paper])
  return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def make_verdicts(runs, varied):
  """One line per comparison of the paper, and those that it left out."""
  is_imagenet = _has_top5(runs)
  order = [m for m in ORDER if m != "direct" or not is_imagenet]
  pairs = [
    *zip(order[:-1], order[1:], strict=True),
    *(_SILENT if is_imagenet else _SILENT[1:]),
  ]
  lines = []
  for settings in dict.fromkeys(key[:-1] for key in runs):
    title = ", ".join(
      f"{name} {value}" for name, value in zip(varied, settings, strict=True)
    )
    if title:
      lines.append(f"\n{title}:\n")
    for worse, better in pairs:
      known = [
        accuracies(runs.get((*settings, m), [])) for m in (worse, better)
      ]
      phrase = verdict(*known)
      if (worse, better) in _SILENT:
        phrase = phrase.replace("NOT as in the paper", "worse")
        phrase = phrase.replace("as in the paper", "better")
      lines.append(f"- {worse} < {better}: {phrase}")
  return "\n".join(lines) + "\n"


def read_curve(group, column):
  """One column of metrics.csv over the finished runs of a method.

  Returns:
    (steps `[T]`, values `[seeds, T]`), or None if no run has the column.
  """
  steps, curves = None, []
  for run in group:
    path = os.path.join(run.folder, "metrics.csv")
    if run.result is None:
      continue
    with open(path, encoding="utf-8", newline="") as file:
      rows = list(csv.DictReader(file))
    if not rows or not rows[0].get(column):
      return None
    steps = [int(row["step"]) for row in rows]
    curves.append([float(row[column]) for row in rows])
  return (steps, np.array(curves)) if curves else None


def save_figures(output, runs):
  """Draws accuracy over the updates, and alignment by depth.

  Args:
    output: folder.
    runs: as of `read_runs`, one entry per method.
  """
  os.makedirs(output, exist_ok=True)
  panels = {"test accuracy": _lines(runs, "test_accuracy")}
  figures.save_curves(
    os.path.join(output, "accuracy.png"), panels, "share of test pictures"
  )
  borders = max(
    0 if key[-1] == "backprop" else group[0].config.num_modules
    for key, group in runs.items()
  )
  for name in _CURVES:
    panels = {
      f"border {border} of {borders} (from below)": lines
      for border in range(1, borders + 1)
      if (lines := _lines(runs, f"{name}_{border}"))
    }
    if panels:
      figures.save_curves(
        os.path.join(output, f"{name}.png"),
        panels,
        f"{name.replace('_', ' ')} of synthetic and true gradient",
        num_columns=len(panels),
      )


def _lines(runs, column):
  lines = {}
  for key, group in runs.items():
    curve = read_curve(group, column)
    if curve is not None:
      lines[key[-1]] = curve
  return lines


def write_report(workdir, output):
  """Writes results.csv, table.md and the figures; returns the table's text.

  Runs that differ in more than method and seed make a table with a column for
  each such setting. If that is the number of modules alone, there is a folder
  of figures for each number, otherwise none.
  """
  runs, varied = read_runs(workdir)
  os.makedirs(output, exist_ok=True)
  write_csv(os.path.join(output, "results.csv"), runs, varied)
  text = make_table(runs, varied) + "\n" + make_verdicts(runs, varied)
  with open(os.path.join(output, "table.md"), "w", encoding="utf-8") as file:
    file.write(text)
  if not varied:
    save_figures(output, runs)
  elif varied == ["num_modules"]:
    for number in dict.fromkeys(key[0] for key in runs):
      chosen = {key: group for key, group in runs.items() if key[0] == number}
      save_figures(os.path.join(output, f"modules_{number}"), chosen)
  return text


def main(argv):
  """Writes the report that the command line names."""
  return command_line.write_report(argv, __doc__, write_report)


if __name__ == "__main__":
  command_line.run_main(main)
