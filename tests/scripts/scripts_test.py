"""The scripts' set-up: its sentences, and that it works from any folder."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "scripts").glob("*.sh"))


@pytest.fixture
def checkout(tmp_path):
  """A copy of what the set-up reads, without an environment."""
  copy = tmp_path / "a checkout"  # a blank in the path, as people have
  shutil.copytree(ROOT / "scripts", copy / "scripts")
  for name in ("requirements.txt", "constraints.txt"):
    shutil.copy(ROOT / name, copy / name)
  return copy


def call(script, cwd, **environment):
  return subprocess.run(
    [str(script)],
    cwd=cwd,
    env={**os.environ, **environment},
    capture_output=True,
    text=True,
    timeout=300,
  )


def assert_one_sentence(result, phrase):
  assert result.returncode == 2, result
  lines = result.stderr.strip().splitlines()
  assert len(lines) == 1, lines
  assert lines[0].startswith("error: ")
  assert phrase in lines[0]


def test_missing_python_is_one_sentence(checkout, tmp_path):
  result = call(
    checkout / "scripts" / "test.sh", tmp_path, PYTHON="/no/such/python"
  )
  assert_one_sentence(result, "no Python 3.11, 3.12 or 3.13 found")


def test_unsuitable_python_is_one_sentence(checkout, tmp_path):
  old = tmp_path / "python-old"
  old.write_text("#!/bin/sh\nexit 1\n")  # every version check fails
  old.chmod(0o755)
  result = call(checkout / "scripts" / "quickstart.sh", "/", PYTHON=str(old))
  assert_one_sentence(result, str(old))


def test_no_network_is_one_sentence_and_the_next_call_tries_again(checkout):
  for _ in range(2):
    result = call(
      checkout / "scripts" / "test.sh",
      "/",
      PYTHON=sys.executable,
      PIP_NO_INDEX="1",
      PIP_FIND_LINKS="",
    )
    assert_one_sentence(result, "check the network connection")


@pytest.mark.parametrize("mask", [0o077, 0o777])
def test_umask_does_not_matter(checkout, mask):
  result = subprocess.run(
    ["sh", "-c", f"umask {mask:o}; exec ./scripts/test.sh"],
    cwd=checkout,
    env={**os.environ, "PYTHON": sys.executable, "PIP_NO_INDEX": "1"},
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert_one_sentence(result, "check the network connection")
  assert (checkout / ".venv" / "bin" / "python").exists()


def test_unknown_preset_is_one_sentence(tmp_path):
  script = ROOT / "scripts" / "reproduce_figure2.sh"
  assert_one_sentence(call(script, tmp_path, PRESET="large"), "smoke, desk")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_script_parses_and_can_be_run(script):
  checked = subprocess.run(["bash", "-n", str(script)], capture_output=True)
  assert checked.returncode == 0, checked.stderr
  if script.name != "setup.sh":  # that one is sourced
    assert os.access(script, os.X_OK)
    assert "setup.sh" in script.read_text()
