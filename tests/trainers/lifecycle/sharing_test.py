"""Runs are taken in turns, and anybody can see how far they are."""

import json
import os

from trainers.lifecycle import claims, sharing


def test_what_others_hold_is_looked_at_again_after_the_rest():
  held, done = {"b": 1, "d": 99}, []

  def work(config, folder):
    if held.get(folder, 0):
      held[folder] -= 1
      raise claims.Busy
    done.append(config)

  runs = [(name.upper(), name) for name in "abcd"]
  assert sharing.take_each(runs, work) == 1
  assert done == ["A", "C", "B"]  # d stays with somebody else


def test_what_another_process_has_finished_meanwhile_is_not_taken(tmp_path):
  seen = []

  def work(config, folder):
    seen.append(config)
    if config == 1:
      (tmp_path / "1").mkdir()
      (tmp_path / "1" / "finished.json").touch()
      raise claims.Busy

  runs = [(number, str(tmp_path / str(number))) for number in (1, 2)]
  assert sharing.take_each(runs, work) == 0
  assert seen == [1, 2]


def test_the_table_shows_each_run_that_is_not_finished(tmp_path):
  folders = [tmp_path / name for name in ("a", "b", "c", "d")]
  sharing.publish(tmp_path, folders)
  for folder in folders[:3]:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"num_steps": 90}))
    (folder / "metrics.csv").write_text("step,loss\n30,1\n60,0.5\n")
  (folders[0] / "finished.json").touch()
  with claims.hold(folders[1]):
    found = sharing.states(tmp_path)
    states = [one.state for one in found]
    assert states == ["finished", "running", "stopped", "waiting"]
    table = sharing.make_table(found)
  assert f"| b | running | 60/90 | {os.getpid()} on " in table
  assert "| c | stopped | 60/90 |  |" in table
  assert "| 1 more | finished |" in table
  assert sharing.summary(found) == (
    "4 run(s): 1 finished, 1 running, 1 stopped, 1 waiting"
  )
  assert sharing.states(tmp_path / "a") == []


def test_a_damaged_list_or_run_is_no_reason_to_stop(tmp_path):
  sharing.publish(tmp_path, [tmp_path / "a"])
  (tmp_path / "a").mkdir()
  (tmp_path / "a" / "metrics.csv").mkdir()
  for settings in ("[1, 2]", "{", "[" * 100_000):
    (tmp_path / "a" / "config.json").write_text(settings)
    (found,) = sharing.states(tmp_path)
    assert found[1:4] == ("stopped", 0, None)
  for listed in ("{}", "[3]", "[" * 100_000, "\xff"):
    (tmp_path / sharing.LIST).write_bytes(listed.encode("latin-1"))
    assert sharing.states(tmp_path) == []
