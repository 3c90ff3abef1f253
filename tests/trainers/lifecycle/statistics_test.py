"""What the reports' comparisons say, and aggregates against plain loops."""

import itertools

import numpy as np
import pytest
from scipy import stats

from trainers.lifecycle import statistics

# [runs, tasks]
OURS = np.array([[0.1, 0.9, 3.0], [0.4, 0.9, 2.0], [0.3, 0.5, 7.0]])
THEIRS = np.array([[0.2, 0.9, 1.0], [0.3, 0.1, 5.0]])


def test_deviations_are_those_of_a_sample():
  assert statistics.mean_and_deviation([1.0, 3.0], 2) == "2.00 ± 1.41"
  assert statistics.mean_and_deviation(iter([1.0])) == "1.0"


def test_no_difference_at_all_settles_nothing():
  assert statistics.compare([0.1, 0.2, 0.3], [0.1, 0.2, 0.3]) == (1, 1)


def test_a_single_seed_settles_nothing():
  ratio, p = statistics.compare([10.0], [0.1])
  assert ratio == pytest.approx(100) and p == 1


def test_the_same_difference_everywhere_is_certain():
  assert statistics.p_of_difference([0.1, 0.3 - 0.2, 0.1]) == 0


def test_p_is_that_of_the_t_distribution():
  # Mean 2, deviation 1, three seeds: t = 2 √3 with two degrees of freedom,
  # whose distribution function is 1/2 + t / (2 √(2 + t²)).
  t = 2 * 3**0.5
  expected = 2 * (0.5 - t / (2 * (2 + t**2) ** 0.5))
  assert statistics.p_of_difference([1.0, 2.0, 3.0]) == pytest.approx(expected)


def test_comparison_is_paired_by_seed():
  # Each seed's networks differ by the same factor 10, far less than the seeds
  # among each other: only a pairing sees it.
  sobolev = np.array([1.0, 100.0, 10000.0]) * [1.01, 1.0, 0.99]
  ratio, p = statistics.compare([10.0, 1000.0, 100000.0], sobolev)
  assert ratio == pytest.approx(10, rel=1e-3)
  assert p < 0.001


def test_holm_corrects_step_by_step():
  # Sorted: 0.01 * 4, 0.02 * 3, 0.03 * 2 (not below the one before), 0.9.
  corrected = statistics.holm([0.03, 0.9, 0.01, 0.02])
  np.testing.assert_allclose(corrected, [0.06, 0.9, 0.04, 0.06], rtol=1e-12)
  np.testing.assert_array_equal(statistics.holm([0.5, 0.6]), [1, 1])
  assert statistics.holm([]).shape == (0,)


def test_holm_rejects_what_its_definition_rejects():
  generator = np.random.default_rng(0)
  for _ in range(50):
    p = generator.uniform(0, 0.1, 6)
    rejected = set()
    for rank, index in enumerate(sorted(range(6), key=p.__getitem__)):
      if p[index] >= 0.05 / (6 - rank):
        break
      rejected.add(index)
    assert set(np.flatnonzero(statistics.holm(p) < 0.05)) == rejected


def test_verdicts_are_corrected_for_their_family():
  family = [(True, 0.01), (False, 0.001), (None, 0.002), (True, 0.04)]
  assert statistics.verdicts(family) == [
    "shown (p = 0.02)",
    "contradicted (p = 0.004)",
    "a difference (p = 0.006)",
    "shown (p = 0.04)",
  ]
  # The same p among eleven more comparisons settles nothing.
  (phrase, *_) = statistics.verdicts([(True, 0.01)] + [(True, 0.5)] * 11)
  assert phrase == "not settled (p = 0.12)"


def test_verdicts_are_counted_by_kind():
  phrases = statistics.verdicts([(True, 0.001), (True, 0.3), (True, 0.002)])
  assert statistics.tally(phrases).startswith(
    "Of 3 comparisons: 2 shown, 1 not settled ("
  )


