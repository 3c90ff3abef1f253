"""Runs that several processes share: whose turn it is, and how far they are.

Every process has the same list and goes through it, taking what nobody has
claimed. The list lies in the sweep's folder, so that anybody can see the state
of the whole.
"""

import collections
import json
import os
import typing
import uuid

from trainers.lifecycle import claims, files
from trainers.lifecycle.exit_codes import CommandError

LIST = "sweep.json"
STATES = ("finished", "running", "stopped", "waiting")


class State(typing.NamedTuple):
  """How far a run is.

  Attributes:
    folder: its folder, relative to the sweep's.
    state: one of `STATES`; "stopped" has begun and nobody works on it.
    step: of the last row in metrics.csv; 0 if there is none.
    num_steps: the last step; None if the run's settings do not say.
    owner: the `claims.Owner` who works on it, or None.
  """

  folder: str
  state: str
  step: int
  num_steps: int | None
  owner: claims.Owner | None


def take_each(runs, work):
  """Works on every run that no other process holds.

  What others hold is looked at again after the rest, for as long as something
  became free: a process may have died.

  Args:
    runs: list of (configuration, folder).
    work: function of both; it raises `claims.Busy` where another process is.

  Returns:
    How many runs others hold.
  """
  left = list(runs)
  while left:
    busy = []
    for run in left:
      try:
        work(*run)
      except claims.Busy:
        busy.append(run)
    if len(busy) == len(left):
      break
    left = [run for run in busy if not is_finished(run[1])]
  return len(left)


def is_finished(folder):
  """Whether a run is complete."""
  return os.path.exists(os.path.join(folder, "finished.json"))


def publish(workdir, folders):
  """Writes the list of a sweep's runs; every process writes the same bytes."""
  relative = [os.path.relpath(folder, workdir) for folder in folders]
  draft = os.path.join(workdir, f".{uuid.uuid4().hex}")
  with open(draft, "w", encoding="utf-8") as file:
    json.dump(relative, file, indent=0)
  os.replace(draft, os.path.join(workdir, LIST))


def states(workdir):
  """The `State` of every run of a sweep; an empty list if none is known."""
  try:
    path = os.path.join(workdir, LIST)
    with open(path, encoding="utf-8", opener=files.regular) as file:
      folders = json.load(file)
  except (OSError, ValueError, RecursionError):
    return []
  if not isinstance(folders, list):
    return []
  return [_state(workdir, one) for one in folders if isinstance(one, str)]


def summary(found):
  """One line about a list of `State`s."""
  counts = collections.Counter(one.state for one in found)
  parts = [f"{counts[name]} {name}" for name in STATES if counts[name]]
  return f"{len(found)} run(s): {', '.join(parts)}"


def make_table(found):
  """Renders `State`s as Markdown, the finished ones as one row."""
  lines = ["| run | state | step | by |", "|---|---|---|---|"]
  for one in found:
    if one.state == "finished":
      continue
    by = f"{one.owner.process} on {one.owner.host}" if one.owner else ""
    step = f"{one.step}/{one.num_steps}" if one.num_steps else str(one.step)
    lines.append(f"| {one.folder} | {one.state} | {step} | {by} |")
  count = sum(one.state == "finished" for one in found)
  return "\n".join([*lines, f"| {count} more | finished | | |"]) + "\n"


def _state(workdir, folder):
  path = os.path.join(workdir, folder)
  owner = None
  if is_finished(path):
    state = "finished"
  else:
    owner = claims.owner(path)
    begun = os.path.exists(os.path.join(path, "config.json"))
    state = "running" if owner else "stopped" if begun else "waiting"
  return State(folder, state, _step(path), _num_steps(path), owner)


def _step(path):
  try:
    path = os.path.join(path, "metrics.csv")
    with open(path, "rb", opener=files.regular) as file:
      file.seek(max(file.seek(0, os.SEEK_END) - 1000, 0))
      return int(file.read().splitlines()[-1].split(b",")[0])
  except (OSError, ValueError, IndexError):
    return 0


def _num_steps(path):
  try:
    return files.read_json(os.path.join(path, "config.json")).get("num_steps")
  except (AttributeError, CommandError):  # none, or one that is damaged
    return None
