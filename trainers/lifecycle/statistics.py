"""Comparing methods over seeds and tasks, and stating the result.

Runs of the same seed share their examples and their initial weights, so their
errors are paired. What is said of a figure is corrected for all the comparisons
that the figure makes. Aggregates over tasks are those of Agarwal et al. 2021,
"Deep Reinforcement Learning at the Edge of the Statistical Precipice"; scores
are `[runs, tasks]` there.
"""

import collections

import numpy as np
from scipy import stats

_LEVEL = 0.05  # a corrected p-value below this counts as a difference


def mean_and_deviation(values, digits=1):
  """ "MEAN ± DEVIATION" of a sample over seeds; of one seed the value alone."""
  values = np.array(list(values))
  mean = f"{values.mean():.{digits}f}"
  if len(values) == 1:
    return mean
  return f"{mean} ± {values.std(ddof=1):.{digits}f}"


def p_of_difference(differences):
  """p-value of paired differences, one per seed, in a two-sided t-test.

  It is 1 for a single seed, or where no seed shows a difference.
  """
  if len(differences) < 2 or not np.any(differences):
    return 1.0
  if np.ptp(differences) <= 1e-12 * np.abs(differences).max():
    return 0.0  # all the same, but for rounding
  return stats.ttest_1samp(differences, 0.0).pvalue


def compare(regular, sobolev):
  """Compares the test errors of the two methods seed by seed.

  Args:
    regular: test error of each seed.
    sobolev: the same for Sobolev training; same seeds, same points.

  Returns:
    (ratio, p): the geometric mean of regular / sobolev, and the p-value of the
    logarithms' difference, not corrected.
  """
  differences = np.log10(regular) - np.log10(sobolev)
  return 10 ** np.mean(differences), p_of_difference(differences)


def ratio_with_interval(regular, sobolev):
  """ "RATIO (LOW to HIGH)" of the errors that `compare` compares.

  The interval is that of 95 % for the mean of the logarithms, by Student's
  distribution, of this comparison alone: not corrected. One seed has none.
  """
  logs = np.log10(regular) - np.log10(sobolev)
  ratio = f"{10 ** logs.mean():.3g}"
  if len(logs) < 2:
    return ratio
  half = stats.t.ppf(0.975, len(logs) - 1) * stats.sem(logs)
  low, high = 10 ** (logs.mean() - half), 10 ** (logs.mean() + half)
  return f"{ratio} ({low:.3g} to {high:.3g})"


def holm(p_values):
  """p-values corrected for being one family, by Holm's method (1979)."""
  p_values = np.asarray(p_values, np.float64)
  order = np.argsort(p_values, kind="stable")
  steps = p_values[order] * np.arange(len(order), 0, -1)
  corrected = np.empty_like(p_values)
  corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
  return corrected


def verdicts(family):
  """One phrase for each comparison of a figure: does the paper's claim show?

  A claim is shown, or contradicted, if "no difference" is outside the interval
  of the difference after Holm's correction over the family.

  Args:
    family: list of (agrees, p): whether the measured difference has the sign
      that the paper claims, or None where the paper is silent, and its p-value.
  """
  words = {True: "shown", False: "contradicted", None: "a difference"}
  corrected = holm([p for _, p in family])
  return [
    f"{words[agrees] if p < _LEVEL else 'not settled'} (p = {p:.2g})"
    for (agrees, _), p in zip(family, corrected, strict=True)
  ]


def tally(phrases):
  """One sentence that counts the phrases of `verdicts` by kind."""
  kinds = collections.Counter(phrase.split(" (")[0] for phrase in phrases)
  counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
  return (
    f"Of {kinds.total()} comparisons: {counts} (paired t-tests, Holm's "
    "correction over the table)."
  )


def interquartile_mean(scores):
  """Mean of the middle half of all runs on all tasks."""
  return stats.trim_mean(scores, 0.25, axis=None)


def probability_of_improvement(ours, theirs):
  """How likely a run of ours beats one of theirs, mean over the tasks.

  Args:
    ours: `[runs, tasks]`, higher is better.
    theirs: `[runs, tasks]`, the numbers of runs may differ.
  """
  difference = ours[:, np.newaxis] - theirs[np.newaxis]  # [ours, theirs, tasks]
  return np.mean((difference > 0) + 0.5 * (difference == 0))


def performance_profile(scores, thresholds):
  """Share of runs on all tasks above each threshold."""
  return np.array([np.mean(scores > threshold) for threshold in thresholds])


def bootstrap_interval(measure, *scores, repetitions=2_000, seed=0):
  """95 % interval of a measure, from runs drawn anew for each task by itself.

  Args:
    measure: function of arrays like `scores`; a number, or an array.
    *scores: each `[runs, tasks]`.
    repetitions: how often they are drawn.
    seed: of the draws.

  Returns:
    (low, high), each shaped as what `measure` returns.
  """
  generator, found = np.random.default_rng(seed), []
  for _ in range(repetitions):
    drawn = [
      np.take_along_axis(one, generator.integers(len(one), size=one.shape), 0)
      for one in scores
    ]
    found.append(measure(*drawn))
  return tuple(np.percentile(found, [2.5, 97.5], axis=0))


def improvement(ours, theirs):
  """ "PROBABILITY (LOW to HIGH)" that a run of ours beats one of theirs.

  Args:
    ours: for each task the errors of all runs, as many everywhere.
    theirs: the same of another method.

  Returns:
    A text; "unknown" if tasks have different numbers of runs, or none.
  """
  counts = {len(errors) for errors in (*ours, *theirs)}
  if len(counts) != 1 or 0 in counts:
    return "unknown"
  scores = -np.array(ours).T, -np.array(theirs).T
  low, high = bootstrap_interval(probability_of_improvement, *scores)
  value = probability_of_improvement(*scores)
  return f"{value:.2f} ({low:.2f} to {high:.2f})"
