"""What every script promises: help, refusals, paths; and their set-up."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
SOURCED = ("setup.sh", "usage.sh")
SCRIPTS = sorted(
  path for path in (ROOT / "scripts").glob("*.sh") if path.name not in SOURCED
)
every_script = pytest.mark.parametrize(
  "script", SCRIPTS, ids=lambda path: path.name
)
# A stand-in for Python: notes the folder that it is called in and its words.
_PYTHON = """#!/usr/bin/env bash
[ "$1" != -c ] || exit 0
{ pwd; printf '%s\\n' "$@"; } >>"$NOTES"
"""


def usage_of(script):
  """The header comment, as a reader of the file sees it."""
  return script.read_text().split("\nset -euo")[0]


def variables_of(script):
  """Variables that the header lists."""
  return set(re.findall(r"^#   ([A-Z_]+)=", usage_of(script), re.M))


ALL_VARIABLES = set().union(*map(variables_of, SCRIPTS))


@pytest.fixture
def checkout(tmp_path):
  """A copy of what the set-up reads, without an environment."""
  copy = tmp_path / "a checkout"  # a blank in the path, as people have
  shutil.copytree(ROOT / "scripts", copy / "scripts")
  for name in ("requirements.txt", "constraints.txt"):
    shutil.copy(ROOT / name, copy / name)
  return copy


@pytest.fixture
def trial(checkout, tmp_path):
  """A checkout whose Python only notes what it is told, and a caller's folder.

  Returns a function that calls a script from there, and returns the lines that
  were noted.
  """
  tools = checkout / ".venv" / "bin"
  tools.mkdir(parents=True)
  (tools / "python").write_text(_PYTHON)
  (tools / "python").chmod(0o755)
  (tools / "activate").write_text(f'PATH="{tools}:$PATH"\n')
  wanted = subprocess.run(
    "cat requirements.txt constraints.txt | cksum",
    shell=True,
    cwd=checkout,
    capture_output=True,
  )
  (checkout / ".venv" / "installed").write_bytes(wanted.stdout)
  teachers = checkout / "results" / "teachers"
  teachers.mkdir(parents=True)
  for game in ("pong", "breakout", "space_invaders"):
    (teachers / f"{game}.npz").touch()
  caller, notes = tmp_path / "caller", tmp_path / "notes"
  caller.mkdir()

  def run(name, *arguments, **environment):
    notes.write_text("")
    script = checkout / "scripts" / name
    result = call(script, caller, *arguments, NOTES=str(notes), **environment)
    assert result.returncode == 0, result
    return notes.read_text().splitlines()

  return run


def call(script, cwd, *arguments, **environment):
  """Calls a script with none of its variables set but those given."""
  clean = {
    name: value
    for name, value in os.environ.items()
    if name not in {*ALL_VARIABLES, "CALLED_BY_SCRIPT"}
  }
  return subprocess.run(
    [str(script), *arguments],
    cwd=cwd,
    env={**clean, **environment},
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
  # Whatever umask the caller has.
  for umask in ("777", "022"):
    result = call(
      "sh",
      checkout,
      "-c",
      f"umask {umask}; exec ./scripts/test.sh",
      PYTHON=sys.executable,
      PIP_NO_INDEX="1",
      PIP_FIND_LINKS="",
    )
    assert_one_sentence(result, "check the network connection")
    assert (checkout / ".venv" / "bin" / "python").exists()


@every_script
def test_help_says_what_there_is_to_know_and_starts_nothing(checkout, script):
  before = sorted(checkout.rglob("*"))
  for flag in ("--help", "-h"):
    # No Python: a set-up would say so.
    result = call(
      checkout / "scripts" / script.name, "/", flag, PYTHON="/no/such/python"
    )
    assert (result.returncode, result.stderr) == (0, "")
    for words in (f"scripts/{script.name}", "Time: ", "Writes: "):
      assert words in result.stdout
    assert "#" not in result.stdout and len(result.stdout.splitlines()) > 7
  assert sorted(checkout.rglob("*")) == before


@every_script
def test_the_header_lists_what_the_script_reads_with_defaults(script):
  body = script.read_text().split("\nset -euo")[1]
  read = set(
    re.findall(r"(?:choice|items|whole_numbers?|folder) ([A-Z_]+)", body)
  )
  read |= set(re.findall(r"\$\{([A-Z][A-Z_]+):-", body))
  if re.search(r"^results ", body, re.M):
    read.add("OUTPUT")
  from_slurm = {name for name in read if name.startswith("SLURM_")}
  assert read - from_slurm == variables_of(script)
  text = usage_of(script)
  entries = re.split(r"^#   (?=[A-Z_]+=)", text, flags=re.M)[1:]
  for entry in entries:
    name, value = re.match(r"([A-Z_]+)=(\S+)", entry).groups()
    # Either the value that stands there is the default, or it is named.
    assert "default" in entry or re.search(r"\d", value), name


@every_script
def test_unknown_arguments_are_one_sentence(checkout, script):
  if not re.search(rf"scripts/{script.name}$", usage_of(script), re.M):
    return  # it takes some; what they may be is its program's business
  copy = checkout / "scripts" / script.name
  for argument in ("--preset=desk", "desk", "--no_such_flag", "-x"):
    result = call(copy, "/", argument, PYTHON="/no/such/python")
    assert_one_sentence(result, f"takes no arguments, but {argument} was given")


@every_script
def test_an_empty_argument_is_one_sentence(checkout, script):
  copy = checkout / "scripts" / script.name
  result = call(copy, "/", "", PYTHON="/no/such/python")
  assert_one_sentence(result, f"an argument of {script.name} is empty")


@every_script
def test_what_can_be_no_folder_is_one_sentence(checkout, script, tmp_path):
  (tmp_path / "file").touch()
  (tmp_path / "loop").symlink_to(tmp_path / "loop")
  for name in variables_of(script) & {"WORKDIR", "OUTPUT", "DATA_DIR"}:
    if not re.search(rf"^  *(\S+\) )?folder {name} ", script.read_text(), re.M):
      continue  # another name for it, or a part of a longer line
    for value, phrase in {
      "file": "file is no folder",
      "file/below": "file is no folder",
      "loop": "loop is no folder",
      "a\nb": "cannot be printed",
    }.items():
      result = call(
        checkout / "scripts" / script.name,
        tmp_path,
        **{name: value, "PYTHON": "/no/such/python"},
      )
      assert_one_sentence(result, phrase)
      assert name in result.stderr


@every_script
def test_misspelt_and_foreign_variables_are_one_sentence(checkout, script):
  copy = checkout / "scripts" / script.name
  own = variables_of(script)
  for name in own:
    other = name.removesuffix("S") if name.endswith("S") else name + "S"
    result = call(copy, "/", **{other: "1", "PYTHON": "/no/such/python"})
    assert_one_sentence(result, f"{other} is set, but {script.name} calls it")
  for name in {"PRESET", "SEEDS", "GAMES", "DATASET"} - own:
    result = call(copy, "/", **{name: "1", "PYTHON": "/no/such/python"})
    assert_one_sentence(result, "")


@every_script
def test_unknown_values_are_one_sentence(checkout, script):
  for name in variables_of(script) & {
    *("PRESET", "DATASET", "SEEDS", "WORKERS", "NUM_MODULES", "METHODS"),
    *("NUM_REPLICAS", "BATCH_SIZE", "PORT"),
  }:
    for value in ("large", "-1", "*", "1;ls"):
      result = call(
        checkout / "scripts" / script.name,
        "/",
        **{name: value, "PYTHON": "/no/such/python"},
      )
      assert_one_sentence(result, name)


@pytest.mark.parametrize("given", ["0,2", "0 2", "0, 2", " 0 ,,2 "])
def test_commas_and_blanks_part_lists_alike(trial, given):
  noted = trial(
    "reproduce_table1_cifar10.sh", SEEDS=given, PRESET="smoke", NUM_REPLICAS="2"
  )
  assert "--seed=0,2" in noted


def paths_in(noted, *names):
  pattern = rf"--(?:{'|'.join(names)})=(.*)"
  return [m[1] for line in noted if (m := re.fullmatch(pattern, line))]


@every_script
def test_a_relative_path_means_the_callers_folder(trial, tmp_path, script):
  folders = variables_of(script) & {
    *("WORKDIR", "OUTPUT", "DATA_DIR", "RECORDINGS")
  }
  if not folders or "--workdir" not in script.read_text():
    return  # one that hands no folder on
  noted = trial(script.name, **{name: f"a b/{name}" for name in folders})
  caller = str(tmp_path / "caller")
  assert caller in noted
  found = paths_in(noted, "workdir", "output", "data_dir")
  assert found and all(path.startswith(f"{caller}/a b/") for path in found)


def test_arguments_are_passed_on_in_the_callers_folder(trial, tmp_path):
  for name in ("reproduce_theory.sh", "cluster_faults.sh"):
    noted = trial(name, "--output=out")
    assert noted[0] == str(tmp_path / "caller") and noted[-1] == "--output=out"
  noted = trial("local_cluster.sh", "--ps=2", "--", "--workdir=a b")
  assert noted[0] == str(tmp_path / "caller")
  assert noted[-3:] == ["--ps=2", "--", "--workdir=a b"]
  noted = trial("watch.sh", "pong", "--workdir=a b")
  assert noted[-1] == "--workdir=a b" and "--game=pong" in noted


@every_script
def test_no_other_preset_writes_where_desk_has_its_results(
  trial, checkout, script
):
  choices = re.search(r"PRESET=(\S+)", usage_of(script))
  if not choices:
    return
  written, kept = {}, f"{checkout}/results/"
  for preset in choices[1].split("|"):
    paths = paths_in(trial(script.name, PRESET=preset), "output")
    written[preset] = {path for path in paths if path.startswith(kept)}
    assert bool(written[preset]) == (preset != "smoke")
  assert len(set().union(*written.values())) == sum(map(len, written.values()))
  for desk in written["desk"]:
    for preset in written.keys() - {"desk"}:
      result = call(
        checkout / "scripts" / script.name, "/", PRESET=preset, OUTPUT=desk
      )
      assert_one_sentence(result, "among what the desk preset made")


def test_a_sweep_tells_the_script_where_its_processes_run(trial, checkout):
  words = ("--executor=slurm", "--parallel=3")
  noted = trial("sweep.sh", "reproduce_figure2", *words, PRESET="smoke")
  start = noted.index("trainers.lifecycle.sweep")
  assert noted[start + 1 : start + 4] == [*words, "--"]
  assert "trainers.regression" in noted[start:]
  copy = checkout / "scripts" / "sweep.sh"
  for wrong, phrase in (
    (["reproduce_theory"], "shares no runs; use reproduce_figure2, "),
    (["reproduce_figure2", "--executor=cloud"], "--executor=cloud"),
    (["reproduce_figure2", "--parallel=x"], "parallel is x"),
    ([], "name a script"),
  ):
    assert_one_sentence(call(copy, "/", *wrong), phrase)
  misspelt = call(copy, "/", "reproduce_figure2", PRESETS="smoke")
  assert_one_sentence(misspelt, "PRESETS is set")


def test_the_first_line_says_what_table_1_is_trained_on(checkout):
  for name, given, words in (
    ("cifar10", {}, "On CIFAR-10"),
    ("cifar10", {"PRESET": "smoke"}, "On cluttered digits, not on CIFAR-10"),
    ("cifar10", {"DATASET": "digits"}, "On cluttered digits, not on CIFAR-10"),
    ("imagenet", {}, "On frames of games, not ImageNet"),
    ("imagenet", {"PRESET": "smoke"}, "On synthetic pictures, not ImageNet"),
    ("imagenet", {"PRESET": "paper"}, "On ImageNet"),
  ):
    result = call(
      checkout / "scripts" / f"reproduce_table1_{name}.sh",
      "/",
      PYTHON="/no/such/python",
      **given,
    )
    assert result.stdout.startswith(words)


def test_quickstart_ends_with_what_to_try_next(trial, checkout, tmp_path):
  result = call(
    checkout / "scripts" / "quickstart.sh", "/", NOTES=str(tmp_path / "notes")
  )
  ending = result.stdout.split("What to try next:")[1]
  named = set(re.findall(r"scripts/(\w+\.sh)", ending)) - {"NAME.sh"}
  assert named and named <= {script.name for script in SCRIPTS}


@pytest.mark.parametrize("name", [*SOURCED, *(s.name for s in SCRIPTS)])
def test_script_parses_and_can_be_run(name):
  script = ROOT / "scripts" / name
  checked = subprocess.run(["bash", "-n", str(script)], capture_output=True)
  assert checked.returncode == 0, checked.stderr
  if name in SOURCED:
    return
  assert os.access(script, os.X_OK)
  text = script.read_text()
  # What is refused is refused before anything is set up.
  assert text.index("usage.sh") < text.index("setup.sh")