def test_interquartile_mean_is_that_of_the_middle_half():
  scores = np.array([[9.0, 1, 2, 8], [3, 4, 5, 6]])
  assert statistics.interquartile_mean(scores) == (3 + 4 + 5 + 6) / 4
  # rliable 1.2 drops int(0.25 N) scores at either end: 2 of 9 here.
  assert statistics.interquartile_mean(OURS) == pytest.approx(
    sum(sorted(OURS.flat)[2:-2]) / 5, rel=1e-12
  )


def test_probability_of_improvement_is_mann_whitneys():
  wins = [
    (a > b) + 0.5 * (a == b)
    for task in range(3)
    for a, b in itertools.product(OURS[:, task], THEIRS[:, task])
  ]
  expected = sum(wins) / len(wins)
  found = statistics.probability_of_improvement(OURS, THEIRS)
  assert found == pytest.approx(expected, rel=1e-12)
  # As rliable 1.2 has it: U / (n m), mean over the tasks.
  u = [
    stats.mannwhitneyu(OURS[:, t], THEIRS[:, t], alternative="greater")[0] / 6
    for t in range(3)
  ]
  assert found == pytest.approx(np.mean(u), rel=1e-12)


def test_performance_profile_counts_runs_above():
  profile = statistics.performance_profile(OURS, [0.0, 0.4, 0.9, 7.0])
  np.testing.assert_allclose(profile, np.array([9, 6, 3, 0]) / 9)


def test_bootstrap_draws_runs_for_each_task_by_itself():
  drawn = []

  def keep(one, other):
    drawn.append((one, other))
    return one.sum()

  statistics.bootstrap_interval(keep, OURS, THEIRS, repetitions=200)
  tasks = np.array([one[0] for one, _ in drawn])
  for task in range(3):
    assert set(tasks[:, task]) == set(OURS[:, task])
  # A row is drawn from several runs: what one task drew binds no other.
  assert any(tuple(row) not in set(map(tuple, OURS)) for row in tasks)
  assert {other.shape for _, other in drawn} == {(2, 3)}


def test_bootstrap_interval_is_that_of_an_independent_one():
  generator = np.random.default_rng(5)
  scores = generator.normal(size=[10, 4])
  low, high = statistics.bootstrap_interval(np.mean, scores)
  found = sorted(
    np.mean([generator.choice(task, 10) for task in scores.T])
    for _ in range(4_000)
  )
  assert low == pytest.approx(found[100], abs=0.02)
  assert high == pytest.approx(found[3_900], abs=0.02)
  # Close to the normal one: the tasks' own variances, not that of all scores.
  error = 1.96 * np.sqrt((scores.var(axis=0) / 10).sum()) / 4
  assert high - low == pytest.approx(2 * error, rel=0.1)


def test_lower_errors_are_an_improvement():
  ours, theirs = [[1.0, 2.0, 3.0], [1.0] * 3], [[4.0, 5.0, 6.0], [2.0] * 3]
  assert statistics.improvement(ours, theirs) == "1.00 (1.00 to 1.00)"
  assert statistics.improvement(theirs, ours) == "0.00 (0.00 to 0.00)"
  assert statistics.improvement(ours[:1], [[2.0] * 3]).startswith("0.50 (0.")
  assert (
    statistics.improvement([[1.0], [1.0, 2.0]], [[1.0], [2.0]]) == "unknown"
  )
  assert statistics.improvement([], []) == "unknown"


def test_a_ratio_has_the_interval_of_its_logarithms():
  logs = np.array([0.9, 1.0, 1.1])
  # The deviation is 0.1, its share 0.1 / sqrt(3), and t at 2 degrees 4.303.
  text = statistics.ratio_with_interval(10**logs, np.ones(3))
  half = 4.3027 * 0.1 / np.sqrt(3)
  assert text == f"10 ({10 ** (1 - half):.3g} to {10 ** (1 + half):.3g})"
  assert statistics.ratio_with_interval([10.0], [0.1]) == "100"
