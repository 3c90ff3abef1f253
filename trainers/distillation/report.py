r"""Figure 4 and its table from finished distillation runs.

    python -m trainers.distillation.report --workdir=DIR \
        --output=results/figure4
    python -m trainers.distillation.report --redraw --output=results/figure4

The first reads every run below --workdir but those of a search, the second
makes table and figures again from what the first wrote into --output; nothing
is trained. A run that was begun and is not finished (because its loss was
not finite, for example) is counted.
"""

import os

import numpy as np

from trainers.distillation import figures, search
from trainers.distillation.config import Config, in_order, variant
from trainers.lifecycle import command_line, finished, tables
from trainers.lifecycle.report import Report
from trainers.lifecycle.statistics import (
  compare,
  improvement,
  mean_and_deviation,
  ratio_with_interval,
  verdicts,
)

_PAIR = ("regular", "sobolev")
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
# What a curve of each measure is to be compared with.
_LEVELS = {"test_error": "majority_error", "test_kl": "teacher_entropy"}
_NOTE = (
  "Atari frames recorded from our teachers; the student trains on the share "
  "above each column.\nKL(student ‖ teacher)."
)
# Settings besides the keys; all runs of a table must agree in the last two.
_SETTINGS = ("alpha", "learning_rate", "num_steps", "batch_size")
_WAYS = ("greedy", "sampled")
_SCORES = ("score", "deviation", "teacher")
_PLAYED = [f"{name}_{way}" for way in _WAYS for name in _SCORES]
_KEYS = ("game", "percentage", "method", "seed")


def collect(runs, output):
  """Writes results.csv, one row per run, and the curves."""
  for name in _SETTINGS[-2:]:
    given = sorted({getattr(run.config, name) for run in runs})
    if len(given) > 1:
      raise command_line.CommandError(
        f"the runs differ in {name} ({given[0]} and {given[-1]}); give a "
        "--workdir that holds one kind."
      )
  finished.check_distinct(runs, lambda run: _key(run.config))
  runs = in_order(runs)
  keys = [dict(zip(_KEYS, _key(run.config), strict=True)) for run in runs]
  rows = [
    {
      **key,
      **{name: getattr(run.config, name) for name in _SETTINGS},
      **tables.numbers_of(run.result, _NUMBERS),
      **tables.numbers_of(_scores(run.result or {}), _PLAYED),
    }
    for key, run in zip(keys, runs, strict=True)
  ]
  tables.write_csv(os.path.join(output, "results.csv"), rows)
  path = os.path.join(output, "curves.csv")
  tables.write_curves(path, keys, runs, _MEASURES)


def _key(config):
  return config.game, f"{config.percentage:g}", variant(config), config.seed


def _scores(result):
  """Mean and deviation of a student's scores, and its teacher's mean."""
  found = {}
  for way in _WAYS:
    scores = result.get(f"score_{way}")
    teacher = result.get(f"teacher_score_{way}")
    if scores:
      found[f"score_{way}"] = np.mean(scores)
      found[f"deviation_{way}"] = np.std(scores, ddof=len(scores) > 1)
    if teacher:
      found[f"teacher_{way}"] = np.mean(teacher)
  return found


def render(output):
  """The table, and what is drawn, from the files of a folder."""
  rows = tables.read_csv(
    os.path.join(output, "results.csv"), *_KEYS, *_SETTINGS, *_NUMBERS, *_PLAYED
  )
  results = compare_all(rows)
  keys = [(scenario, name) for scenario in results for name in _MEASURES]
  family = [
    (ratio > 1, p) for s, name in keys for ratio, p in [results[s][name]]
  ]
  phrases = dict(zip(keys, verdicts(family), strict=True))
  intro = (
    f"{int(rows[0]['num_steps']):,} updates with batches of "
    f"{rows[0]['batch_size']}; mean ± deviation over seeds; ratios are regular "
    "/ Sobolev, paired by seed, with 95 % intervals that are not corrected; "
    "KL(student ‖ teacher) and entropy in nats; p of paired t-tests, Holm's "
    "correction over both measures of the table.\n"
  )
  parts = (
    make_comparison(rows, phrases),
    make_claims(rows, results, phrases),
    make_all_rows(rows),
  )
  return "\n".join([intro, *parts]), {
    "curves.csv": lambda path: save_figures(output, path, rows)
  }


def values(rows, name):
  """One number of the finished runs by seed.

  An error of 0 counts as half a frame, so that its logarithm exists.
  """
  found = {row["seed"]: float(row[name]) for row in rows if row[name]}
  if name == "test_error":
    for row in rows:
      if found.get(row["seed"]) == 0:
        found[row["seed"]] = 0.5 / float(row["num_held_out"])
  return found


