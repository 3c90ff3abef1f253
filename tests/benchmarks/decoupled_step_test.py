"""The arithmetic of the benchmark, and that every candidate runs."""

import numpy as np
import pytest

from benchmarks import decoupled_step


@pytest.fixture(scope="module")
def costs_at_width_one():
  learner = decoupled_step.build_learner("sobolev", "true", 1.0, 1)
  network = learner.network
  return (
    decoupled_step.segment_costs(network.segments),
    decoupled_step.estimator_costs(network),
  )


def test_costs_of_the_papers_network(costs_at_width_one):
  main, estimators = costs_at_width_one
  assert round(sum(main) / 1e6) == 323
  assert round(sum(estimators) / 1e6) == 134


@pytest.mark.parametrize(
  "method, targets, ratio",
  [
    ("sobolev", "true", 2.16),
    ("sobolev", "bootstrapped", 1.83),
    ("vfbn", "true", 2.16),
    ("critic", "true", 1.41),
    ("backprop", "true", 1.0),
  ],
)
def test_arithmetic_ratios(costs_at_width_one, method, targets, ratio):
  step, base = (
    decoupled_step.arithmetic(m, targets, *costs_at_width_one)
    for m in (method, "backprop")
  )
  np.testing.assert_allclose(step / base, ratio, atol=0.01)


def test_methods_are_timed_and_stand_in_the_table(eagerly):
  candidates, costs = decoupled_step.build_candidates(
    "true", 0.05, 2, methods=("backprop", "noprop", "sobolev")
  )
  for call, _ in candidates.values():
    assert np.isfinite(call())
  times = {key: 2000.0 for key in candidates}
  table = decoupled_step.make_table(times, costs)
  assert table.count("\n") == 2 + len(costs)
  assert "| sobolev | 2.0 | 100% | 1.00 |" in table
