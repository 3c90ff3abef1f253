import csv
import dataclasses
import json
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf

from data import benchmark_functions
from trainers.lifecycle import statistics, tables
from trainers.lifecycle.command_line import CommandError
from trainers.regression import report
from trainers.regression import train as regression


def run_here(folder, *settings):
  """A few steps, which XLA would take seconds to compile, without pictures."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(regression, "_show_surface", lambda *_: None)
    tf.config.run_functions_eagerly(True)
    regression.main(
      [
        "regression",
        f"--workdir={folder}",
        "--preset=smoke",
        "--function=booth",
        "--method=all",
        "--num_steps=10",
        "--hidden_sizes=16,16",
        "--learning_rate=0.001",
        *settings,
      ]
    )
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
  folder = tmp_path_factory.mktemp("runs")
  run_here(folder, "--num_train=20,100")
  return folder


@pytest.fixture(autouse=True)
def few_repetitions(monkeypatch):
  """Intervals of 20 draws, since what they are of is decided here."""
  defaults = statistics.bootstrap_interval.__kwdefaults__
  monkeypatch.setitem(defaults, "repetitions", 20)


@pytest.fixture
def undrawn(monkeypatch):
  """What the figures would be drawn from: arguments by the file's name."""
  drawn = {}

  def keep(path, *arrays):
    drawn[pathlib.Path(path).name] = arrays

  for name in ("save_figure2", "save_curves", "save_profile"):
    monkeypatch.setattr(report.figures, name, keep)
  monkeypatch.setattr(report.surfaces, "save_comparison", keep)
  return drawn


def test_report_holds_table_rows_and_figures(
  workdir, tmp_path, monkeypatch, eagerly
):
  coarse = report.surfaces.Grid.over.__func__
  monkeypatch.setattr(coarse, "__defaults__", (9,))
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
  curves = tables.read_curves(tmp_path / "curves.csv", "test_mse")
  assert set(curves) == {
    ("booth", size, method)
    for size in ("20", "100")
    for method in ("regular", "sobolev")
  }
  for (_, size, method), (steps, errors) in curves.items():
    assert steps == [10]
    last = [r for r in rows if (r["num_train"], r["method"]) == (size, method)]
    assert errors[:, -1].tolist() == [float(row["test_mse"]) for row in last]
  names = ("figure2.png", "figure7_booth.png", "curves.png", "profile.png")
  for name in names:
    assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_figures_are_handed_the_numbers_of_each_run(
  workdir, tmp_path, undrawn, eagerly
):
  report.REPORT.write(workdir, tmp_path)
  errors, claims = undrawn["figure2.png"]
  assert set(claims) == {("booth", 20), ("booth", 100)}
  assert {method for method, _ in claims.values()} == {"sobolev"}
  grid, columns = undrawn["figure7_booth.png"]
  titles = [title for title, *_ in columns]
  assert titles[0] == "Booth" and len(set(titles)) == 5
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
        hidden_sizes=(16, 16),
        learning_rate=0.001,
      )
      with regression.load_networks(run, config) as networks:
        values, gradients = regression.predict(*networks, grid.points)
      name = {"regular": "regular", "sobolev": "Sobolev"}[method]
      place = titles.index(f"{name}, {size} points")
      np.testing.assert_allclose(columns[place][1], values[0], rtol=1e-6)
      np.testing.assert_allclose(columns[place][2], gradients[0], rtol=1e-6)
      points = regression.build_examples(config).x[0]
      np.testing.assert_allclose(columns[place].points, points, rtol=1e-6)


def test_bukins_surface_has_a_row_on_the_valley():
  function = benchmark_functions.get_function("bukin")
  grid = report.surfaces.Grid.over(function)
  x, y = grid.axes
  np.testing.assert_allclose(y[28], 0.01 * x[28] ** 2)
  assert (np.diff(y, axis=0) > 0).all()
  np.testing.assert_allclose(y[[0, -1]], [[-3] * 57, [3] * 57])
  # Without beads: along the valley the function is that of its second term.
  values = grid.square(function(grid.points))
  np.testing.assert_allclose(values[28], 0.01 * np.abs(x[28] + 10), atol=1e-5)


def test_arrows_are_close_enough_for_ackleys_waves_and_on_their_scale():
  function = benchmark_functions.get_function("ackley")
  grid = report.surfaces.Grid.over(function, 29)
  steps = np.diff(np.unique(grid.feet[:, 0]))
  assert steps.max() < 0.5  # half a period
  columns = [report.surfaces.true_column(function, grid)] * 2
  image = report.surfaces.draw_comparison(grid, columns)
  assert image.dtype == np.uint8 and image.shape[2] == 3
  orange = (image == [0xD5, 0x5E, 0x00]).all(-1).mean()
  twice = columns[1]._replace(values=2 * columns[1].values)
  image = report.surfaces.draw_comparison(grid, [columns[0], twice])
  # What is above the function's range is shown as such.
  assert (image == [0xD5, 0x5E, 0x00]).all(-1).mean() > orange + 0.02


