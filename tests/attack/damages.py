"""Damages: one file of a run, a recording or a policy is not what it was."""

import os
import shutil

from tests.attack import commands
from tests.attack.judged import Case, Fork, judge

_TIMEOUT = 120.0  # seconds
_DEEP = b'{"a":' * 50_000


def _flip(content, rng):
  if not content:
    return b"x"
  place = rng.randrange(len(content))
  return content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :]


def _change_a_digit(content, rng):
  places = [i for i, byte in enumerate(content) if chr(byte).isdigit()]
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
    )


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

  def metrics(where):
    return commands.read(where, "metrics.csv")

  def table(where):
    return commands.read(os.path.join(where, "report"), "table.md")

  return [
    Target(
      "a stopped run, resumed",
      stopped,
      lambda where: material.command("regression", where),
      metrics,
    ),
    Target(
      "a finished run, started again",
      run,
      lambda where: material.command("regression", where),
      metrics,
    ),
    Target(
      "a finished run, reported",
      run,
      lambda where: commands.report(where, os.path.join(where, "report")),
      table,
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
  ]


def attack(count, rng, folder, material):
  """Yields a `Case` for each of `count` damages."""
  made = targets(folder, material)
  wanted = {}
  for number in range(count):
    target = made[number % len(made)]
    copy = os.path.join(folder, "copy")
    if target.name not in wanted:
      shutil.copytree(target.folder, copy)
      answer = Fork(target.use(copy)).answer(_TIMEOUT)
      if answer.code != 0:
        raise RuntimeError(f"{target.name} fails: {answer.words[-1000:]}")
      wanted[target.name] = target.result(copy)
      shutil.rmtree(copy)
    shutil.copytree(target.folder, copy)
    name, damage = rng.choice(target.files), rng.choice(list(DAMAGES))
    _damage(os.path.join(copy, name), DAMAGES[damage], rng)
    answer = Fork(target.use(copy)).answer(_TIMEOUT)
    verdict = judge(
      answer,
      lambda t=target, c=copy: t.result(c) == wanted[t.name],
    )
    yield Case(f"{target.name}; {name} {damage}", verdict, answer.words)
    shutil.rmtree(copy)


def _damage(path, damage, rng):
  with open(path, "rb") as file:
    content = damage(file.read(), rng)
  if content is None:
    os.remove(path)
  else:
    with open(path, "wb") as file:
      file.write(content)
