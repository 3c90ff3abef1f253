import csv
import dataclasses
import json
import pathlib
import shutil

import numpy as np
import pytest

from trainers.lifecycle.command_line import CommandError
from trainers.regression import report
from trainers.regression import train as regression


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
  folder = tmp_path_factory.mktemp("runs")
  regression.main(
    [
      "regression",
      f"--workdir={folder}",
      "--preset=smoke",
      "--function=booth",
      "--num_train=20,100",
      "--method=all",
      "--num_steps=100",
      "--learning_rate=0.001",
    ]
  )
  return folder


def test_report_holds_table_rows_and_figures(workdir, tmp_path):
  table, damages = report.REPORT.write(workdir, tmp_path)
  assert not damages
  assert (tmp_path / "table.md").read_text() == table
  assert table.count("| booth |") == 2
  assert "\nOf 2 comparisons: " in table
  with open(tmp_path / "results.csv", newline="") as file:
    rows = list(csv.DictReader(file))
  assert len(rows) == 2 * 2 * 2  # sizes, methods, seeds
  assert {row["seed"] for row in rows} == {"0", "1"}
  for row in rows:
    square = float(row["test_sobolev_distance"]) ** 2
    parts = float(row["test_mse"]) + float(row["test_gradient_mse"])
    assert square == pytest.approx(parts, rel=1e-4)
  for name in ("figure2.png", "figure7_booth.png"):
    assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_figures_are_handed_the_numbers_of_each_run(
  workdir, tmp_path, monkeypatch
):
  drawn = {}

  def keep(path, *arrays):
    drawn[pathlib.Path(path).name] = arrays

  monkeypatch.setattr(report.figures, "save_figure2", keep)
  monkeypatch.setattr(report.figures, "save_comparison", keep)
  report.REPORT.write(workdir, tmp_path)
  (errors,) = drawn["figure2.png"]
  grid, columns = drawn["figure7_booth.png"]
  titles = [title for title, *_ in columns]
  assert titles[0] == "booth" and len(set(titles)) == 5
  for size in (20, 100):
    for method in ("regular", "sobolev"):
      run = workdir / str(size) / method
      result = json.loads((run / "finished.json").read_text())
      np.testing.assert_allclose(
        errors["booth", size, method], result["test_mse"], rtol=1e-5
      )
      config = dataclasses.replace(
        regression.PRESETS["smoke"],
        function="booth",
        num_train=size,
        method=method,
        learning_rate=0.001,
      )
      networks = regression.load_networks(run, config)
      values, gradients = regression.predict(*networks, grid.points)
      place = titles.index(f"{method}, {size} points")
      np.testing.assert_allclose(columns[place][1], values[0], rtol=1e-6)
      np.testing.assert_allclose(columns[place][2], gradients[0], rtol=1e-6)


def test_networks_that_cannot_be_read_are_named(workdir, tmp_path, capsys):
  shutil.copytree(workdir, tmp_path / "runs")
  path = tmp_path / "runs" / "20" / "sobolev" / "networks.npz"
  path.write_bytes(path.read_bytes()[:500])
  argv = ["report", f"--workdir={tmp_path}/runs", f"--output={tmp_path}/out"]
  assert report.main(argv) == 2
  assert "20/sobolev/networks.npz cannot be read" in capsys.readouterr().err
  with np.load(tmp_path / "out" / "figure7_booth.npz") as models:
    assert sorted(models) == [
      "regular, 100 points",
      "regular, 20 points",
      "sobolev, 100 points",
    ]


@pytest.mark.parametrize(
  "function,size,claim",
  [
    ("booth", 20, "sobolev"),
    ("ackley", 20, "regular"),
    ("ackley", 100, None),
    ("ackley", 10_000, "sobolev"),
  ],
)
def test_claims_of_the_paper(function, size, claim):
  assert report.paper_claim(function, size) == claim


def test_verdicts_are_those_of_the_paper_corrected_for_the_table():
  """Ackley with 20 points: the paper finds regular training better."""
  rows = [
    {
      "function": function,
      "num_train": "20",
      "method": method,
      "seed": str(seed),
      **dict.fromkeys(report._MEASURES, str(error * (1 + 0.01 * seed**2))),
    }
    for function, errors in (("ackley", (1, 10)), ("booth", (1, 10)))
    for method, error in zip(("regular", "sobolev"), errors, strict=True)
    for seed in range(3)
  ]
  for row in rows:
    if (row["method"], row["seed"]) == ("sobolev", "2"):
      row["test_mse"] = "10.2"
  table = report.make_table(rows, [])
  ackley, booth = (line for line in table.splitlines() if "| 20 |" in line)
  assert "| shown (p = " in ackley and "| contradicted (p = " in booth
  assert "| 0.1 " in booth
  assert "Of 2 comparisons: 1 shown, 1 contradicted (" in table
  assert "over all rows: 0.00 (0.00 to 0.00)." in table


def test_two_runs_of_the_same_experiment_are_refused(workdir, tmp_path):
  run = workdir / "20" / "regular"
  shutil.copytree(run, tmp_path / "once")
  shutil.copytree(run, tmp_path / "again")
  with pytest.raises(CommandError, match="same experiment"):
    report.REPORT.write(tmp_path, tmp_path / "out")


def test_search_over_settings_makes_a_column_for_each(tmp_path):
  regression.main(
    [
      "regression",
      f"--workdir={tmp_path}/runs",
      "--preset=smoke",
      "--function=booth",
      "--num_train=20",
      "--method=all",
      "--scaling=none,standard",
      "--num_steps=50",
    ]
  )
  table, _ = report.REPORT.write(tmp_path / "runs", tmp_path / "out")
  assert "| points | scaling |" in table
  assert "| 20 | none |" in table and "| 20 | standard |" in table
  assert not list((tmp_path / "out").glob("*.png"))
