"""Surrogates against their rivals, on problems that others published.

    python -m benchmarks.surrogates --folder=DIR [--seeds=5] [--problems=...]

Trains every rival on every problem with every seed, one after the other in
one process, and keeps each result in DIR/surrogates.csv at once: a run that was
stopped goes on where it stopped. DIR/surrogates.md is the table.
"""

import argparse
import csv
import importlib
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Before NumPy is imported: CPU seconds are of work, not of threads that wait.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np  # noqa: E402

from benchmarks import surrogate_problems, surrogate_rivals  # noqa: E402

_PACKAGES = ("sobolev_tf", "jenn", "smt.surrogate_models", "smt.problems")
_FIELDS = ("problem", "rival", "seed", "value", "gradient", "cpu_seconds")


def measure(problem, rival, seed):
  """Trains one rival on one problem: a row of the table of results."""
  data = surrogate_problems.PROBLEMS[problem](seed)
  train = surrogate_rivals.RIVALS[rival]
  begin = time.process_time()
  try:
    predict = train(data.x, data.y, data.dy, seed)
    seconds = time.process_time() - begin
    errors = errors_of(predict, data)
  except Exception as error:  # A rival that fails is a result.
    print(f"{problem}, {rival}, {seed}: {type(error).__name__}: {error}")
    seconds, errors = time.process_time() - begin, (np.nan, np.nan)
  numbers = (*(f"{e:.5g}" for e in errors), f"{seconds:.2f}")
  return dict(zip(_FIELDS, (problem, rival, seed, *numbers), strict=True))


def errors_of(predict, data):
  """Normalised root mean square errors of value and gradient.

  The value's is relative to the deviation of the test values; the gradient's
  relative to the root mean square of the test gradients after each component
  is brought to the scale of its input's deviation.
  """
  y, dy = predict(data.test_x)
  value = np.sqrt(np.mean((y - data.test_y) ** 2)) / data.test_y.std()
  scale = data.test_x.std(axis=0)
  error = np.mean(((dy - data.test_dy) * scale) ** 2)
  return value, np.sqrt(error / np.mean((data.test_dy * scale) ** 2))


def rows_of(path):
  """What has been measured so far."""
  if not path.exists():
    return []
  with path.open() as file:
    return list(csv.DictReader(file))


def run(path, problems, rivals, seeds):
  """Measures what is not in the file yet, seed by seed."""
  done = {(r["problem"], r["rival"], int(r["seed"])) for r in rows_of(path)}
  for seed in range(seeds):
    for problem in problems:
      size = len(surrogate_problems.PROBLEMS[problem](seed).x)
      for rival in rivals:
        largest = surrogate_rivals.LARGEST.get(rival, np.inf)
        if (problem, rival, seed) in done or size > largest:
          continue
        _append(path, measure(problem, rival, seed))


def _append(path, row):
  new = not path.exists()
  with path.open("a", newline="") as file:
    writer = csv.DictWriter(file, _FIELDS, lineterminator="\n")
    if new:
      writer.writeheader()
    writer.writerow(row)


def table(rows):
  """The report, as markdown."""
  problems = [p for p in surrogate_problems.PROBLEMS if _of(rows, problem=p)]
  rivals = [r for r in surrogate_rivals.RIVALS if _of(rows, rival=r)]
  seeds = len({row["seed"] for row in rows})
  lines = [
    "# Surrogates",
    "`python -m benchmarks.surrogates`; medians over up to "
    f"{seeds} seed(s) of design and initial weights, lowest and highest "
    "in brackets. CPU seconds are of one process beside other work on two "
    "cores, with one thread for NumPy; they include tracing and compiling, not "
    "imports. Errors are on "
    "points that none of the methods saw: root mean square, relative to the "
    "deviation of the values and to the root mean square of the gradients "
    "(each component times its input's deviation). Bold: the lowest median.",
    "",
  ]
  for name, title in (
    ("value", "Error of the value, %"),
    ("gradient", "Error of the gradient, %"),
    ("cpu_seconds", "CPU seconds"),
  ):
    lines += [f"## {title}", "| | " + " | ".join(rivals) + " |"]
    lines.append("|---" * (len(rivals) + 1) + "|")
    for problem in problems:
      factor = 1 if name == "cpu_seconds" else 100
      lines.append(_row(rows, problem, rivals, name, factor))
    lines.append("")
  typed = [
    str(surrogate_rivals.lines_of(surrogate_rivals.RIVALS[r])) for r in rivals
  ]
  lines += [
    "Lines that a user types: "
    + ", ".join(
      f"{rival} {count}" for rival, count in zip(rivals, typed, strict=True)
    )
    + ".",
    "",
    *_verdict(rows, problems, rivals),
  ]
  return "\n".join(lines) + "\n"