def test_panels_of_figure2_span_as_many_decades_and_mark_the_claims(
  monkeypatch,
):
  kept = []
  monkeypatch.setattr(report.figures, "save", lambda *args: kept.append(args))
  errors = {
    ("booth", 20, "regular"): [1e4, 2e4],
    ("booth", 20, "sobolev"): [1.0, 2.0],
    ("beale", 20, "regular"): [1e8, 2e8],
    ("beale", 20, "sobolev"): [1e8, 3e8],
  }
  claims = {("booth", 20): ("sobolev", "shown"), ("beale", 20): (None, "")}
  report.figures.save_figure2("x.png", errors, claims)
  booth, beale = kept[0][0].axes[:2]
  spans = [np.ptp(np.log10(axis.get_ylim())) for axis in (booth, beale)]
  assert spans[0] == pytest.approx(spans[1]) and spans[0] > np.log10(2e4)
  assert [text.get_text() for text in booth.texts] == ["✓"]
  assert [text.get_text() for text in beale.texts] == ["–"]
  assert "each of 2 seeds" in kept[0][2]


def test_networks_that_cannot_be_read_are_named(
  workdir, tmp_path, capsys, undrawn, eagerly
):
  shutil.copytree(workdir, tmp_path / "runs")
  path = tmp_path / "runs" / "20" / "sobolev" / "networks.npz"
  path.write_bytes(path.read_bytes()[:500])
  argv = ["report", f"--workdir={tmp_path}/runs", f"--output={tmp_path}/out"]
  assert report.main(argv) == 2
  assert "20/sobolev/networks.npz has changed" in capsys.readouterr().err
  assert len(undrawn["figure7_booth.png"][1]) == 4
  with np.load(tmp_path / "out" / "figure7_booth.npz") as models:
    assert sorted(models) == [
      "regular, 100 points",
      "regular, 100 points, trained on",
      "regular, 20 points",
      "regular, 20 points, trained on",
      "sobolev, 100 points",
      "sobolev, 100 points, trained on",
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


def test_methods_are_compared_on_the_seeds_that_both_have():
  rows = [
    {
      "function": "booth",
      "num_train": "20",
      "method": method,
      "seed": seed,
      **dict.fromkeys(report._MEASURES, str(error * (1 + int(seed)))),
    }
    for method, error, seeds in (
      ("regular", 8, ("1", "0")),
      ("sobolev", 2, ("0", "1", "2")),
    )
    for seed in seeds
  ]
  table = report.make_table(rows, [])
  assert "| 1.05 ± 0.21 | 0.45 ± 0.21 | 4" in table


def test_ratios_of_a_figure_are_summed_up_by_their_interquartile_mean():
  rows = [
    {
      "function": function,
      "num_train": "20",
      "method": method,
      "seed": str(seed),
      **dict.fromkeys(report._MEASURES, str(error)),
    }
    for function, ratio in (("booth", 10), ("beale", 1), ("bukin", 0.1))
    for method, error in (("regular", ratio), ("sobolev", 1))
    for seed in range(4)
  ]
  found = report.ratios(rows)
  np.testing.assert_allclose(found[20], [[1, 0, -1]] * 4)  # [seeds, functions]
  # Of twelve logarithms the middle six: -1, 0, 0, 0, 0 and 1.
  assert "20 points 1.00 (1.00 to 1.00)." in report.describe_ratios(rows)
  # Functions with other seeds make no table of runs by tasks.
  assert not report.ratios(rows[:-1])
  assert report.describe_ratios(rows[:-1]) == ""


def test_two_runs_of_the_same_experiment_are_refused(workdir, tmp_path):
  run = workdir / "20" / "regular"
  shutil.copytree(run, tmp_path / "once")
  shutil.copytree(run, tmp_path / "again")
  with pytest.raises(CommandError, match="same experiment"):
    report.REPORT.write(tmp_path, tmp_path / "out")


def test_search_over_settings_makes_a_column_for_each(tmp_path):
  run_here(tmp_path / "runs", "--num_train=20", "--scaling=none,standard")
  table, _ = report.REPORT.write(tmp_path / "runs", tmp_path / "out")
  assert "| points | scaling |" in table
  assert "| 20 | none |" in table and "| 20 | standard |" in table
  assert not list((tmp_path / "out").glob("*.png"))
