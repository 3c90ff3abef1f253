"""The arithmetic of the benchmark, and that every candidate runs."""

import numpy as np
import pytest

from benchmarks import distillation_step


@pytest.fixture(scope="module")
def built():
  return distillation_step.build_candidates(2, 4, num_kept=3)


def test_costs_are_those_of_the_papers_networks(built):
  _, costs = built
  student = [
    20 * 20 * 8 * 8 * 4 * 16,
    9 * 9 * 4 * 4 * 16 * 32,
    9 * 9 * 32 * 256,
    256 * 4,
  ]
  teacher = [
    20 * 20 * 8 * 8 * 4 * 32,
    9 * 9 * 4 * 4 * 32 * 64,
    7 * 7 * 3 * 3 * 64 * 64,
    7 * 7 * 64 * 512,
    512 * 4,
  ]
  assert costs["teacher, gradients"] == 2 * sum(teacher)
  kept = costs["teacher, gradients from Jacobians"]
  assert kept == 4 * 84 * 84 * 4
  assert costs["regular step"] == 3 * sum(student) - student[0]
  ratio = costs["Sobolev step"] / costs["regular step"]
  np.testing.assert_allclose(ratio, 2.23, atol=0.01)


def test_candidates_are_timed_and_stand_in_the_table(built):
  candidates, costs = built
  for call, units in candidates.values():
    assert np.all(np.isfinite(call())) and units == 2
  times = {name: 1000.0 for name in candidates}
  table = distillation_step.make_table(times, costs, 200)
  assert table.count("\n") == 2 + len(costs) + 2
  assert "| regular step | 200.0 | 1,000 | 1.00 | 1.00 | 1.00 |" in table
  assert "| Sobolev step with its teacher | 400.0 | 500 | 2.00 |" in table
  assert "| Sobolev step with Jacobians | 400.0 | 500 | 2.00 |" in table
