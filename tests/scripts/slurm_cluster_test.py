"""The Slurm script with a stand-in for srun: who is told what, and restarts."""

import json
import os
import pathlib
import subprocess

import pytest

SCRIPT = pathlib.Path(__file__).parents[2] / "scripts" / "slurm_cluster.sh"

# Starts the tasks here; --wait ends the others when the first one has ended.
_SRUN = """#!/usr/bin/env bash
waits=""
while [[ "${1:-}" == --* ]]; do
  case "$1" in --wait=*) waits=yes ;; esac
  shift
done
tasks=()
for number in $(seq 0 $((SLURM_NTASKS - 1))); do
  SLURM_PROCID=$number SLURMD_NODENAME="node$((number / 2))" "$@" &
  tasks+=($!)
done
[ -n "$waits" ] || { wait; exit 0; }
trap 'kill -USR1 "${tasks[@]}"' USR1
wait -n
code=$?
while [ "$code" = 138 ] && kill -0 "${tasks[0]}"; do wait -n; code=$?; done
kill "${tasks[@]}" 2>/dev/null
wait
exit "$code"
"""

# Notes what it was told. The chief asks for another start once, a worker dies
# once; the others stay until they are ended.
_TRAINER = """
import json, os, signal, sys, time
folder = os.environ["NOTES"]
config = json.loads(os.environ["TF_CONFIG"])
role, index = config["task"]["type"], config["task"]["index"]
path = os.path.join(folder, f"{role}_{index}")
first = not os.path.exists(path)
with open(path, "a") as file:
  gpu = os.environ["CUDA_VISIBLE_DEVICES"]
  file.write(json.dumps([config["cluster"], sys.argv[1:], gpu]) + "\\n")
if role == "chief" and first:
  sys.exit(75)
if role == "worker" and index == 0 and first:
  os.kill(os.getpid(), signal.SIGKILL)
if role == "chief" and "WARN" in os.environ:
  def save(number, frame):
    open(os.path.join(folder, "saved"), "w").close()
    sys.exit(128 + number)
  signal.signal(signal.SIGTERM, save)
  os.kill(int(os.environ["WARN"]), signal.SIGUSR1)
  time.sleep(60)
if role == "chief":
  def starts(name):
    path = os.path.join(folder, name)
    return len(open(path).readlines()) if os.path.exists(path) else 0
  wanted = {"ps_0": 1, "ps_1": 1, "worker_0": 2, "worker_1": 1}
  while any(starts(name) < count for name, count in wanted.items()):
    time.sleep(0.05)
  sys.exit(int(os.environ["CHIEF_CODE"]))
time.sleep(60)
"""


def call(tmp_path, *arguments, **environment):
  """Calls the script with arguments, or a line of a shell that does."""
  folder = tmp_path / "bin"
  folder.mkdir()
  (folder / "srun").write_text(_SRUN)
  (folder / "srun").chmod(0o755)
  (folder / "stand_in_trainer.py").write_text(_TRAINER)
  (tmp_path / "notes").mkdir()
  is_line = len(arguments) == 1 and " " in arguments[0]
  return subprocess.run(
    ["bash", "-c", *arguments] if is_line else [str(SCRIPT), *arguments],
    env={
      **os.environ,
      "PATH": f"{folder}:{os.environ['PATH']}",
      "PYTHONPATH": str(folder),
      "NOTES": str(tmp_path / "notes"),
      "TRAINER": "stand_in_trainer",
      **environment,
    },
    capture_output=True,
    text=True,
    timeout=300,
  )


@pytest.mark.parametrize("code", [0, 1])
def test_tasks_learn_their_parts_and_are_started_again(tmp_path, code):
  result = call(
    tmp_path,
    "--ps=2",
    "--",
    "--preset=smoke",
    "--workdir=a b",
    SLURM_NTASKS="5",
    PORT="4000",
    CUDA_VISIBLE_DEVICES="3",
    CHIEF_CODE=str(code),
  )
  assert result.returncode == code, result.stderr
  notes = {
    path.name: [json.loads(line) for line in path.read_text().splitlines()]
    for path in (tmp_path / "notes").iterdir()
  }
  assert set(notes) == {"chief_0", "ps_0", "ps_1", "worker_0", "worker_1"}
  jobs = {
    "chief": ["node0:4000"],
    "ps": ["node0:4001", "node1:4002"],
    "worker": ["node1:4003", "node2:4004"],
  }
  for name, told in notes.items():
    assert len(told) == (2 if name in ("chief_0", "worker_0") else 1)
    gpu = "3" if name.startswith("worker") else "-1"
    assert told[0] == [jobs, ["--preset=smoke", "--workdir=a b"], gpu]


def test_before_the_time_limit_the_chief_saves_and_the_job_is_requeued(
  tmp_path,
):
  tools = tmp_path / "tools"
  tools.mkdir()
  (tools / "scontrol").write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/told\n')
  (tools / "scontrol").chmod(0o755)
  # Under `exec` the script has the number of the shell that starts it.
  result = call(
    tmp_path,
    f'PATH="{tools}:$PATH" WARN=$$ exec {SCRIPT} -- --preset=smoke',
    SLURM_NTASKS="3",
    SLURM_JOB_ID="91",
    CUDA_VISIBLE_DEVICES="0",
    CHIEF_CODE="0",
  )
  assert result.returncode == 0, result.stderr
  assert (tmp_path / "told").read_text() == "requeue 91\n"
  assert (tmp_path / "notes" / "saved").exists()
  assert (tmp_path / "notes" / "ps_0").exists()


@pytest.mark.parametrize(
  "arguments, tasks, phrase",
  [
    (("--preset=smoke",), "5", "write [--ps=N] --"),
    (("--ps=x", "--"), "5", "--ps is 'x'"),
    (("--ps=4", "--"), "5", "5 tasks cannot hold"),
    (("--",), "", "sbatch --ntasks=N"),
  ],
)
def test_a_mistake_is_one_sentence(tmp_path, arguments, tasks, phrase):
  result = call(tmp_path, *arguments, SLURM_NTASKS=tasks)
  assert result.returncode == 2
  (line,) = result.stderr.strip().splitlines()
  assert line.startswith("error: ") and phrase in line
