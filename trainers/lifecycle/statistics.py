"""Comparing regular with Sobolev training seed by seed, and saying the result.

Runs of the same seed share their examples and their initial weights, so their
errors are paired.
"""

import collections

import numpy as np
from scipy import stats


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
    logarithms' difference.
  """
  differences = np.log10(regular) - np.log10(sobolev)
  return 10 ** np.mean(differences), p_of_difference(differences)


def verdict(claim, ratio, p):
  """One phrase: does the measurement agree with the paper's claim?

  Args:
    claim: the method that the paper says is better, or None.
    ratio: regular error / Sobolev error.
    p: p-value of their difference; below 0.05 it counts as one.
  """
  winner = "sobolev" if ratio > 1 else "regular"
  if p >= 0.05:
    return f"not settled by these seeds (p = {p:.2f})"
  if claim is None:
    return f"paper silent: {winner} better"
  if winner == claim:
    return f"as in the paper: {winner} better"
  return f"NOT as in the paper: {winner} better"


def tally(verdicts):
  """One sentence that counts the phrases of `verdict` by kind."""
  kinds = collections.Counter(
    phrase.split(":")[0].split(" (")[0] for phrase in verdicts
  )
  counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
  return f"Of {kinds.total()} comparisons: {counts}."
