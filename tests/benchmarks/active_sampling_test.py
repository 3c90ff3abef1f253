"""What is chosen, and what a line says."""

import numpy as np

from benchmarks import active_sampling as benchmark


class _Model:
  """A member whose value and gradient are a constant times x."""

  def __init__(self, slope):
    self._slope = slope

  def predict_with_derivatives(self, x):
    gradient = np.full([len(x), 1, 2], self._slope)
    return self._slope * x.sum(axis=1, keepdims=True), gradient


def test_disagreement_is_the_members_deviation_in_value_and_gradient():
  x = np.array([[0.0, 0.0], [1.0, 2.0]])
  found = benchmark.disagreement([_Model(1.0), _Model(3.0)], x)
  # Deviations: 1 for each partial derivative, 0 and 3 for the values.
  assert np.isclose(found[1] / found[0], np.sqrt(11 / 2))


def test_chosen_points_keep_away_from_each_other_and_from_those_before():
  candidates = np.array([[1.0, 0.0], [0.9, 0.0], [-1.0, 0.0]])
  score, x = np.array([3.0, 2.9, 1.0]), np.array([[0.0, 0.0]])
  found = benchmark.choose(score, candidates, x, 2)
  np.testing.assert_array_equal(found, [[0, 0], [1, 0], [-1, 0]])


def test_labels_are_in_the_units_of_the_square():
  problem = benchmark.Problem("booth")
  x = np.array([[0.1, -0.3]])
  dy = problem.label(x)[1][0, 0]
  step = 1e-6 * np.eye(2)
  numeric = [problem.label(x + s)[0] - problem.label(x - s)[0] for s in step]
  np.testing.assert_allclose(dy, np.ravel(numeric) / 2e-6, rtol=1e-6)


def test_a_line_compares_geometric_means():
  errors = [
    {"random": 0.1, "spread": 0.1, "active": 0.01},
    {"random": 0.4, "spread": 0.1, "active": 0.04},
  ]
  line, ratio = benchmark.make_line("booth", errors)
  assert np.isclose(ratio, 0.1)
  assert line == "| booth | 20 % | 10 % | 2 % | 0.10 |"
