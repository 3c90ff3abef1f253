"""Runs read back from their folders, whole and damaged."""

import dataclasses
import json

import numpy as np
import pytest

from trainers.lifecycle import finished, sums
from trainers.lifecycle.command_line import CommandError, setting


@dataclasses.dataclass(frozen=True)
class Config:
  method: str = setting("a", "", choices=("a", "b"))
  seed: tuple[int, ...] = setting((0, 1), "", minimum=0)
  rate: float = setting(0.5, "", minimum=0)
  is_odd: bool = setting(False, "")
  num_steps: int = setting(20, "", minimum=1)

  def __post_init__(self):
    if self.rate == 7:
      raise ValueError("rate is 7.")


METRICS = (
  "step,seed,loss,score\n"
  "10,0,0.5,\n10,1,0.25,3\n"
  "20,0,0.125,4\n20,1,0.0625,\n"
)  # fmt: skip


def write(folder, fields=None, result=None, metrics=METRICS):
  folder.mkdir(parents=True)
  (folder / "config.json").write_text(json.dumps(fields or {}))
  (folder / "finished.json").write_text(
    json.dumps(result or {"error": [1.5, 2.5]})
  )
  (folder / "metrics.csv").write_text(metrics)


def find(folder, numbers=("error",), series="seed"):
  return finished.find_runs(
    folder, lambda fields: Config, lambda config: numbers, series
  )


def test_settings_result_and_curves_are_read(tmp_path):
  write(tmp_path / "[b]" / "x", {"rate": 1e-05, "seed": [0, 1], "is_odd": True})
  write(tmp_path / "a")
  (runs, damages) = find(tmp_path)
  assert not damages
  assert [run.folder for run in runs] == [
    str(tmp_path / "[b]" / "x"),
    str(tmp_path / "a"),
  ]
  assert runs[0].config == Config(rate=1e-05, is_odd=True)
  assert runs[0].result == {"error": [1.5, 2.5]}
  steps, values = runs[0].curve("loss", seed=1)
  assert steps.tolist() == [10, 20] and values.tolist() == [0.25, 0.0625]
  assert steps.dtype == np.int64
  # Rows without a number are left out, and columns that do not exist empty.
  assert [c.tolist() for c in runs[0].curve("score")] == [[10, 20], [3, 4]]
  assert runs[0].curve("other")[0].shape == (0,)


def test_a_folder_with_brackets_in_its_name_is_searched(tmp_path):
  write(tmp_path / "[a]" / "x")
  assert len(find(tmp_path / "[a]")[0]) == 1


def test_a_run_that_is_not_finished_has_neither_result_nor_curves(tmp_path):
  write(tmp_path / "a")
  write(tmp_path / "b", metrics="step,seed,loss,score\n10,0,0.")
  (tmp_path / "b" / "finished.json").unlink()
  runs, damages = find(tmp_path)
  assert runs[1] == (str(tmp_path / "b"), Config(), None, []) and not damages


def test_runs_of_another_kind_are_passed_over(tmp_path):
  write(tmp_path / "a")
  write(tmp_path / "b", {"game": "pong"})
  runs, damages = finished.find_runs(
    tmp_path,
    lambda fields: None if "game" in fields else Config,
    lambda config: (),
    "seed",
  )
  assert len(runs) == 1 and not damages


