"""CSV files, Markdown tables and curves."""

import numpy as np
import pytest

from trainers.lifecycle import tables
from trainers.lifecycle.command_line import CommandError
from trainers.lifecycle.finished import Run


def test_a_table_has_a_line_for_each_group():
  rows = [
    {"game": "pong", "score": "1.5"},
    {"game": "alien", "score": "7"},
    {"game": "pong", "score": ""},
    {"game": "pong", "score": "2.5"},
  ]
  groups = tables.group(rows, "game")
  assert list(groups) == [("pong",), ("alien",)]
  text = tables.markdown(
    groups.values(),
    {
      "game": lambda group: group[0]["game"],
      "mean": lambda group: f"{np.mean(tables.numbers(group, 'score')):g}",
    },
  )
  assert text == "| game | mean |\n| --- | --- |\n| pong | 2 |\n| alien | 7 |\n"


def test_numbers_have_six_digits_and_gaps_stay_empty():
  found = tables.numbers_of({"a": 1 / 3, "c": 3}, ("a", "b", "c"))
  assert found == {"a": "0.333333", "b": "", "c": "3"}
  assert tables.numbers_of(None, ("a",)) == {"a": ""}


def run(curve):
  rows = [{"step": step, **values} for step, values in curve.items()]
  return Run("", None, {}, rows)


def test_curves_come_back_as_they_were_by_seed_and_column(tmp_path):
  path = tmp_path / "curves.csv"
  keys = [{"game": g, "seed": s} for g in ("pong", "alien") for s in (3, 1)]
  runs = [
    run({10: {"kl": k + 0.25, "e": k / 8}, 20: {"kl": k + 0.5, "e": None}})
    for k in range(4)
  ]
  tables.write_curves(path, keys, runs, ("kl", "e"))
  assert path.read_text().splitlines()[:3] == [
    "game,seed,step,kl,e",
    "pong,3,10,0.25,0",
    "pong,3,20,0.5,",
  ]
  curves = tables.read_curves(path, "kl")
  assert list(curves) == [("pong",), ("alien",)]
  steps, values = curves["alien",]
  assert steps == [10, 20]
  np.testing.assert_array_equal(values, [[2.25, 2.5], [3.25, 3.5]])
  steps, values = tables.read_curves(path, "e")["alien",]
  assert steps == [10]
  np.testing.assert_array_equal(values, [[0.25], [0.375]])


def test_seeds_that_were_measured_at_other_steps_are_refused(tmp_path):
  path = tmp_path / "curves.csv"
  runs = [run({10: {"kl": 1}, 20: {"kl": 2}}), run({10: {"kl": 1}})]
  tables.write_curves(path, [{"seed": 0}, {"seed": 1}], runs, ("kl",))
  with pytest.raises(CommandError, match="measured at different steps"):
    tables.read_curves(path, "kl")


@pytest.mark.parametrize(
  "text", ["", "a,b\n", "a,c\n1,2\n", "a,b\n1\n", "a,b\n1,2,3\n", "\x00"]
)
def test_a_damaged_csv_file_is_one_sentence(tmp_path, text):
  path = tmp_path / "results.csv"
  path.write_text(text)
  with pytest.raises(CommandError, match="is not what the report") as error:
    tables.read_csv(path, "a", "b")
  assert "\n" not in str(error.value)


def test_a_missing_csv_file_is_one_sentence(tmp_path):
  with pytest.raises(CommandError, match="No such file"):
    tables.read_csv(tmp_path / "results.csv")


def test_rows_of_further_seeds_stand_with_their_settings():
  def rows(function, *seeds):
    return [{"function": function, "seed": s, "mse": "1"} for s in seeds]

  joined = tables.join_seeds(
    rows("booth", "0", "11") + rows("beale", "0"), rows("beale", "2", "1")
    + rows("booth", "10"),
  )  # fmt: skip
  found = [(row["function"], row["seed"]) for row in joined]
  assert found == [("booth", s) for s in ("0", "10", "11")] + [
    ("beale", s) for s in "012"
  ]
  with pytest.raises(ValueError, match="both have booth, 3"):
    tables.join_seeds(rows("booth", "3"), rows("booth", "3"))
  with pytest.raises(ValueError, match="the other function, rate, seed"):
    tables.join_seeds(
      rows("booth", "3"), [{"function": "booth", "rate": "1", "seed": "4"}]
    )


def test_a_terminal_shows_straight_columns_and_leaves_other_lines():
  text = "| a | long |\n| --- | --- |\n| 12.5 | b |\n| - |  |\n\nOf 2.\n"
  assert tables.aligned(text) == (
    "a     long\n----  ----\n12.5  b\n-\n\nOf 2.\n"
  )
