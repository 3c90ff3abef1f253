r"""Figure 4 and its table from finished distillation runs.

    python -m trainers.distillation.report --workdir=DIR \
        --output=results/figure4

Reads every run below --workdir but those of a search; trains nothing. A run
that was begun and is not finished (its loss was not finite, say) is counted.
"""

import csv
import os

import numpy as np

from trainers.distillation import figures
from trainers.distillation.runs import curve, read_runs, scores
from trainers.distillation.search import matters
from trainers.lifecycle import command_line
from trainers.lifecycle.statistics import compare, mean_and_deviation, verdict

_CLAIM = "sobolev"  # "in all scenarios", Figure 4
_MEASURES = ("test_error", "test_kl")
_NUMBERS = (
  *_MEASURES,
  "gradient_distance",
  "gradient_cosine",
  "teacher_gradient_norm",
  "majority_error",
  "teacher_entropy",
  "num_train",
  "num_held_out",
)


def values(group, name):
  """One number of the result by seed, of the finished runs.

  An error of 0 counts as half a frame, so that its logarithm exists.
  """
  found = {}
  for run in group:
    if run.result:
      found[run.config.seed] = run.result[name]
      if name == "test_error":
        found[run.config.seed] = max(
          run.result[name], 0.5 / run.result["num_held_out"]
        )
  return found


def compare_methods(runs, scenario, name):
  """Regular against Sobolev distillation in one scenario.

  Args:
    runs: as `read_runs` returns them.
    scenario: (game, percentage).
    name: of a measure.

  Returns:
    (ratio, p) as `compare` does, over the seeds that both have; None if there
    are none.
  """
  regular, sobolev = (
    values(runs.get((*scenario, method), []), name)
    for method in ("regular", "sobolev")
  )
  seeds = sorted(set(regular) & set(sobolev))
  if not seeds:
    return None
  return compare([regular[s] for s in seeds], [sobolev[s] for s in seeds])


def compare_all(runs):
  """dict from (game, percentage) to a dict from a measure to (ratio, p)."""
  found = {}
  for scenario in dict.fromkeys(key[:2] for key in runs):
    results = {n: compare_methods(runs, scenario, n) for n in _MEASURES}
    if all(results.values()):
      found[scenario] = results
  return found


def make_comparison(runs):
  """Renders regular beside Sobolev distillation as Markdown."""
  columns = (
    "game",
    "% of frames",
    "error %, regular",
    "error %, Sobolev",
    "KL, regular",
    "KL, Sobolev",
    "error ratio",
    "KL ratio",
    "verdict on the error",
    "verdict on KL",
    "error % of the majority action",
    "teacher's entropy",
  )
  rows = []
  for scenario, results in compare_all(runs).items():
    groups = [runs[*scenario, method] for method in ("regular", "sobolev")]
    baseline = next(run.result for run in groups[0] if run.result)
    rows.append(
      [
        scenario[0],
        f"{scenario[1]:g}",
        *(_spread(values(group, "test_error"), 100, 2) for group in groups),
        *(_spread(values(group, "test_kl"), 1, 4) for group in groups),
        *(f"{results[name][0]:.2f}" for name in _MEASURES),
        *(verdict(_CLAIM, *results[name]) for name in _MEASURES),
        f"{100 * baseline['majority_error']:.1f}",
        f"{baseline['teacher_entropy']:.3f}",
      ]
    )
  return _markdown(columns, rows)


def make_claims(runs):
  """One line for each sentence of the paper about Figure 4."""
  results = compare_all(runs)
  lines = [
    f'- "In all scenarios": {_count(results, "test_error")} for the error, '
    f"{_count(results, 'test_kl')} for KL."
  ]
  ratios = {}  # game -> KL ratio by percentage
  for (game, percentage), found in results.items():
    ratios.setdefault(game, {})[percentage] = found["test_kl"][0]
  for game, found in ratios.items():
    low, high = min(found), max(found)
    if low < high:
      if found[low] <= 1:
        word = "there is NO gain"
      elif found[low] > found[high]:
        word = "the gain is larger"
      else:
        word = "the gain is NOT larger"
      lines.append(
        f'- "Especially in low data", {game}: {word} there; regular KL is '
        f"{found[low]:.2f} times Sobolev's at {low:g} %, {found[high]:.2f} "
        f"times at {high:g} %."
      )
  means = {
    game: float(np.exp(np.mean(np.log(list(found.values())))))
    for game, found in ratios.items()
  }
  if "pong" in means and len(means) > 1:
    # A gap has no sign: to lose much is no small one.
    closest = min(means, key=lambda game: abs(np.log(means[game])))
    word = "closest" if closest == "pong" else "NOT closest"
    listed = ", ".join(f"{game} {mean:.2f}" for game, mean in means.items())
    lines.append(
      f'- "The gap on Pong is small": the KLs of both methods are {word} on '
      f"Pong (their mean ratio: {listed})."
    )
  return "\n".join(lines) + "\n"