DEEP = "[" * 100_000
ONE_SEED_CUT = METRICS[: METRICS.index("20,1")]
DAMAGES = {
  "no object": ("config.json", "[1, 2]", "config.json holds no JSON object"),
  "null": ("config.json", "null", "config.json holds no JSON object"),
  "cut": ("config.json", '{"rate": 0.', "config.json cannot be read"),
  "deep": ("config.json", DEEP, "config.json cannot be read"),
  "empty": ("config.json", "", "config.json cannot be read"),
  "bytes": ("config.json", b"\xff\xfe{}", "config.json cannot be read"),
  "unknown": ("config.json", '{"rat": 1}', "unknown setting, 'rat'"),
  "choice": ("config.json", '{"method": "c"}', "must be one of a, b"),
  "word": ("config.json", '{"num_steps": "many"}', "give a whole number"),
  "fraction": ("config.json", '{"num_steps": 1.5}', "give a whole number"),
  "object": ("config.json", '{"seed": {"a": 1}}', "give a whole number"),
  "negative": ("config.json", '{"rate": -1}', "must be 0 or more"),
  "nan": ("config.json", '{"rate": NaN}', "give a finite number"),
  "together": ("config.json", '{"rate": 7}', "rate is 7"),
  "list result": ("finished.json", "[]", "finished.json holds no JSON object"),
  "deep result": ("finished.json", DEEP, "finished.json cannot be read"),
  "cut result": ("finished.json", '{"error": [1', "cannot be read"),
  "no number": ("finished.json", '{"loss": 1}', "has no finite error"),
  "one of two": ("finished.json", '{"error": [1]}', "has no finite error"),
  "text": ("finished.json", '{"error": ["1", 2]}', "has no finite error"),
  "truth": ("finished.json", '{"error": [true, 2]}', "has no finite error"),
  "infinite": ("finished.json", '{"error": [1, NaN]}', "has no finite error"),
  "no rows": ("metrics.csv", "", "ends within a row"),
  "header": ("metrics.csv", "step,seed\n", "step by step to the last one, 20"),
  "no step": ("metrics.csv", "a,b\n1,2\n", "step by step to the last one, 20"),
  "half": ("metrics.csv", METRICS[:-3], "ends within a row"),
  "row cut": ("metrics.csv", METRICS[:-9], "ends within a row"),
  "rows lost": (
    "metrics.csv",
    METRICS[: METRICS.index("20,1")],
    "step by step to the last one",
  ),
  "order": (
    "metrics.csv",
    METRICS + "10,0,1,1\n20,0,1,1\n",
    "step by step to the last one",
  ),
  "letters": ("metrics.csv", METRICS.replace("0.25", "o.25"), "cannot be read"),
  "wide": ("metrics.csv", METRICS.replace("0.25", "0,25,1"), "cannot be read"),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_run_is_named_and_the_others_are_read(tmp_path, kind):
  name, content, reason = DAMAGES[kind]
  write(tmp_path / "good")
  write(tmp_path / "bad")
  if isinstance(content, str):
    content = content.encode()
  (tmp_path / "bad" / name).write_bytes(content)
  runs, (sentence,) = find(tmp_path)
  assert [run.folder for run in runs] == [str(tmp_path / "good")]
  assert sentence.startswith(str(tmp_path / "bad" / name))
  assert reason in sentence and "train the run anew" in sentence
  assert "\n" not in sentence and sentence.count(". ") == 0


def test_a_file_that_is_gone_is_named(tmp_path):
  write(tmp_path / "good")
  write(tmp_path / "bad")
  (tmp_path / "bad" / "metrics.csv").unlink()
  runs, damages = find(tmp_path)
  assert len(runs) == 1 and "metrics.csv cannot be read" in damages[0]


def test_no_finished_run_is_one_sentence_with_the_damages(tmp_path):
  with pytest.raises(CommandError, match="no finished run below"):
    find(tmp_path)
  write(tmp_path / "bad", metrics="")
  with pytest.raises(CommandError, match="first. .*metrics.csv ends within"):
    find(tmp_path)


def test_the_same_experiment_twice_is_refused_and_named(tmp_path):
  for name in ("a", "b", "c"):
    write(tmp_path / name, {"rate": 2 if name == "c" else 1})
  runs, _ = find(tmp_path)
  assert finished.varied_settings(runs, ()) == ["rate"]
  assert finished.varied_settings(runs, ("rate",)) == []
  finished.check_distinct(runs[1:], lambda run: run.config)
  with pytest.raises(CommandError, match="/b and .*/a are the same experiment"):
    finished.check_distinct(runs, lambda run: run.config)


def test_a_digit_that_changed_after_the_run_was_finished_is_told(tmp_path):
  write(tmp_path / "good")
  write(tmp_path / "bad")
  sums.write(tmp_path / "bad", ["config.json", "metrics.csv", "finished.json"])
  metrics = METRICS.replace("0.125", "0.126")
  (tmp_path / "bad" / "metrics.csv").write_text(metrics)
  runs, damages = find(tmp_path)
  assert [run.folder for run in runs] == [str(tmp_path / "good")]
  assert len(damages) == 1 and "metrics.csv has changed since" in damages[0]
