"""What noise in the derivative labels does to `fit_surrogate`.

    python -m benchmarks.noise_promise --folder=DIR [--seeds=3]

The error of the value with derivative labels, divided by the error of the same
call without them, on problems of the surrogate benchmark whose labels are
exact. Noise is Gaussian, its deviation a share of the root mean square of each
component. The promise: never above 1.05, at most 0.5 up to 5 % of noise.
Results are kept in DIR/surrogate_noise.csv at once; a stopped run goes on.
"""

import argparse
import csv
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Before NumPy is imported: CPU seconds are of work, not of threads that wait.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np  # noqa: E402

import sobolev_tf  # noqa: E402
from benchmarks import surrogate_problems  # noqa: E402

PROBLEMS = ("branin", "robot_arm", "rastrigin")
NOISE = (0.0, 0.01, 0.05, 0.2, 0.5)
_FIELDS = ("problem", "seed", "noise", "value", "covered")
_NONE = "without dy"


def measure(problem, noise, seed):
  """A row of the table of results; noise may be "without dy"."""
  data = surrogate_problems.PROBLEMS[problem](seed)
  dy = None
  if noise != _NONE:
    rng = np.random.default_rng([seed, 9])
    size = np.sqrt(np.mean(data.dy**2, axis=0))
    dy = data.dy + noise * size * rng.normal(size=data.dy.shape)
  model = sobolev_tf.fit_surrogate(data.x, data.y, dy, seed=seed)
  value, half_width = model.predict_with_uncertainty(data.test_x)
  error = np.abs(value - data.test_y)
  nrmse = np.sqrt(np.mean(error**2)) / data.test_y.std()
  covered = np.mean(error <= half_width)
  row = (problem, seed, noise, f"{nrmse:.5g}", f"{covered:.3f}")
  return dict(zip(_FIELDS, row, strict=True))


def rows_of(path):
  """What has been measured so far."""
  if not path.exists():
    return []
  with path.open() as file:
    return list(csv.DictReader(file))


def run(path, problems, seeds):
  """Measures what is not in the file yet."""
  done = {(r["problem"], r["seed"], r["noise"]) for r in rows_of(path)}
  with path.open("a", newline="") as file:
    writer = csv.DictWriter(file, _FIELDS, lineterminator="\n")
    if not done:
      writer.writeheader()
    for seed in range(seeds):
      for problem in problems:
        for noise in (_NONE, *NOISE):
          if (problem, str(seed), str(noise)) not in done:
            writer.writerow(measure(problem, noise, seed))
            file.flush()


def table(rows):
  """The report, as markdown."""
  values = {
    (r["problem"], r["seed"], r["noise"]): float(r["value"]) for r in rows
  }
  seeds = sorted({row["seed"] for row in rows})
  lines = [
    "# Noise in the derivative labels",
    "`python -m benchmarks.noise_promise`: error of the value of "
    "`fit_surrogate` with derivatives, divided by its error without; median "
    f"over {len(seeds)} seed(s), lowest and highest in brackets. Noise is "
    "Gaussian, as a share of each component's root mean square. Tests are on "
    "points that were not seen.",
    "",
    "| | " + " | ".join(f"{noise:.0%}" for noise in NOISE) + " |",
    "|---" * (len(NOISE) + 1) + "|",
  ]
  all_ratios = {noise: [] for noise in NOISE}
  for problem in dict.fromkeys(row["problem"] for row in rows):
    cells = []
    for noise in NOISE:
      ratios = [
        values[problem, seed, str(noise)] / values[problem, seed, _NONE]
        for seed in seeds
        if {(problem, seed, str(noise)), (problem, seed, _NONE)} <= set(values)
      ]
      all_ratios[noise] += ratios
      cells.append(
        f"{np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        if ratios
        else "-"
      )
    lines.append(f"| {problem} | " + " | ".join(cells) + " |")
  every = [ratio for ratios in all_ratios.values() for ratio in ratios]
  low = [r for noise in NOISE if noise <= 0.05 for r in all_ratios[noise]]
  covered = [float(row["covered"]) for row in rows]
  lines += [
    "",
    f"At most 1.05: {np.sum(np.array(every) <= 1.05)} of {len(every)} cases. "
    f"At most 0.5 with up to 5 % of noise: {np.sum(np.array(low) <= 0.5)} of "
    f"{len(low)}.",
    f"The 90 % intervals of all these fits hold {np.mean(covered):.1%} of the "
    f"test values on average, {min(covered):.0%} to {max(covered):.0%}.",
  ]
  return "\n".join(lines) + "\n"


def main():
  """Reads the command line, measures and writes the table."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--folder", type=pathlib.Path, required=True)
  parser.add_argument("--seeds", type=int, default=3)
  parser.add_argument(
    "--problems", nargs="+", default=PROBLEMS, choices=PROBLEMS
  )
  arguments = parser.parse_args()
  arguments.folder.mkdir(parents=True, exist_ok=True)
  path = arguments.folder / "surrogate_noise.csv"
  run(path, arguments.problems, arguments.seeds)
  (path.with_suffix(".md")).write_text(table(rows_of(path)))


if __name__ == "__main__":
  main()
