"""The surrogate benchmark: its problems' gradients, resuming, its table."""

import numpy as np
import pytest

from benchmarks import surrogate_problems, surrogate_rivals, surrogates


@pytest.mark.parametrize("name", ["sinusoid", "rastrigin", "rosenbrock"])
def test_gradients_are_those_of_the_values(name):
  data = surrogate_problems.PROBLEMS[name](0)
  order = np.argsort(data.test_x[:, 0], kind="stable")
  assert data.x.shape == data.dy.shape and data.y.shape == (len(data.x), 1)
  if name == "sinusoid":
    slope = np.gradient(data.test_y[order, 0], data.test_x[order, 0])
    np.testing.assert_allclose(
      slope[1:-1], data.test_dy[order, 0][1:-1], atol=2e-3
    )


def test_bacheliers_noisy_labels_agree_with_its_closed_form():
  data = surrogate_problems.bachelier(0)
  assert data.x.shape == (4096, 7)
  np.testing.assert_allclose(data.y.mean(), data.test_y.mean(), rtol=0.1)
  # The closed form's gradient, by differences along the steepest direction.
  near = np.argmin(np.abs(data.test_y - 0.1))
  assert 0 < data.test_dy[near].sum() < 1
  np.testing.assert_allclose(data.test_dy.sum(axis=1).max(), 1, atol=0.02)


def test_a_stopped_run_goes_on_where_it_stopped(tmp_path, monkeypatch):
  calls = []

  def rival(x, y, dy, seed):
    # begin
    calls.append((len(x), seed))
    # end
    if len(calls) == 2:
      raise ValueError("this one fails")
    return lambda x: (np.zeros([len(x), 1]), np.zeros_like(x))

  monkeypatch.setattr(surrogate_rivals, "RIVALS", {"ours": rival, "b": rival})
  path = tmp_path / "surrogates.csv"
  surrogates.run(path, ["sinusoid"], ["ours"], 1)
  surrogates.run(path, ["sinusoid"], ["ours", "b"], 1)
  assert calls == [(4, 0), (4, 0)]
  rows = surrogates.rows_of(path)
  assert [row["rival"] for row in rows] == ["ours", "b"]
  assert float(rows[0]["gradient"]) == 1.0
  text = surrogates.table(rows[:1] + [dict(rows[0], rival="b")])
  assert "sinusoid: value 1.00 times the error of b" in text
  assert surrogate_rivals.lines_of(rival) == 1
