"""The attack's short form; `./scripts/attack.sh` is the long one."""

import os
import pathlib
import random
import subprocess

from tests import warm_python
from tests.attack import command_lines, commands, damages, judged
from tests.attack.__main__ import KINDS, _keep, _missing, attack, make_table

ROOT = pathlib.Path(__file__).parents[2]
SHORT = {
  "kills": 1,
  "damages": 4,
  "places": 2,
  "commands": 6,
  "calls": 30,
  "files": 3,
}


def test_a_short_attack_leaves_nothing_silent_broken_or_hanging(tmp_path):
  # In a process of its own: it forks, which one that has computed must not.
  # About 20 s of a core.
  flags = [f"--{kind}={count}" for kind, count in SHORT.items()]
  result = subprocess.run(
    [
      warm_python.command(),
      "-m",
      "tests.attack",
      *flags,
      f"--output={tmp_path}",
    ],
    cwd=ROOT,
    env={**os.environ, "TF_NUM_INTRAOP_THREADS": "1"},
    capture_output=True,
    text=True,
    timeout=600,
  )
  assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
  table = (tmp_path / "attack.md").read_text()
  for kind, count in SHORT.items():
    assert f"| {kind} | {count} | " in table
    assert table.split(f"| {kind} |")[1].split("\n")[0].endswith("0 | 0 | 0 |")


def test_there_is_as_much_nonsense_as_is_asked_for():
  lines = [
    (name, flag)
    for name, trainer in commands.TRAINERS.items()
    for flag in command_lines.nonsense(trainer.Config)
  ]
  assert len(set(lines)) == len(lines) >= KINDS["commands"][0]


def test_what_is_kept_is_not_played_again(tmp_path):
  path, case = tmp_path / "cases", judged.Case("a call", "clear", "a word")
  _keep(path, 3, "calls", 0, case._replace(verdict="silent"))
  _keep(path, 3, "calls", 0, case)  # it has been played again
  _keep(path, 4, "calls", 1, case)
  counts = dict.fromkeys(KINDS, 0) | {"calls": 1}
  assert attack(counts, 3, path) == {"calls": [case]}


def test_what_was_bad_and_what_is_to_come_is_missing():
  good, bad = judged.Case("a", "right", ""), judged.Case("b", "silent", "")
  assert _missing(5, {0: good, 1: bad, 2: good}) == [(1, 2), (3, 5)]
  assert _missing(2, {0: good, 1: good}) == [] and _missing(0, {0: bad}) == []


def test_every_damage_changes_a_file_and_hangs_on_the_seed_alone():
  content = b'{"step": 10, "loss": 0.25}\n'
  for name, damage in damages.DAMAGES.items():
    one, other = (damage(content, random.Random(3)) for _ in range(2))
    assert one == other != content, name


def test_the_table_counts_and_lists():
  cases = {
    "kills": [judged.Case("a", "right", ""), judged.Case("b", "hang", "")],
    "calls": [judged.Case("c", "clear", "")],
  }
  table = make_table(cases).splitlines()
  assert table[2:4] == [
    "| kills | 2 | 1 | 0 | 0 | 0 | 1 |",
    "| calls | 1 | 0 | 1 | 0 | 0 | 0 |",
  ]
  assert table[-1] == "- kills: b: hang" and len(table) == 8
