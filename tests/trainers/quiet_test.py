"""The first import of TensorFlow, in a process of its own."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
# What TensorFlow 2.21 writes on a machine without GPU, among words that matter.
_STAND_IN = """
import os, types
def write(*lines):
  os.write(2, b"".join(lines))
write(
  b"WARNING: All log messages before absl::InitializeLog() is called are\\n",
  b"I0000 00:00:1795864917.569190   13643 port.cc:153] oneDNN custom\\n",
  b"E0000 00:00:1795864917.6 13643 gpu_device.cc:7] your GPU is broken\\n",
)
def look():
  write(b"E0000 00:00:1795864925.9 1 cuda_platform.cc:52] failed: cuInit\\n")
  write(b"something else\\n")
config = types.SimpleNamespace(list_physical_devices=look)
"""


def run(code, **environment):
  return subprocess.run(
    [sys.executable, "-c", code],
    cwd=ROOT,
    env={**os.environ, **environment},
    capture_output=True,
    text=True,
  )


def test_notes_are_left_out_and_the_rest_still_comes(tmp_path):
  (tmp_path / "tensorflow.py").write_text(_STAND_IN)
  result = run(
    "import trainers, tensorflow, os; os.write(2, b'later\\n')",
    PYTHONPATH=f"{tmp_path}:{ROOT}",
  )
  lines = result.stderr.splitlines()
  assert [line.split("] ")[-1] for line in lines] == [
    "your GPU is broken",
    "something else",
    "later",
  ]


def test_an_import_that_fails_says_why(tmp_path):
  (tmp_path / "tensorflow.py").write_text(
    "import os; os.write(2, b'no such library\\n'); raise ImportError('why')"
  )
  result = run("import trainers, tensorflow", PYTHONPATH=f"{tmp_path}:{ROOT}")
  assert result.returncode == 1
  assert "no such library" in result.stderr and "why" in result.stderr


def test_the_installed_tensorflow_is_quiet():
  result = run("import trainers, tensorflow as tf; print(float(tf.ones([])))")
  assert (result.returncode, result.stdout) == (0, "1.0\n")
  notes = [line for line in result.stderr.splitlines() if "0000 " in line]
  if not any("gpu" in note for note in notes):  # a machine with one has more
    assert notes == []
