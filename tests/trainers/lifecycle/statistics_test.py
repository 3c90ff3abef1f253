"""What the reports' comparisons say in the corners."""

from trainers.lifecycle.statistics import compare, mean_and_deviation, verdict


def test_deviations_are_those_of_a_sample():
  assert mean_and_deviation([1.0, 3.0], 2) == "2.00 ± 1.41"
  assert mean_and_deviation(iter([1.0])) == "1.0"


def test_no_difference_at_all_settles_nothing():
  ratio, p = compare([0.1, 0.2, 0.3], [0.1, 0.2, 0.3])
  assert ratio == 1 and p == 1
  assert "not settled" in verdict("sobolev", ratio, p)


def test_a_single_seed_settles_nothing():
  ratio, p = compare([10.0], [0.1])
  assert "not settled" in verdict("sobolev", ratio, p)
  assert round(ratio) == 100
