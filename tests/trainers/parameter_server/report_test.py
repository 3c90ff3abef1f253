"""The report of the parameter server, from folders as runs leave them."""

import csv
import json

from trainers.parameter_server import report


def write_run(folder, accuracy, seed, updates=None, workers=None, shares=1):
  folder.mkdir(parents=True)
  config = {
    "dataset": "digits",
    "method": "sobolev",
    "num_modules": 3,
    "num_steps": 20,
    "clutter": 6,
    "learning_rate": 0.1,
    "num_replicas": 2 if updates else shares,
    "seed": seed,
  }
  result = {"test_accuracy": accuracy}
  rows = "step,test_accuracy\n10,0.5\n20,0.6\n"
  if updates:
    config["main_updates"] = updates
    result.update(workers=workers, begun_again=1, finished_again=0)
    rows = (
      "step,staleness,staleness_90,staleness_most\n10,0.5,1,3\n20,1.5,2,2\n"
    )
  (folder / "config.json").write_text(json.dumps(config))
  (folder / "finished.json").write_text(json.dumps(result))
  (folder / "metrics.csv").write_text(rows)


def test_seeds_share_a_row_and_kinds_do_not(tmp_path):
  for seed, accuracy in ((0, 0.8), (1, 0.9)):
    write_run(tmp_path / f"async{seed}", accuracy, seed, "async", 2)
    write_run(tmp_path / f"one{seed}", accuracy, seed)
  write_run(tmp_path / "mirrored", 0.75, 0, shares=2)
  write_run(tmp_path / "sync", 0.7, 0, "sync", 2)
  write_run(tmp_path / "sync4", 0.6, 0, "sync", 4)
  text, _ = report.REPORT.write(str(tmp_path), str(tmp_path / "out"))
  assert (tmp_path / "out" / "table.md").read_text() == text
  rows = text.splitlines()[2:]
  assert [row.split(" | ")[1] for row in rows] == [
    "one process",
    "mirrored",
    "sync",
    "sync",
    "async",
  ]
  assert "| 1 | 1 | 85.0 ± 7.1 % | 2 |  |  |" in rows[0]
  assert "| 2 | 4 | 60.0 % | 1 | 1.00, 2, 3 | 1 / 0 |" in rows[3]
  assert "| 2 | 2 | 85.0 ± 7.1 % | 2 | 1.00, 2, 3 | 2 / 0 |" in rows[4]
  with open(tmp_path / "out" / "results.csv", newline="") as file:
    table = list(csv.DictReader(file))
  assert [row["seed"] for row in table] == ["0", "1", "0", "0", "0", "0", "1"]
  assert table[-1]["staleness_most"] == "3" and not table[0]["staleness"]
