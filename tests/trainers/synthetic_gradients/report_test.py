"""Table and verdicts from made-up runs; trains nothing."""

import csv
import dataclasses
import json
import pathlib

import numpy as np
import pytest

from trainers.lifecycle.command_line import CommandError
from trainers.synthetic_gradients import report
from trainers.synthetic_gradients import train as synthetic_gradients


def write_run(folder, accuracy, preset="smoke", **changes):
  """Writes what the trainer leaves behind; accuracy None: unfinished."""
  config = dataclasses.replace(synthetic_gradients.PRESETS[preset], **changes)
  folder.mkdir(parents=True)
  (folder / "config.json").write_text(json.dumps(dataclasses.asdict(config)))
  columns = ("step", *synthetic_gradients.columns(config))
  with open(folder / "metrics.csv", "w", newline="") as file:
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    for place, step in enumerate((config.num_steps // 2, config.num_steps)):
      # No two numbers that a figure shows are equal.
      row = {
        name: f"{0.3 * place + 0.1 * config.seed + shift:.9g}"
        for name in columns
        for shift in [0.31 if name.startswith("relative_error") else 0.3]
      }
      if config.method == "noprop":
        row["value_loss_1"] = ""
      writer.writerow({**row, "step": step})
  if accuracy is not None:
    result = {
      "test_accuracy": accuracy,
      "test_top5_accuracy": accuracy + 0.1,
      "test_loss": 1.5,
    }
    (folder / "finished.json").write_text(json.dumps(result))


@pytest.fixture
def undrawn(monkeypatch):
  """What the figures would be drawn from: arguments by the file's path."""
  drawn = {}

  def keep(path, *arguments, **named):
    drawn[pathlib.Path(path)] = arguments

  monkeypatch.setattr(report.figures, "save_curves", keep)
  return drawn


@pytest.fixture
def runs(tmp_path):
  means = {
    "backprop": 0.9,
    "noprop": 0.2,
    "direct": 0.4,
    "vfbn": 0.3,
    "critic": 0.6,
    "sobolev": 0.6,
    "sobolev_labels": 0.7,
  }
  for method, mean in means.items():
    for seed, shift in enumerate((-0.01, 0.0, 0.012)):
      # Critic and Sobolev differ by less than they scatter.
      wobble = 0.05 * (seed - 1) ** 2 if method == "critic" else 0.0
      write_run(
        tmp_path / method / f"seed_{seed}",
        mean + shift + wobble - (0.033 if wobble else 0.0),
        method=method,
        seed=seed,
      )
  write_run(tmp_path / "lost", None, method="critic", seed=3)
  return tmp_path


def test_report_writes_table_verdicts_csv_and_figures(runs, tmp_path, undrawn):
  output = tmp_path / "output"
  text, _ = report.REPORT.write(runs, output)
  assert (output / "table.md").read_text() == text
  rows = [line.split(" | ") for line in text.splitlines() if "±" in line]
  table = {row[0].strip("| "): row for row in rows}
  assert (
    table["noprop"][1] == "20.1 ± 1.1" and "54.5 ± 1.15" in table["noprop"][-1]
  )
  assert table["critic"][2] == "3" and table["critic"][5] == "1"
  assert "- noprop < direct: +20.0 points, shown (p = " in text
  assert "- direct < vfbn: -10.0 points, contradicted (p = " in text
  assert "- sobolev < sobolev_labels: +10.0 points, a difference (p = " in text
  (line,) = [x for x in text.splitlines() if x.startswith("- critic < sob")]
  assert "not settled (p = " in line
  names = {path.name for path in undrawn}
  assert names == {"accuracy.png", "cosine.png", "relative_error.png"}
  with open(output / "results.csv") as file:
    lines = list(csv.DictReader(file))
  assert len(lines) == 22
  lost = [line for line in lines if not line["test_accuracy"]]
  assert [(line["method"], line["seed"]) for line in lost] == [("critic", "3")]


def test_runs_with_other_settings_get_a_column(tmp_path, undrawn):
  for rate in (0.1, 0.01):
    for seed in (0, 1):
      write_run(
        tmp_path / f"{rate}_{seed}",
        rate + seed / 10,
        learning_rate=rate,
        seed=seed,
      )
  text, _ = report.REPORT.write(tmp_path, tmp_path / "output")
  assert text.startswith("| learning rate | method |")
  assert "| 0.01 | sobolev | 6.0 ± 7.1 | 2 |" in text
  assert not undrawn


def rows_of(**accuracies):
  return [
    {"method": method, "seed": str(seed), "test_accuracy": str(value / 100)}
    for method, by_seed in accuracies.items()
    for seed, value in by_seed.items()
  ]


def test_differences_are_paired_by_seed():
  rows = rows_of(vfbn={0: 10, 1: 11, 2: 10.5}, critic={2: 15, 0: 12, 7: 90})
  found = report.differences(rows, "vfbn", "critic")
  np.testing.assert_allclose(found, [2, 4.5])
  assert report.differences(rows, "vfbn", "noprop").shape == (0,)


def test_verdicts_need_seeds_and_a_clear_difference():
  low = {0: 10.0, 1: 11.0, 2: 10.5}
  rows = rows_of(
    noprop=low,
    direct={seed: value + 5 + seed / 100 for seed, value in low.items()},
    vfbn={0: 9.0, 1: 21.0, 2: 17.0},
    critic={1: 50.0},
    sobolev={},
  )
  lines = report.make_verdicts(rows, []).splitlines()
  assert lines[0].startswith("- noprop < direct: +5.0 points, shown (p = ")
  assert lines[1].startswith("- direct < vfbn: +0.2 points, not settled (p = ")
  assert lines[2] == "- vfbn < critic: +29.0 points, one seed only"
  assert lines[3] == "- critic < sobolev: not measured"


def test_the_same_experiment_twice_is_refused(tmp_path):
  write_run(tmp_path / "a", 0.5)
  write_run(tmp_path / "b", 0.6)
  with pytest.raises(CommandError, match="are the same experiment"):
    report.REPORT.write(tmp_path, tmp_path / "output")


def test_the_figures_are_handed_every_seed_and_step(runs, tmp_path, undrawn):
  report.REPORT.write(runs, tmp_path / "output")
  drawn = {path.stem: panels for path, (panels, *_) in undrawn.items()}
  scales = {path.stem: scale for path, (*_, scale) in undrawn.items()}
  steps, values = drawn["accuracy"]["test accuracy"]["critic"]
  assert steps == [10, 20]
  np.testing.assert_allclose(values, [[0.3, 0.6], [0.4, 0.7], [0.5, 0.8]])
  assert list(drawn["cosine"]) == [
    f"border {border} of 3 (from below)" for border in (1, 2, 3)
  ]
  lines = drawn["relative_error"]["border 3 of 3 (from below)"]
  assert "backprop" not in lines
  assert scales == {
    "accuracy": "percent",
    "cosine": "linear",
    "relative_error": "log",
  }
  np.testing.assert_allclose(
    lines["direct"][1], [[0.31, 0.61], [0.41, 0.71], [0.51, 0.81]]
  )


def test_imagenets_table_has_top5_and_both_numbers_of_modules(
  tmp_path, undrawn
):
  accuracy = {"backprop": 0.8, "sobolev": 0.6, "direct": 0.5}
  for method, mean in accuracy.items():
    for number in (1, 3) if method != "backprop" else (1,):
      folder = tmp_path / "runs" / method / str(number)
      write_run(
        folder,
        mean - number / 100,
        preset="desk_games",
        method=method,
        num_modules=number,
      )
  output = tmp_path / "output"
  text, _ = report.REPORT.write(tmp_path / "runs", output)
  rows = [
    [cell.strip() for cell in line.strip("|\n").split("|")]
    for line in text.splitlines()
    if line.startswith("| ")
  ]
  table = {(row[0], row[1]): row for row in rows}
  # Backpropagation stands beside both numbers of modules.
  for number in ("1", "3"):
    assert table[number, "backprop"][2:4] == ["79.0", "89.0"]
    assert table[number, "backprop"][-1] == "75.0 / 92.3"
  assert table["1", "sobolev"][-1] == "72.0 / 90.8"
  assert table["3", "sobolev"][-1] == "66.5 / 87.4"
  assert table["3", "direct"][-1] == "not tried"
  assert "num_modules 3:" in text
  assert text.count("- sobolev < backprop: +") == 2
  assert "noprop < vfbn" in text and "noprop < direct" not in text
  for number in (1, 3):
    assert output / f"modules_{number}" / "accuracy.png" in undrawn
  header = (output / "results.csv").read_text().splitlines()[0]
  assert header.endswith("test_accuracy,test_top5_accuracy,test_loss")


def test_runs_from_before_a_setting_came_into_being_are_read(
  runs, tmp_path, undrawn
):
  whole, _ = report.REPORT.write(runs, tmp_path / "whole")
  for path in runs.rglob("config.json"):
    fields = json.loads(path.read_text())
    del fields["image_size"], fields["colour_distortion"]
    path.write_text(json.dumps(fields))
  text, damages = report.REPORT.write(runs, tmp_path / "again")
  assert text == whole and not damages


def test_what_is_redrawn_equals_what_the_runs_gave(tmp_path):
  for method in ("critic", "sobolev"):
    write_run(tmp_path / "runs" / method, 0.5, method=method, num_modules=1)
  text, _ = report.REPORT.write(tmp_path / "runs", tmp_path / "output")
  pictures = {p: p.read_bytes() for p in (tmp_path / "output").glob("*.png")}
  for path in [*pictures, tmp_path / "output" / "table.md"]:
    path.unlink()
  argv = ["report", "--redraw", f"--output={tmp_path / 'output'}"]
  assert report.main(argv) == 0
  assert (tmp_path / "output" / "table.md").read_text() == text
  assert len(pictures) == 3
  assert all(len(picture) > 5_000 for picture in pictures.values())
  assert {path: path.read_bytes() for path in pictures} == pictures
