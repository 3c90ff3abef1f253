"""The benchmark of weights: what its table says."""

import numpy as np

from benchmarks import balance


def test_table_counts_functions_within_twice_the_best_fixed_weight():
  def errors(balanced):
    fixed = {w: np.full([3, 2], 1 + w) for w in balance.WEIGHTS}
    return {
      **fixed,
      "balanced": np.full([3, 2], balanced),
      "conflict_free": np.full([3, 2], np.nan),
    }

  text = balance.table({"booth": errors(1.5), "beale": errors(9.0)}, 10, 3)
  assert "| booth | 100 at 0.0001 | 200 (2.00) | 150 (1.50) |" in text
  assert "balanced on 1 of 2, conflict_free on 0 of 2" in text
