"""The command of a report: what it writes, names and returns."""

import dataclasses
import json

import pytest

from trainers.lifecycle import report, tables
from trainers.lifecycle.command_line import CommandError, setting


@dataclasses.dataclass(frozen=True)
class Config:
  seed: int = setting(0, "", minimum=0)
  num_steps: int = setting(2, "", minimum=1)


def collect(runs, output):
  rows = [{"seed": r.config.seed, "error": r.result["error"]} for r in runs]
  tables.write_csv(f"{output}/results.csv", rows)
  return [f"{run.folder} lacks weights." for run in runs if run.config.seed > 8]


def render(output):
  rows = tables.read_csv(f"{output}/results.csv", "seed", "error")
  text = " ".join(row["error"] for row in rows)
  return text, {"curves.csv": lambda path: None}


REPORT = report.Report(
  "What it does.",
  "./scripts/make.sh",
  lambda fields: Config,
  collect,
  render,
  lambda config: ("error",),
)


def write_run(folder, seed):
  folder.mkdir(parents=True)
  (folder / "config.json").write_text(json.dumps({"seed": seed}))
  (folder / "finished.json").write_text(json.dumps({"error": seed + 0.5}))
  (folder / "metrics.csv").write_text("step,loss\n1,1\n2,2\n")


@pytest.fixture
def runs(tmp_path):
  for seed in (1, 2):
    write_run(tmp_path / "runs" / str(seed), seed)
  return tmp_path / "runs"


def call(*flags):
  return REPORT.main(["report", *flags])


def test_a_report_is_written_and_redrawn(runs, tmp_path, capsys):
  output = tmp_path / "out"
  assert call(f"--workdir={runs}", f"--output={output}") == 0
  assert (output / "table.md").read_text() == "1.5 2.5"
  (output / "table.md").unlink()
  assert call("--redraw", f"--output={output}") == 0
  assert (output / "table.md").read_text() == "1.5 2.5"
  said = capsys.readouterr()
  assert said.out == "1.5 2.5\n1.5 2.5\n"
  assert said.err.count("curves.csv is missing") == 2
  assert "./scripts/make.sh makes it" in said.err


def test_numbers_that_a_hand_has_changed_are_neither_drawn_nor_joined(
  runs, tmp_path
):
  output = tmp_path / "out"
  assert call(f"--workdir={runs}", f"--output={output}") == 0
  text = (output / "results.csv").read_text()
  (output / "results.csv").write_text(text.replace("2.5", "0.5"))
  write_run(tmp_path / "more" / "4", 4)
  more = [f"--workdir={tmp_path / 'more'}", f"--add_to={output}"]
  for flags in (["--redraw"], more):
    with pytest.raises(CommandError, match="results.csv has changed since"):
      call(*flags, f"--output={output}")
  assert call(f"--workdir={runs}", f"--output={output}") == 0  # anew


@pytest.mark.parametrize("name", ["curves.csv", "figure2_booth.npz"])
def test_curves_and_surfaces_may_be_gone_but_not_changed(runs, tmp_path, name):
  output = tmp_path / "out"
  output.mkdir()
  (output / name).write_text("step,loss\n1,0.25\n")
  assert call(f"--workdir={runs}", f"--output={output}") == 0
  (output / name).write_text("step,loss\n1,0.35\n")
  with pytest.raises(CommandError, match=f"{name} has changed since"):
    call("--redraw", f"--output={output}")
  (output / name).unlink()
  assert call("--redraw", f"--output={output}") == 0


def test_a_letter_where_a_number_was_is_one_sentence(runs, tmp_path):
  def numbers(output):
    text, draws = render(output)
    return " ".join(f"{float(word):g}" for word in text.split()), draws

  output = tmp_path / "out"
  one = REPORT._replace(render=numbers)
  one.write(runs, output)
  (output / "SHA256SUMS").unlink()  # as results from before there were any
  text = (output / "results.csv").read_text()
  (output / "results.csv").write_text(text.replace("2.5", "2a5"))
  with pytest.raises(CommandError, match="something else .*'2a5'"):
    one.redraw(output)


def test_a_damaged_run_is_named_and_the_code_says_so(runs, tmp_path, capsys):
  write_run(runs / "9", 9)
  (runs / "1" / "metrics.csv").write_text("")
  assert call(f"--workdir={runs}", f"--output={tmp_path}") == 2
  assert (tmp_path / "table.md").read_text() == "2.5 9.5"
  left_out = [
    line for line in capsys.readouterr().err.splitlines() if "left out" in line
  ]
  assert len(left_out) == 2
  assert "1/metrics.csv ends within a row" in left_out[0]
  assert "9 lacks weights" in left_out[1]


def test_a_search_writes_no_table(runs, tmp_path):
  REPORT._replace(table="").write(runs, tmp_path / "out")
  names = {path.name for path in (tmp_path / "out").iterdir()}
  assert names == {"results.csv", "SHA256SUMS"}


@pytest.mark.parametrize(
  "flags",
  [
    [],
    ["--workdir=a"],
    ["--output=a"],
    ["--output=a", "--workdir=b", "--redraw"],
    ["--output=a", "--workdir=b", "--no_such_flag=1"],
    ["--output=a", "--workdir=b", "stray"],
  ],
)
def test_a_command_line_that_says_too_little_or_too_much_is_refused(flags):
  with pytest.raises(CommandError) as error:
    call(*flags)
  assert "\n" not in str(error.value)


def test_help_writes_nothing(capsys):
  with pytest.raises(SystemExit) as end:
    call("--help")
  assert end.value.code == 0
  assert "What it does." in capsys.readouterr().out


def test_an_output_that_is_a_file_is_one_sentence(runs, tmp_path):
  (tmp_path / "out").write_text("")
  with pytest.raises(CommandError, match="--output .* cannot be written"):
    call(f"--workdir={runs}", f"--output={tmp_path / 'out'}")


def test_runs_of_further_seeds_join_the_rows_reported_before(runs, tmp_path):
  output = tmp_path / "out"
  assert call(f"--workdir={runs}", f"--output={output}") == 0
  for seed in (0, 4):
    write_run(tmp_path / "more" / str(seed), seed)
  more = [f"--workdir={tmp_path / 'more'}", f"--add_to={output}"]
  assert call(*more, f"--output={tmp_path / 'all'}") == 0
  assert (tmp_path / "all" / "table.md").read_text() == "0.5 1.5 2.5 4.5"
  assert (output / "table.md").read_text() == "1.5 2.5"  # only read
  assert call(*more, f"--output={output}") == 0  # into the same folder
  assert (output / "table.md").read_text() == "0.5 1.5 2.5 4.5"


def test_a_seed_reported_before_is_refused_and_nothing_is_lost(runs, tmp_path):
  output = tmp_path / "out"
  assert call(f"--workdir={runs}", f"--output={output}") == 0
  before = (output / "results.csv").read_text()
  write_run(tmp_path / "more" / "2", 2)
  with pytest.raises(CommandError, match="both have 2"):
    call(
      f"--workdir={tmp_path}/more", f"--add_to={output}", f"--output={output}"
    )
  assert (output / "results.csv").read_text() == before
  with pytest.raises(CommandError, match="leave --redraw out"):
    call("--redraw", f"--add_to={output}", f"--output={output}")
