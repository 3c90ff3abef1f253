"""A sweep's processes here and under a stand-in for Slurm, killed at random."""

import hashlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest

from trainers.lifecycle import sharing, sweep
from trainers.lifecycle.command_line import CommandError

ROOT = pathlib.Path(__file__).parents[3]
_NUM_RUNS, _NUM_KILLS = 300, 20

# A trainer without TensorFlow. A run is five steps, each of which depends on
# the one before and is kept, so that a wrong resume is seen in the bytes; and
# to finish twice is an error.
_TRAINER = """
import hashlib, os, pathlib, sys, time
sys.path.insert(0, os.environ["REPOSITORY"])
from trainers.lifecycle import claims, sharing

workdir = pathlib.Path(sys.argv[1].removeprefix("--workdir="))

def replace(path, text):
  draft = path.with_suffix(".partial")
  draft.write_text(text)
  os.replace(draft, path)

def work(number, folder):
  folder = pathlib.Path(folder)
  folder.mkdir(parents=True, exist_ok=True)
  with claims.hold(folder) as claim:
    if sharing.is_finished(folder):
      return
    kept = folder / "kept"
    step, state = kept.read_text().split() if kept.exists() else ("0", "")
    for step in range(int(step), 5):
      time.sleep(0.01)
      state = hashlib.sha256(f"{number} {step} {state}".encode()).hexdigest()
      claim.check()
      replace(kept, f"{step + 1} {state}")
    draft = folder / f"{os.getpid()}.partial"
    draft.write_text(state)
    os.link(draft, folder / "finished.json")  # only once
    draft.unlink()

runs = [(n, f"{workdir}/{n}") for n in range(int(os.environ["NUM_RUNS"]))]
(workdir / "processes" / str(os.getpid())).touch()
sharing.publish(workdir, [folder for _, folder in runs])
sharing.take_each(runs, work)
"""

# Starts the tasks of an array, and again those that ask for it.
_SBATCH = """#!{python} -S
import os, subprocess, sys, time
options = dict(word[2:].split("=", 1) for word in sys.argv[1:] if "=" in word)
assert {{"--parsable", "--wait", "--requeue"}} <= set(sys.argv)
first, last = options["array"].split("-")
print("77;cluster", flush=True)

def start(number):
  environment = dict(os.environ, SLURM_JOB_ID=str(number))
  log = options["output"].replace("%A", "77").replace("%a", str(number))
  with open(log, "a") as file:
    return subprocess.Popen(
      options["wrap"], shell=True, env=environment, stdout=file, stderr=file)

codes, tasks = [0], {{n: start(n) for n in range(int(first), int(last) + 1)}}
while tasks:
  time.sleep(0.02)
  for number, task in list(tasks.items()):
    if task.poll() is not None:
      del tasks[number]
      asked = f"{folder}/requeue_{{number}}"
      if os.path.exists(asked):
        os.remove(asked)
        tasks[number] = start(number)
      else:
        codes.append(task.returncode)
sys.exit(max(codes))
"""
_SCONTROL = '#!/bin/sh\n[ "$1" = requeue ] && : >"{folder}/requeue_$2"\n'


@pytest.fixture
def slurm(tmp_path):
  """A function that starts a sweep where sbatch and scontrol are stand-ins."""
  folder = tmp_path / "bin"
  folder.mkdir()
  for name, text in (("sbatch", _SBATCH), ("scontrol", _SCONTROL)):
    text = text.format(python=sys.executable, folder=folder)
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)

  def start(*words, trainer=_TRAINER, **environment):
    (tmp_path / "trainer.py").write_text(trainer)
    return subprocess.Popen(
      [sys.executable, "-m", "trainers.lifecycle.sweep", *words]
      + ["--", sys.executable, str(tmp_path / "trainer.py")]
      + [f"--workdir={tmp_path}/runs"],
      cwd=ROOT,
      env={
        **os.environ,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "REPOSITORY": str(ROOT),
        **environment,
      },
      stdout=subprocess.PIPE,
      text=True,
    )

  (tmp_path / "runs" / "processes").mkdir(parents=True)
  return start


def digest(number):
  state = ""
  for step in range(5):
    state = hashlib.sha256(f"{number} {step} {state}".encode()).hexdigest()
  return state


def kill_some(folder, running, count):
  """Kills random processes of a sweep; returns how many it hit."""
  draw, hit = random.Random(0), 0
  while hit < count and running():
    before = len(list(folder.glob("*/finished.json")))
    alive = [path.name for path in (folder / "processes").iterdir()]
    if alive and before:
      victim = draw.choice(alive)
      (folder / "processes" / victim).unlink()
      try:
        os.kill(int(victim), signal.SIGKILL)
        hit += 1
      except ProcessLookupError:
        continue
    # A killed process that never finishes a run is given up on.
    while running() and len(list(folder.glob("*/finished.json"))) < before + 3:
      time.sleep(0.01)
  return hit


