"""The committed tables are those of the committed numbers."""

import pathlib

import pytest

from trainers import redraw
from trainers.distillation import search_report
from trainers.lifecycle import tables
from trainers.theory import report as theory

RESULTS = pathlib.Path(__file__).parents[2] / "results"


@pytest.mark.parametrize("folder", redraw.REPORTS)
def test_a_table_says_what_its_numbers_say(folder):
  table, _ = redraw.REPORTS[folder].REPORT.render(RESULTS / folder)
  assert table == (RESULTS / folder / "table.md").read_text()


def test_every_folder_with_numbers_is_redrawn():
  folders = {path.parent.name for path in RESULTS.glob("*/results.csv")}
  assert folders == {*redraw.REPORTS, "theory"}


def test_the_page_of_the_theory_and_its_drawings_are_those_of_the_numbers():
  rows = tables.read_csv(RESULTS / "theory" / "results.csv")
  page = (RESULTS / "theory" / "README.md").read_text()
  assert theory.make_page(rows) == page
  for name in theory.STATEMENTS:
    for ending in ("json", "png"):
      assert (RESULTS / "theory" / f"{name}.{ending}").exists()


def test_the_search_names_a_choice_for_each_method():
  text, _ = search_report.REPORT.render(RESULTS / "figure4")
  assert "pong sobolev at 1 %, best of 4 trials: alpha 0.3" in text