def _row(rows, problem, rivals, name, factor):
  found = [
    np.array(
      [
        float(r[name]) if r["value"] != "nan" else np.nan
        for r in _of(rows, problem=problem, rival=rival)
      ]
    )
    * factor
    for rival in rivals
  ]
  medians = [
    np.median(f) if len(f) and np.isfinite(f).all() else np.inf for f in found
  ]
  cells = []
  for values, median in zip(found, medians, strict=True):
    if not len(values):
      cells.append("-")
    elif not np.isfinite(values).all():
      cells.append("failed")
    else:
      text = f"{median:.3g}"
      text = f"**{text}**" if median == min(medians) else text
      ends = f" ({values.min():.2g} to {values.max():.2g})"
      cells.append(text + (ends if len(values) > 1 else ""))
  return f"| {problem} | " + " | ".join(cells) + " |"


def _verdict(rows, problems, rivals):
  """How ours compares with the best rival of each problem, in sentences."""
  peers = [r for r in rivals if not r.startswith("ours")]
  lines, as_good, near, faster = [], [], [], []
  for problem in problems:
    parts, ratios = [], []
    for name in ("value", "gradient"):
      medians = _medians(rows, problem, ["ours", *peers], name)
      best = min((k for k in medians if k != "ours"), key=medians.get)
      ratios.append(medians["ours"] / medians[best])
      parts.append(f"{name} {ratios[-1]:.2f} times the error of {best}")
      if name == "value":
        best_of_value = best
        seconds = _medians(rows, problem, ["ours", best], "cpu_seconds")
    ours, peer = seconds["ours"], seconds[best_of_value]
    lines.append(
      f"- {problem}: {', '.join(parts)}; {ours:.1f} CPU seconds against "
      f"{peer:.1f} of {best_of_value}"
    )
    as_good += [problem] if max(ratios) <= 1 else []
    near += [problem] if 1 < max(ratios) <= 1.3 else []
    faster += [problem] if ours < peer else []
  return [
    "## Against the best rival of each problem",
    f"At least as good in value and gradient on {len(as_good)} of "
    f"{len(problems)} problems ({', '.join(as_good)}), within 1.3 times on "
    f"{len(near)} more ({', '.join(near)}); in less CPU time than the best "
    f"rival of the value on {len(faster)} ({', '.join(faster)}).",
    "",
    *lines,
  ]


def _medians(rows, problem, rivals, name):
  """Medians over the seeds of those rivals that never failed."""
  medians = {
    rival: np.median([float(r[name]) for r in found])
    for rival in rivals
    if (found := _of(rows, problem=problem, rival=rival))
  }
  return {k: v for k, v in medians.items() if np.isfinite(v)}


def _of(rows, **wanted):
  return [row for row in rows if all(row[k] == v for k, v in wanted.items())]


def main():
  """Reads the command line, measures and writes the table."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--folder", type=pathlib.Path, required=True)
  parser.add_argument("--seeds", type=int, default=5)
  names = tuple(surrogate_problems.PROBLEMS)
  parser.add_argument("--problems", nargs="+", default=names, choices=names)
  names = tuple(surrogate_rivals.RIVALS)
  parser.add_argument("--rivals", nargs="+", default=names, choices=names)
  arguments = parser.parse_args()
  arguments.folder.mkdir(parents=True, exist_ok=True)
  for package in _PACKAGES:  # Imports are not what is timed.
    importlib.import_module(package)
  path = arguments.folder / "surrogates.csv"
  run(path, arguments.problems, arguments.rivals, arguments.seeds)
  (arguments.folder / "surrogates.md").write_text(table(rows_of(path)))


if __name__ == "__main__":
  main()