def _count(results, name):
  better = sum(found[name][0] > 1 for found in results.values())
  clearly = sum(
    ratio > 1 and p < 0.05
    for ratio, p in (found[name] for found in results.values())
  )
  worse = sum(
    ratio < 1 and p < 0.05
    for ratio, p in (found[name] for found in results.values())
  )
  return (
    f"Sobolev is better in {better} of {len(results)} ({clearly} beyond the "
    f"spread of the seeds; {worse} clearly worse)"
  )


def make_all_rows(runs):
  """Renders every method with its settings and game scores as Markdown."""
  columns = (
    "game",
    "% of frames",
    "method",
    "alpha",
    "learning rate",
    "error %",
    "KL",
    "gradients' distance (teacher's norm)",
    "gradients' cosine",
    "score, greedy (teacher)",
    "score, sampled (teacher)",
    "seeds",
    "unfinished",
  )
  rows = []
  for (game, percentage, method), group in runs.items():
    config = group[0].config
    rows.append(
      [
        game,
        f"{percentage:g}",
        method,
        f"{config.alpha:g}" if matters("alpha", method) else "-",
        f"{config.learning_rate:.3g}",
        _spread(values(group, "test_error"), 100, 2),
        _spread(values(group, "test_kl"), 1, 4),
        _distance(group),
        _spread(values(group, "gradient_cosine"), 1, 3),
        _play(group, "greedy"),
        _play(group, "sampled"),
        str(sum(run.result is not None for run in group)),
        str(sum(run.result is None for run in group)),
      ]
    )
  return _markdown(columns, rows)


def _distance(group):
  """Distance from the teacher's gradients, and how long those are."""
  norms = list(values(group, "teacher_gradient_norm").values())
  text = _spread(values(group, "gradient_distance"), 1, 2)
  return f"{text} ({np.mean(norms):.2f})" if norms else text


def _play(group, way):
  """A student's mean score ± its deviation over episodes, and the teacher's."""
  student, teacher = scores(group, way)
  if not student:
    return "-"
  text = mean_and_deviation(student)
  return f"{text} ({np.mean(teacher):.1f})" if teacher else text


def _spread(by_seed, scale, digits):
  if not by_seed:
    return "-"
  return mean_and_deviation(
    [scale * value for value in by_seed.values()], digits
  )


def _markdown(columns, rows):
  lines = [columns, ["---"] * len(columns), *rows]
  return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write_csv(path, runs):
  """Writes one row per run; an unfinished one has no numbers."""
  settings = ("alpha", "learning_rate", "num_steps")
  played = ("score_greedy", "score_sampled")
  with open(path, "w", encoding="utf-8", newline="") as file:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
      ["game", "percentage", "method", "seed", *settings, *_NUMBERS, *played]
    )
    for (game, percentage, method), group in runs.items():
      for run in group:
        row = [getattr(run.config, name) for name in settings]
        numbers = [""] * (len(_NUMBERS) + len(played))
        if run.result:
          numbers = [f"{run.result[name]:.6g}" for name in _NUMBERS]
          numbers += [
            f"{np.mean(run.result[n]):.6g}" if n in run.result else ""
            for n in played
          ]
        writer.writerow(
          [game, f"{percentage:g}", method, run.config.seed, *row, *numbers]
        )


def save_figures(output, runs):
  """Draws Figure 4, and the controls where there are any."""
  main = {k: g for k, g in runs.items() if k[2] in ("regular", "sobolev")}
  _save_figure(os.path.join(output, "figure4.png"), main)
  scenarios = {key[:2] for key in runs if key not in main}
  if scenarios:
    some = {k: g for k, g in runs.items() if k[:2] in scenarios}
    _save_figure(os.path.join(output, "controls.png"), some)


def _save_figure(path, runs):
  panels = {}  # (game, measure, percentage) -> method -> (steps, values)
  for (game, percentage, method), group in runs.items():
    for name in _MEASURES:
      found = curve(group, name)
      if found is not None:
        lines = panels.setdefault((game, name, percentage), {})
        lines[method] = found
  if panels:
    figures.save_curves(path, panels)


def write_report(workdir, output):
  """Writes results.csv, table.md and the figures; returns the table's text.

  Args:
    workdir: folder that holds the runs.
    output: folder to write into.

  Raises:
    CommandError: there is no finished run, or the runs do not fit together.
  """
  runs = read_runs(workdir, is_search=False)
  os.makedirs(output, exist_ok=True)
  write_csv(os.path.join(output, "results.csv"), runs)
  config = next(iter(runs.values()))[0].config
  text = "\n".join(
    [
      f"{config.num_steps:,} updates with batches of {config.batch_size}; mean "
      "± deviation over seeds; ratios are regular / Sobolev, paired by seed; "
      "KL(student ‖ teacher) and entropy in nats.\n",
      make_comparison(runs),
      make_claims(runs),
      make_all_rows(runs),
    ]
  )
  with open(os.path.join(output, "table.md"), "w", encoding="utf-8") as file:
    file.write(text)
  save_figures(output, runs)
  return text


def main(argv):
  """Writes the report that the command line names."""
  return command_line.write_report(argv, __doc__, write_report)


if __name__ == "__main__":
  command_line.run_main(main)
