"""Learning rates that are chosen on held-out points."""

import csv
import json

import numpy as np
import pytest

from data import benchmark_functions
from trainers.lifecycle.command_line import CommandError
from trainers.regression import examples, rates, report
from trainers.regression import train as regression
from trainers.regression.config import Config

# Test errors that would choose otherwise have no say.
ERRORS = {
  ("regular", 3e-5): ([4.0, 4.0], [1.0, 1.0]),
  ("regular", 3e-4): ([1.0, 9.0], [5.0, 5.0]),
  ("regular", 3e-3): ([2.0, 30.0], [0.1, 0.1]),
  ("sobolev", 3e-5): ([4.0, 4.0], [1.0, 1.0]),
  ("sobolev", 3e-4): ([5.0, 5.0], [0.1, 0.1]),
  ("sobolev", 3e-3): (None, None),
}


def write_run(folder, method, rate, validation, test):
  folder.mkdir(parents=True)
  settings = {"function": "booth", "num_train": 20, "seed": [7, 8]}
  settings |= {"method": method, "learning_rate": rate, "num_steps": 2}
  settings["num_validation"] = 10
  (folder / "config.json").write_text(json.dumps(settings))
  rows = "".join(f"{s},{t},1\n" for s in (7, 8) for t in (1, 2))
  (folder / "metrics.csv").write_text(f"seed,step,test_mse\n{rows}")
  if validation:
    numbers = dict.fromkeys(report._MEASURES, test)
    numbers["validation_mse"] = validation
    (folder / "finished.json").write_text(json.dumps(numbers))


@pytest.fixture
def search(tmp_path):
  for (method, rate), errors in ERRORS.items():
    write_run(tmp_path / "runs" / method / str(rate), method, rate, *errors)
  text, damages = rates.REPORT.write(tmp_path / "runs", tmp_path)
  assert not damages
  return text, tmp_path / "rates.csv"


def test_the_lowest_mean_logarithm_on_held_out_points_is_chosen(search):
  text, path = search
  assert text.splitlines() == [
    "booth 20 regular: 0.0003, best of 3 rates",
    "booth 20 sobolev: 3e-05, best of 3 rates (at the edge of the values "
    "tried)",
  ]
  with open(path, newline="") as file:
    rows = list(csv.DictReader(file))
  assert [row["validation_mse"] for row in rows] == [
    "4", "3", "7.74597", "4", "5", ""
  ]  # fmt: skip


def test_final_runs_take_what_was_chosen(search):
  _, path = search
  configs = [
    Config(function="booth", num_train=20, method=method)
    for method in ("sobolev", "regular")
  ]
  found = [c.learning_rate for c in rates.apply_rates(configs, path)]
  assert found == [3e-5, 3e-4]
  with pytest.raises(CommandError, match="no rate for booth 100 regular"):
    rates.apply_rates(
      [Config(function="booth", num_train=100, method="regular")], path
    )


@pytest.mark.parametrize("text", ["", "step,loss\n1,2\n"])
def test_a_file_that_is_no_search_is_refused(tmp_path, text):
  path = tmp_path / "rates.csv"
  path.write_text(text)
  with pytest.raises(CommandError, match="is not the rates.csv of a search"):
    rates.apply_rates([], path)


def test_runs_at_rates_of_their_own_make_a_figure_and_no_search(
  tmp_path, monkeypatch
):
  drawn = []
  for name in ("save_figure2", "save_curves", "save_profile"):
    monkeypatch.setattr(
      report.figures, name, lambda path, *_: drawn.append(path)
    )
  for method, rate in (("regular", 3e-4), ("sobolev", 3e-5)):
    folder = tmp_path / "runs" / method
    write_run(folder, method, rate, *ERRORS["regular", 3e-5])
  report.REPORT.write(tmp_path / "runs", tmp_path / "out")
  assert str(tmp_path / "out" / "figure2.png") in drawn
  header = (tmp_path / "out" / "results.csv").read_text().splitlines()[0]
  assert header.startswith("function,num_train,method,seed,")


def test_held_out_points_are_apart_from_training_and_test():
  config = Config(function="booth", num_test=300, num_validation=300)
  sets = [
    examples.build_examples(config).x.reshape(-1, 2),
    examples.build_test_set(config)[0],
    examples.build_validation_set(config)[0],
  ]
  points = np.concatenate(sets)
  assert len(np.unique(points, axis=0)) == len(points)
  function = benchmark_functions.get_function("booth")
  x, y, dy = examples.build_validation_set(config)
  np.testing.assert_array_equal(y, function(x))
  assert x.shape == (300, 2) and dy.shape == (300, 1, 2)


def test_both_a_rate_and_a_choice_of_rates_are_refused(tmp_path):
  argv = ["regression", f"--workdir={tmp_path}/w", "--rates=r.csv"]
  with pytest.raises(CommandError, match="both given"):
    regression.main([*argv, "--learning_rate=0.1"])
  with pytest.raises(CommandError, match="is not the rates.csv"):
    regression.main(argv)
