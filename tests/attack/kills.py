"""Kills: a run is killed at a random moment and started again, to its end."""

import csv
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import time

from tests.attack import commands
from tests.attack.judged import Answer, Case, Fork, judge

# Hogwild updates cannot be made again: their steps have to be in order instead.
_INEXACT = ("teachers",)
_TIMEOUT = 900.0  # seconds
_CLUSTER = (
  *("--preset=smoke", "--dataset=digits", "--method=sobolev", "--clutter=0"),
  *("--num_steps=60", "--checkpoint_every=20", "--evaluate_every=20"),
)


def attack(count, rng, folder, material, first=0):
  """Yields a `Case` for each kill of a trainer, from `first` to `count`."""
  names = list(commands.TRAINERS)
  shares = [rng.random() for _ in range(count)]
  undisturbed = {}
  for number in range(first, count):
    name = names[number % len(names)]
    workdir = os.path.join(folder, f"kill_{number}")
    if name not in undisturbed:
      undisturbed[name] = _undisturbed(name, folder, material)
    yield _kill(name, shares[number], workdir, material, *undisturbed[name])
    shutil.rmtree(workdir, ignore_errors=True)


def attack_clusters(count, rng, folder, material, first=0):
  """Yields a `Case` for each kill in a cluster, from `first` to `count`."""
  del material
  seed = rng.randrange(2**31)
  for number in range(first, count):
    workdir = os.path.join(folder, f"cluster_{number}")
    yield _kill_in_a_cluster(random.Random(seed + number), workdir)
    shutil.rmtree(workdir, ignore_errors=True)


def _undisturbed(name, folder, material):
  """Seconds and results of a run that nobody disturbs."""
  workdir = os.path.join(folder, f"undisturbed_{name}")
  begun = time.monotonic()
  answer = Fork(material.command(name, workdir)).answer(_TIMEOUT)
  if answer.code != 0:
    raise RuntimeError(f"{name} fails by itself: {answer.words[-1000:]}")
  return time.monotonic() - begun, _results(workdir)


def _kill(name, share, workdir, material, seconds, wanted):
  moment = share * seconds
  times = 0
  while times < 2 and Fork(material.command(name, workdir)).kill_after(moment):
    times += 1
  answer = Fork(material.command(name, workdir)).answer(_TIMEOUT)

  def is_right():
    if name in _INEXACT:
      return _in_order(_results(workdir))
    return _results(workdir) == wanted

  about = f"{name} killed {times} times after {moment:.2f} s"
  verdict = judge(answer, is_right)
  # A sentence is no excuse here: nothing was wrong with what was asked for.
  return Case(about, "silent" if verdict == "clear" else verdict, answer.words)


def _results(workdir):
  return commands.read(workdir, "metrics.csv")


def _in_order(results):
  """Whether every metrics.csv has ascending steps and at least one."""
  for content in results.values():
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    steps = [int(row["step"]) for row in rows]
    if not steps or steps != sorted(set(steps)):
      return False
  return bool(results)


def _kill_in_a_cluster(rng, workdir):
  """Kills one member, or all at once; the same command goes on."""
  command = [
    *(sys.executable, "-m", "trainers.parameter_server.local_cluster"),
    *("--workers=2", "--", *_CLUSTER, f"--workdir={workdir}"),
  ]
  process = subprocess.Popen(
    command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
  )
  moment, victim = rng.uniform(5, 40), rng.choice(["a member", "all"])
  time.sleep(moment)
  if victim == "all":
    process.kill()
  else:
    members = _children(process.pid)
    if members:
      os.kill(rng.choice(members), signal.SIGKILL)
  words, code = _wait(process)
  if victim == "all" and code == -signal.SIGKILL:
    words, code = _wait(
      subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
      )
    )
  answer = Answer(code, words, 0)
  verdict = judge(answer, lambda: _in_order(_results(workdir)))
  return Case(f"cluster, {victim} killed after {moment:.1f} s", verdict, words)


def _wait(process):
  try:
    words, _ = process.communicate(timeout=_TIMEOUT)
    return words, process.returncode
  except subprocess.TimeoutExpired:
    process.kill()
    return process.communicate()[0], None


def _children(pid):
  with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
    return [int(child) for child in file.read().split()]