def compare_methods(rows, name):
  """Regular against Sobolev distillation in one scenario.

  Args:
    rows: of results.csv, of one game and percentage.
    name: of a measure.

  Returns:
    (ratio, p) as `compare` does, over the seeds that both have; None if there
    are none.
  """
  regular, sobolev = _paired(rows, name)
  return compare(regular, sobolev) if regular else None


def _paired(rows, name):
  """A measure of both methods, over the seeds that both have."""
  regular, sobolev = (values(_of(rows, method), name) for method in _PAIR)
  seeds = sorted(set(regular) & set(sobolev))
  return [regular[s] for s in seeds], [sobolev[s] for s in seeds]


def _of(rows, method):
  return [row for row in rows if row["method"] == method]


def compare_all(rows):
  """dict from (game, percentage) to a dict from a measure to (ratio, p)."""
  found = {}
  for scenario, own in tables.group(rows, "game", "percentage").items():
    results = {name: compare_methods(own, name) for name in _MEASURES}
    if all(results.values()):
      found[scenario] = results
  return found


def make_comparison(rows, phrases):
  """Renders regular beside Sobolev distillation as Markdown."""

  def spread(name, method, *form):
    return lambda group: _spread(_of(group, method), name, *form)

  def ratio(name):
    return lambda group: ratio_with_interval(*_paired(group, name))

  def verdict(name):
    return lambda g: phrases[(g[0]["game"], g[0]["percentage"]), name]

  def first(name):
    return lambda group: tables.numbers(_of(group, "regular"), name)[0]

  cells = {
    "game": lambda group: group[0]["game"],
    "% of frames": lambda group: group[0]["percentage"],
    "error %, regular": spread("test_error", "regular", 2, 100),
    "error %, Sobolev": spread("test_error", "sobolev", 2, 100),
    "KL, regular": spread("test_kl", "regular", 4),
    "KL, Sobolev": spread("test_kl", "sobolev", 4),
    "error ratio": ratio("test_error"),
    "KL ratio": ratio("test_kl"),
    "verdict on the error": verdict("test_error"),
    "verdict on KL": verdict("test_kl"),
    "error % of the majority action": lambda group: (
      f"{100 * first('majority_error')(group):.1f}"
    ),
    "teacher's entropy": lambda group: f"{first('teacher_entropy')(group):.3f}",
  }
  groups = tables.group(rows, "game", "percentage")
  scenarios = dict.fromkeys(scenario for scenario, _ in phrases)
  return tables.markdown([groups[scenario] for scenario in scenarios], cells)


def make_claims(rows, results, phrases):
  """One line for each sentence of the paper about Figure 4."""
  lines = [
    f'- "In all scenarios", {title}: {_count(rows, results, phrases, name)}'
    for name, title in zip(_MEASURES, ("the error", "KL"), strict=True)
  ]
  ratios = {}  # game -> KL ratio by percentage
  for (game, percentage), found in results.items():
    ratios.setdefault(game, {})[float(percentage)] = found["test_kl"][0]
  lines += [
    _low_data(game, found) for game, found in ratios.items() if len(found) > 1
  ]
  means = {
    game: float(np.exp(np.mean(np.log(list(found.values())))))
    for game, found in ratios.items()
  }
  if "pong" in means and len(means) > 1:
    # A gap has no sign: a large loss is a large gap, too.
    closest = min(means, key=lambda game: abs(np.log(means[game])))
    which = "closest" if closest == "pong" else "NOT closest"
    listed = ", ".join(f"{game} {mean:.2f}" for game, mean in means.items())
    lines.append(
      f'- "The gap on Pong is small": the KLs of both methods are {which} on '
      f"Pong (their mean ratio: {listed})."
    )
  return "\n".join(lines) + "\n"


def _low_data(game, ratios):
  """Whether the least data gains most; `ratios` of KL by percentage."""
  low, high = min(ratios), max(ratios)
  if ratios[low] <= 1:
    finding = "there is NO gain"
  elif ratios[low] > ratios[high]:
    finding = "the gain is larger"
  else:
    finding = "the gain is NOT larger"
  return (
    f'- "Especially in low data", {game}: {finding} there; regular KL is '
    f"{ratios[low]:.2f} times Sobolev's at {low:g} %, {ratios[high]:.2f} times "
    f"at {high:g} %."
  )


