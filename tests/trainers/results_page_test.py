"""results/report.html holds all of results/, and nothing else."""

import base64
import csv
import html
import pathlib
import re

import pytest

from trainers import results_page

ROOT = pathlib.Path(__file__).parent.parent.parent
RESULTS = ROOT / "results"


@pytest.fixture(scope="module")
def page():
  return results_page.make(RESULTS)


@pytest.fixture
def small(tmp_path):
  """A folder of results: one experiment, one benchmark, one figure."""
  (tmp_path / "benchmarks").mkdir()
  (tmp_path / "figure9").mkdir()
  (tmp_path / "README.md").write_text(
    "# Results\n\n| folder | made by | where | time |\n|---|---|---|---|\n"
    "| [figure9](figure9) | `./run.sh` | a desk | 5 min |\n"
    "| [benchmarks](benchmarks) | `./time.sh` | the same, idle | 1 s |\n\n"
    "## What came out\nSee [it](figure9/table.md), [elsewhere](../x.md) and "
    "[below](#what-came-out).\n"
  )
  (tmp_path / "figure9" / "table.md").write_text(
    "| what | MSE ratio | verdict |\n|---|---|---|\n"
    "| a | 100 (10 to 1000) | shown (p = 0.01) |\n"
    "| <b> | 0.5 (0.2 to 1.3) | not settled (p = 1) |\n"
  )
  (tmp_path / "figure9" / "curve.png").write_bytes(b"a picture")
  (tmp_path / "figure9" / "results.csv").write_text("seed,error\n0,12345\n")
  (tmp_path / "benchmarks" / "step.md").write_text("`time` on a desk.\n")
  return tmp_path


def test_the_committed_page_is_what_the_committed_files_make(page):
  found = (RESULTS / results_page.PAGE).read_text("utf-8")
  assert found == page, "results/ has changed; run ./scripts/report.sh."


def test_every_figure_is_on_it_once(page):
  for path in RESULTS.rglob("*.png"):
    data = base64.b64encode(path.read_bytes()).decode()
    assert page.count(data) == 1, path


def test_every_table_is_on_it(page):
  for path in RESULTS.rglob("*.csv"):
    assert f"results/{path.relative_to(RESULTS)}" in page
  for path in RESULTS.rglob("*.md"):
    cells = re.findall(r"^\| ([^|`*\[]+?) \|", path.read_text("utf-8"), re.M)
    for cell in set(cells) - {"---"}:
      assert html.escape(cell) in page, (path, cell)


def test_it_needs_no_network_and_no_script(page):
  assert not re.search(r'(src|href)="(?!#|data:|https://)', page)
  assert not re.search(r'src="https?:', page)
  assert "<script" not in page and "@import" not in page
  assert len(page) < 5e6


def test_every_link_leads_to_a_place_on_it(page):
  places = re.findall(r'id="([^"]+)"', page)
  assert len(places) == len(set(places))
  links = re.findall(r'href="#([^"]+)"', page)
  assert len(links) > 50
  assert set(links) <= set(places)


def test_a_section_is_followed_by_what_it_links_to(small):
  page = results_page.make(small)
  places = [
    page.index(f'id="{name}"')
    for name in ("what-came-out", "results-figure9", "results-benchmarks-step")
  ]
  assert places == sorted(places)
  assert "Further tables" in page  # the benchmark, which nothing links to
  assert '<a href="#results-figure9">it</a>' in page
  assert "<span>elsewhere</span>" in page
  assert "<dd>a desk, idle</dd>" in page


def test_verdicts_are_marked_and_counted(small):
  page = results_page.make(small)
  assert '<span class="verdict shown">shown (p = 0.01)</span>' in page
  assert "1 shown, 1 not settled" in page


def test_an_interval_is_drawn_on_a_logarithmic_axis(small):
  page = results_page.make(small)
  # 13 pixels a decade from 40, where the ratio is 1; the end is cut off.
  assert '<path d="M53.0 6H77"' in page
  assert '<circle cx="66.0"' in page


def test_what_a_table_holds_is_text(small):
  assert "<b>" not in results_page.make(small)


def test_numbers_are_shown_as_they_are(page):
  with open(RESULTS / "theory" / "results.csv", newline="") as file:
    cells = [cell for row in csv.reader(file) for cell in row]
  assert all(f">{html.escape(cell)}</t" in page for cell in cells)
