"""Damages: one file of a run, a recording or a policy is not what it was."""

import itertools
import os
import random
import shutil

from tests.attack import commands
from tests.attack.judged import Case, Fork, judge
from trainers.lifecycle import tables
from trainers.theory import report as theory_report

_TIMEOUT = 600.0  # seconds; machines may be busy
_DEEP = b'{"a":' * 50_000


def _flip(content, rng):
  if not content:
    return b"x"
  place = rng.randrange(len(content))
  return content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :]


def _change_a_digit(content, rng):
  places = [i for i, byte in enumerate(content) if byte in b"0123456789"]
  if not places:
    return _flip(content, rng)
  place = rng.choice(places)
  digit = str((int(chr(content[place])) + 1) % 10).encode()
  return content[:place] + digit + content[place + 1 :]


DAMAGES = {
  "is cut in the middle": lambda c, rng: c[: rng.randrange(len(c) or 1)],
  "is emptied": lambda c, rng: b"",
  "has one byte changed": _flip,
  "has one digit changed": _change_a_digit,
  "has more at its end": lambda c, rng: c + b"1,2,3\n{",
  "is a JSON list": lambda c, rng: b"[1, 2]",
  "is an empty JSON object": lambda c, rng: b"{}",
  "is a JSON object of other types": lambda c, rng: b'{"sha256": 3, "a": [4]}',
  "is nested deeply": lambda c, rng: _DEEP,
  "is not UTF-8": lambda c, rng: b"\xff\xfe\x00" + c,
  "is made of NULs": lambda c, rng: bytes(len(c)),
  "is gone": lambda c, rng: None,
}
# What stands in a file's place and is none: functions of its path.
NO_FILES = {
  "is a folder": os.mkdir,
  "is a pipe": os.mkfifo,
  "is a link without an end": lambda path: os.symlink(path, path),
  "is a device": lambda path: os.symlink("/dev/zero", path),
}


class Target:
  """Something with files, what is done with it, and what comes of it."""

  def __init__(self, name, folder, use, result):
    """Describes it.

    Args:
      name: for people.
      folder: with the undamaged files.
      use: from a folder to a function for a fork.
      result: from a folder to something that can be compared.
    """
    self.name, self.folder, self.use, self.result = name, folder, use, result
    self.files = sorted(
      os.path.relpath(os.path.join(place, name), folder)
      for place, _, names in os.walk(folder)
      for name in names
      # It is empty, and whoever holds a run makes it anew.
      if not name.endswith(".lock")
    )

  @staticmethod
  def said(words):
    """What a use has read, as it says itself."""
    return [line for line in words.splitlines() if line.startswith("read: ")]


def targets(folder, material):
  """Makes what is to be damaged; returns a list of `Target`."""
  run = os.path.join(folder, "run")
  answer = Fork(material.command("regression", run)).answer(_TIMEOUT)
  if answer.code != 0:
    raise RuntimeError(f"the run to damage fails: {answer.words[-1000:]}")
  stopped = os.path.join(folder, "stopped")
  shutil.copytree(run, stopped)
  for place, names, files in os.walk(stopped):
    if "finished.json" in files:
      os.remove(os.path.join(place, "finished.json"))
    steps = sorted(name for name in names if name.startswith("step_"))
    if steps:
      shutil.rmtree(os.path.join(place, steps[-1]))
  policy = os.path.join(folder, "policy")
  os.makedirs(policy)
  for ending in ("npz", "json"):
    shutil.copy(
      os.path.join(material.teachers, f"{commands.GAME}.{ending}"), policy
    )

  page, theory = os.path.join(folder, "page"), os.path.join(folder, "theory")
  _make_page(run, page)
  _make_theory(theory)
  resume, say_again = (
    lambda where: material.command("regression", where) for _ in range(2)
  )
  return [
    Target("a stopped run, resumed", stopped, resume, _metrics),
    Target("a finished run, started again", run, say_again, _metrics),
    Target(
      "a finished run, reported",
      run,
      lambda where: commands.report(where, os.path.join(where, "report")),
      lambda where: commands.read(where, "table.md"),
    ),
    Target(
      "a recording, read",
      os.path.join(material.recordings, commands.GAME),
      commands.open_recording,
      lambda where: None,
    ),
    Target(
      "a policy, read",
      policy,
      lambda where: commands.open_policy(
        os.path.join(where, f"{commands.GAME}.npz")
      ),
      lambda where: None,
    ),
    Target(
      "a report's numbers, drawn again",
      page,
      commands.redraw,
      lambda where: commands.read(where, "table.md", "results.csv"),
    ),
    Target(
      "the theory's numbers, drawn again",
      theory,
      commands.redraw_theory,
      lambda where: commands.read(where, "README.md", "results.csv"),
    ),
  ]