def _count(rows, results, phrases, name):
  better = sum(result[name][0] > 1 for result in results.values())
  own = [phrase for (_, n), phrase in phrases.items() if n == name]
  kinds = [phrase.split(" (")[0] for phrase in own]
  groups = tables.group(rows, "game", "percentage")
  regular, sobolev = (
    [list(values(_of(groups[s], m), name).values()) for s in results]
    for m in _PAIR
  )
  return (
    f"Sobolev is better in {better} of {len(own)} scenarios (shown in "
    f"{kinds.count('shown')}, contradicted in {kinds.count('contradicted')}); "
    "a Sobolev student is better than a regular one with probability "
    f"{improvement(sobolev, regular)}."
  )


def make_all_rows(rows):
  """Renders every method with its settings and game scores as Markdown."""

  def alpha(group):
    matters = search.matters("alpha", group[0]["method"])
    return f"{float(group[0]['alpha']):g}" if matters else "-"

  def distance(group):
    norms = tables.numbers(group, "teacher_gradient_norm")
    text = _spread(group, "gradient_distance", 2)
    return f"{text} ({np.mean(norms):.2f})" if norms else text

  cells = {
    "game": lambda group: group[0]["game"],
    "% of frames": lambda group: group[0]["percentage"],
    "method": lambda group: group[0]["method"],
    "alpha": alpha,
    "learning rate": lambda g: f"{float(g[0]['learning_rate']):.3g}",
    "error %": lambda group: _spread(group, "test_error", 2, 100),
    "KL": lambda group: _spread(group, "test_kl", 4),
    "gradients' distance (teacher's norm)": distance,
    "gradients' cosine": lambda group: _spread(group, "gradient_cosine", 3),
    "score, greedy (teacher)": lambda group: _play(group, "greedy"),
    "score, sampled (teacher)": lambda group: _play(group, "sampled"),
    "seeds": lambda group: str(len(values(group, "test_kl"))),
    "unfinished": lambda group: str(sum(not row["test_kl"] for row in group)),
  }
  return tables.markdown(tables.group(rows, *_KEYS[:3]).values(), cells)


def _play(rows, way):
  """Scores of the students and, in brackets, their teacher's.

  Of one student that played: mean ± deviation over its episodes. Of several:
  over their means.
  """
  mean, deviation, teacher = (
    tables.numbers(rows, f"{name}_{way}") for name in _SCORES
  )
  if not mean:
    return "-"
  text = mean_and_deviation(mean)
  if len(mean) == 1 and deviation:
    text = f"{mean[0]:.1f} ± {deviation[0]:.1f}"
  return f"{text} ({teacher[-1]:.1f})" if teacher else text


def _spread(rows, name, digits, scale=1):
  found = values(rows, name).values()
  if not found:
    return "-"
  return mean_and_deviation([scale * value for value in found], digits)


def save_figures(output, path, rows):
  """Draws Figure 4, and the controls where there are any.

  Args:
    output: folder.
    path: of the curves.
    rows: of results.csv.
  """
  lines, controlled = {}, set()
  for measure in _MEASURES:
    curves = tables.read_curves(path, measure)
    for (game, percentage, method), curve in curves.items():
      key = game, measure, float(percentage)
      lines.setdefault(key, {})[method] = curve
      if method not in _PAIR:
        controlled.add(key)
  # Both measures of a game stand together.
  games = list(dict.fromkeys(key[0] for key in lines))
  keys = sorted(lines, key=lambda key: (games.index(key[0]), key[1:]))
  main = {
    key: {m: c for m, c in lines[key].items() if m in _PAIR} for key in keys
  }
  extras = _levels(rows), _NOTE
  figures.save_curves(os.path.join(output, "figure4.png"), main, *extras)
  if controlled:
    controls = {key: lines[key] for key in keys if key in controlled}
    figures.save_curves(os.path.join(output, "controls.png"), controls, *extras)


def _levels(rows):
  """What each panel's curves are to be compared with, mean over seeds."""
  return {
    (game, measure, float(percentage)): float(
      np.mean(tables.numbers(known, name))
    )
    for (game, percentage), group in tables.group(
      rows, "game", "percentage"
    ).items()
    for measure, name in _LEVELS.items()
    if (known := [row for row in group if row.get(name)])
  }


REPORT = Report(
  __doc__,
  "./scripts/reproduce_figure4.sh",
  lambda fields: None if fields.get("validation_share") else Config,
  collect,
  render,
  lambda config: _NUMBERS,
)
main = REPORT.main

if __name__ == "__main__":
  command_line.run_main(main)
