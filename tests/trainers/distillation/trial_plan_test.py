"""Searches with made-up measures: which trials they make, and how many."""

import math

import pytest

from trainers.distillation.trial_plan import TrialPlan

PLAN = TrialPlan(
  {"rate": (1e-4, 3e-4, 1e-3), "weight": (0.03, 0.3, 3.0)}, 14, (25, 100), 0.3
)


def search(plan, measure):
  """Makes a whole search of `measure`; returns its rounds and all measures."""
  measured, rounds = {}, []
  while wanted := plan.next_trials(measured):
    assert len(set(wanted)) == len(wanted) and not set(wanted) & set(measured)
    rounds.append(wanted)
    measured |= {(n, values): measure(n, *values) for n, values in wanted}
    assert len(rounds) < 50
  return rounds, measured


def bowl(rate, weight):
  """A function of both settings that is lowest at one place."""

  def measure(length, r, w):
    distance = math.log10(r / rate) ** 2 + math.log10(w / weight) ** 2
    return 0.5 + distance, distance + 1 / length

  return measure


@pytest.mark.parametrize(
  ("rate", "weight"), [(3e-4, 0.3), (1e-2, 0.3), (2e-5, 20.0), (1e-4, 0.003)]
)
def test_a_search_makes_its_number_of_trials_wherever_the_best_one_is(
  rate, weight
):
  rounds, measured = search(PLAN, bowl(rate, weight))
  assert len(rounds[0]) == 9
  assert sum(n == 25 for n, _ in measured) == 14
  assert sum(n == 100 for n, _ in measured) == math.ceil(0.3 * 14)
  # The best of the first length is made again.
  best = min((m[1], v) for (n, v), m in measured.items() if n == 25)[1]
  assert (100, best) in measured


@pytest.mark.parametrize(("rate", "weight"), [(5e-3, 0.3), (3e-4, 0.002)])
def test_a_grid_goes_on_until_its_best_trial_is_no_longer_at_its_edge(
  rate, weight
):
  _, measured = search(PLAN, bowl(rate, weight))
  best = min((m[1], v) for (n, v), m in measured.items() if n == 25)[1]
  for place, value in enumerate(best):
    tried = {values[place] for _, values in measured}
    assert min(tried) < value < max(tried)
  assert abs(math.log10(best[0] / rate)) < 0.35
  assert abs(math.log10(best[1] / weight)) < 0.6


def test_a_best_trial_by_error_at_an_edge_extends_the_grid_too():
  def measure(length, r, w):
    del length
    return -r, (math.log10(r / 3e-4)) ** 2 + math.log10(w / 0.3) ** 2

  rounds, _ = search(PLAN, measure)
  assert rounds[1] == [(25, (3.3e-3, 0.03))]  # the first of equal errors


def test_trials_inside_the_grid_go_between_the_best_and_its_neighbours():
  rounds, _ = search(PLAN, bowl(3e-4, 0.3))
  assert [trial for one in rounds[1:5] for trial in one] == [
    (25, (3e-4, 0.095)),  # the widest gaps first, on a logarithm
    (25, (3e-4, 0.95)),
    (25, (5.5e-4, 0.3)),
    (25, (3e-4, 0.53)),
  ]


def test_zero_is_the_end_of_an_axis_and_no_edge():
  plan = PLAN._replace(axes={"rate": (1e-4, 1e-3, 1e-2), "decay": (0.0, 0.1)})

  def measure(length, r, decay):
    del length
    distance = math.log10(r / 1e-3) ** 2 + decay
    return distance, distance

  rounds, measured = search(plan, measure)
  assert rounds[1:3] == [[(25, (1e-3, 0.01))], [(25, (1e-3, 0.001))]]
  assert min(values[0] for _, values in measured) == 1e-4


def test_trials_that_are_not_finite_count_and_lead_nowhere():
  def measure(length, r, w):
    return None if r > 5e-4 else bowl(3e-4, 0.3)(length, r, w)

  _, measured = search(PLAN, measure)
  assert sum(n == 25 for n, _ in measured) == 14
  assert max(values[0] for n, values in measured if n == 100) < 5e-4
  rounds, measured = search(PLAN, lambda *_: None)
  assert len(measured) == 9 and len(rounds) == 1  # nothing to go on with


def test_the_best_by_error_go_on_beside_the_best_by_kl():
  def measure(length, r, w):
    del length
    return math.log10(3e-3 / r) ** 2 + w, math.log10(r / 1e-5) ** 2 + w

  plan = PLAN._replace(num_trials=9, kept=0.2)
  rounds, _ = search(plan, measure)
  assert rounds[-1] == [(100, (1e-4, 0.03)), (100, (1e-3, 0.03))]
