"""The page of the theory: rows, figures, merging, exit codes."""

import csv

import pytest

from trainers.lifecycle.command_line import CommandError
from trainers.theory import report as theory
from trainers.theory.results import Measurement, Result, canvas

_QUICK = ("polynomials", "gaussians", "piecewise_linear", "transfer")


def read(folder):
  with open(folder / "results.csv", encoding="utf-8", newline="") as file:
    return list(csv.DictReader(file))


def test_quick_statements_hold_and_fill_the_page(tmp_path):
  output = tmp_path / "new" / "page"
  code = theory.main(
    ["theory", f"--output={output}", f"--figures={','.join(_QUICK)}"]
  )
  assert code == 0
  rows = read(output)
  assert {row["figure"] for row in rows} == set(_QUICK)
  assert {row["holds"] for row in rows} == {"yes"}
  page = (output / "README.md").read_text(encoding="utf-8")
  for name in _QUICK:
    assert (output / f"{name}.png").stat().st_size > 10_000
    assert f"![{theory.STATEMENTS[name].name}]({name}.png)" in page
  for row in rows:
    assert row["measured"] in page
  before = {path: path.read_bytes() for path in output.iterdir()}
  for name in ("README.md", "gaussians.png"):
    (output / name).unlink()
  assert theory.main(["theory", f"--output={output}", "--redraw"]) == 0
  assert {path: path.read_bytes() for path in output.iterdir()} == before


def fake(measured):
  drawing, panel = canvas("title", columns=1)
  panel.plot([0, 1], [0, measured])
  return Result(drawing, [Measurement("a | b", measured, 1.0)])


def replace(monkeypatch, name, measured):
  statement = theory.STATEMENTS[name]._replace(measure=lambda: fake(measured))
  monkeypatch.setitem(theory.STATEMENTS, name, statement)


def test_a_second_run_replaces_its_own_rows_only(tmp_path, monkeypatch):
  replace(monkeypatch, "gaussians", 0.5)
  replace(monkeypatch, "transfer", 0.25)
  base = ["theory", f"--output={tmp_path}"]
  theory.main([*base, "--figures=transfer,gaussians"])
  replace(monkeypatch, "gaussians", 0.75)
  theory.main([*base, "--figures=gaussians"])
  rows = {row["figure"]: row["measured"] for row in read(tmp_path)}
  # In the page's order, whatever order they were asked for in.
  assert list(rows.items()) == [("gaussians", "0.75"), ("transfer", "0.25")]


def test_results_that_a_hand_has_changed_are_neither_drawn_nor_kept(
  tmp_path, monkeypatch
):
  replace(monkeypatch, "gaussians", 0.5)
  base = ["theory", f"--output={tmp_path}"]
  theory.main([*base, "--figures=gaussians"])
  for name in ("results.csv", "gaussians.json"):
    text = (tmp_path / name).read_text()
    (tmp_path / name).write_text(text.replace("0.5", "0.1"))
    for flag in ("--redraw", "--figures=transfer"):
      with pytest.raises(CommandError, match=f"{name} has changed since"):
        theory.main([*base, flag])
    (tmp_path / name).write_text(text)


def test_a_broken_bound_is_reported_and_fails(tmp_path, monkeypatch, capsys):
  replace(monkeypatch, "gaussians", 2.0)
  code = theory.main(["theory", f"--output={tmp_path}", "--figures=gaussians"])
  assert code == 1
  assert "DOES NOT HOLD" in capsys.readouterr().out
  assert read(tmp_path)[0]["holds"] == "NO"
  page = (tmp_path / "README.md").read_text(encoding="utf-8")
  assert "| a \\| b | 2 | <= 1 | NO |" in page


def test_bounds_from_below_and_not_a_number():
  assert Measurement("q", 2.0, 1.0, above=True).holds
  assert not Measurement("q", 0.5, 1.0, above=True).holds
  assert not Measurement("q", float("nan"), 1.0).holds


@pytest.mark.parametrize("argument", ["--figures=gauss", "gaussians", "--fig"])
def test_unknown_arguments_are_refused(argument, tmp_path):
  with pytest.raises(CommandError):
    theory.main(["theory", f"--output={tmp_path}", argument])


def test_faults_are_one_sentence_before_anything_is_measured(tmp_path):
  (tmp_path / "file").write_text("mine")
  for settings, phrase in {
    ("--figures=",): "--figures is empty",
    ("--figures=nothing",): "no figure 'nothing'",
    (f"--output={tmp_path}/file",): "is a file; name a folder",
    ("--output=/proc/nothing",): "cannot be written",
    ("--output=",): "cannot be written",
  }.items():
    with pytest.raises(CommandError, match=phrase):
      theory.main(["theory", "--figures=polynomials", *settings])