def test_three_hundred_runs_survive_twenty_kills(slurm, tmp_path):
  process = slurm("--executor=slurm", "--parallel=4", NUM_RUNS=str(_NUM_RUNS))
  folder = tmp_path / "runs"
  hit = kill_some(folder, lambda: process.poll() is None, _NUM_KILLS)
  output, _ = process.communicate(timeout=120)
  logs = "".join(p.read_text() for p in (folder / "logs").iterdir())
  assert process.returncode == 0, logs
  assert hit == _NUM_KILLS
  assert logs.count("ended by SIGKILL; starting it again") == hit
  assert "Traceback" not in logs  # nobody finished what was finished
  for number in range(_NUM_RUNS):
    finished = folder / str(number) / "finished.json"
    assert finished.read_text() == digest(number)
  assert "Job 77 of 4 task(s)" in output
  assert "300 run(s): 300 finished" in output


_STOPPABLE = """
import os, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[1].removeprefix("--workdir="))
def stop(number, frame):
  (folder / "saved").touch()
  sys.exit(128 + number)
signal.signal(signal.SIGTERM, stop)
if (folder / "saved").exists():
  (folder / "threads").write_text(os.environ["TF_NUM_INTRAOP_THREADS"])
  sys.exit(1)
os.kill(os.getppid(), int(os.environ["SIGNAL"]))
time.sleep(60)
"""


def test_a_task_that_is_warned_saves_and_goes_back_into_the_queue(
  slurm, tmp_path
):
  process = slurm(
    "--executor=slurm",
    "--parallel=1",
    trainer=_STOPPABLE,
    SIGNAL=str(int(signal.SIGUSR1)),
  )
  process.communicate(timeout=60)
  assert (tmp_path / "runs" / "threads").exists()
  assert process.returncode == 1  # of the second time


def test_a_local_sweep_that_is_stopped_saves_and_is_not_started_again(
  slurm, tmp_path
):
  process = slurm(
    "--parallel=1", trainer=_STOPPABLE, SIGNAL=str(int(signal.SIGTERM))
  )
  process.communicate(timeout=60)
  assert process.returncode == 128 + signal.SIGTERM
  assert (tmp_path / "runs" / "saved").exists()


def test_a_process_that_always_dies_is_given_up(slurm):
  process = slurm("--parallel=1", trainer="import os\nos.kill(os.getpid(), 9)")
  output, _ = process.communicate(timeout=60)
  assert process.returncode == 128 + signal.SIGKILL
  assert output.count("starting it again") == 3
  assert "no run was finished" in output


@pytest.mark.parametrize(
  ("words", "phrase"),
  [
    (["--executor=cloud", "--", "x"], "executor"),
    (["--parallel=0", "--", "x"], "parallel"),
    (["x"], "after --"),
    ([], "the command is missing"),
    (["--table=/nowhere"], "sweep.json"),
  ],
)
def test_a_mistake_is_one_sentence(words, phrase):
  with pytest.raises(CommandError, match=phrase):
    sweep.main(["sweep", *words])


def test_a_machine_without_slurm_is_named(tmp_path, monkeypatch):
  monkeypatch.setenv("PATH", str(tmp_path))
  with pytest.raises(CommandError, match="no sbatch here"):
    sweep.main(
      ["sweep", "--executor=slurm", "--", "x", f"--workdir={tmp_path}"]
    )


def test_the_table_of_a_sweep_is_printed(tmp_path, capsys):
  (tmp_path / "sweep.json").write_text(json.dumps(["a", "b"]))
  assert sweep.main(["sweep", f"--table={tmp_path}"]) == 0
  assert "2 run(s): 2 waiting" in capsys.readouterr().out


def test_the_time_left_counts_the_steps_of_unfinished_runs(monkeypatch, capsys):
  now, steps = [1000.0], [0, 0]
  monkeypatch.setattr(sweep.time, "monotonic", lambda: now[0])
  monkeypatch.setattr(
    sweep.News,
    "states",
    lambda news: [
      sharing.State("a", "finished", 100, 100, None),
      *(sharing.State("b", "running", step, 100, None) for step in steps),
    ],
  )
  news = sweep.News("anywhere")
  now[0] += 60
  news.tell()
  assert capsys.readouterr().out == "[sweep] 3 run(s): 1 finished, 2 running\n"
  now[0] += 600
  steps[:] = 50, 25
  news.tell()
  # Three quarters of a run in ten minutes; one and a quarter are left.
  assert "2 running, about 17 min left" in capsys.readouterr().out