def _make_page(run, page):
  """A report of a run."""
  answer = Fork(commands.report(run, page)).answer(_TIMEOUT)
  if answer.code != 0:
    raise RuntimeError(f"no report to damage: {answer.words[-1000:]}")
  for name in os.listdir(page):
    if name.endswith((".png", ".pdf", ".md")):
      os.remove(os.path.join(page, name))


def _make_theory(folder):
  """Some of the theory's committed results."""
  source = os.path.join(commands.REPOSITORY, "results", "theory")
  rows = tables.read_csv(os.path.join(source, "results.csv"))
  rows = [row for row in rows if row["figure"] in ("polynomials", "transfer")]
  os.makedirs(folder)
  for name in {row["figure"] for row in rows}:
    shutil.copy(os.path.join(source, f"{name}.json"), folder)
  theory_report.merge_rows(folder, rows)


def _metrics(where):
  return commands.read(where, "metrics.csv")


def choose(count, rng, found, damages=DAMAGES):
  """(target, name of a file, damage) of each case, in turns over the targets.

  Within a target every file has its turn before one comes again.
  """
  piles = []
  for target in found:
    cases = []
    for damage in rng.sample(list(damages), len(damages)):
      names = rng.sample(target.files, len(target.files))
      cases += [(target, name, damage) for name in names]
    piles.append(cases)
  turns = itertools.zip_longest(*piles)
  chosen = [case for turn in turns for case in turn if case is not None]
  return chosen[:count]


def attack_places(count, rng, folder, material, first=0):
  """Yields a `Case` for each file in whose place something else stands."""
  yield from attack(count, rng, folder, material, first, NO_FILES)


def attack(count, rng, folder, material, first=0, damages=DAMAGES):
  """Yields a `Case` for each damage from number `first` to `count`."""
  found = targets(folder, material)
  copy, wanted = os.path.join(folder, "copy"), {}
  chosen = choose(count, rng, found, damages)
  seed = rng.randrange(2**31)
  for number, (target, name, damage) in enumerate(chosen):
    if number < first:
      continue
    if target.name not in wanted:
      wanted[target.name] = _undamaged(target, copy)
    shutil.copytree(target.folder, copy)
    own = random.Random(f"{seed} {number}")
    _damage(os.path.join(copy, name), damage, own)
    answer = Fork(target.use(copy)).answer(_TIMEOUT)
    verdict = judge(
      answer,
      lambda t=target, w=answer.words: (
        (t.result(copy), t.said(w)) == wanted[t.name]
      ),
    )
    yield Case(f"{target.name}; {name} {damage}", verdict, answer.words)
    shutil.rmtree(copy)


def _undamaged(target, copy):
  shutil.copytree(target.folder, copy)
  answer = Fork(target.use(copy)).answer(_TIMEOUT)
  if answer.code != 0:
    raise RuntimeError(f"{target.name} fails undamaged: {answer.words[-1000:]}")
  result = target.result(copy), target.said(answer.words)
  shutil.rmtree(copy)
  return result


def _damage(path, damage, rng):
  if damage in NO_FILES:
    os.remove(path)
    NO_FILES[damage](path)
    return
  with open(path, "rb") as file:
    content = DAMAGES[damage](file.read(), rng)
  if content is None:
    os.remove(path)
  else:
    with open(path, "wb") as file:
      file.write(content)
