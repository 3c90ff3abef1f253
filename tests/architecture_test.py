"""Arrows point down: scripts, trainers, data, sobolev_tf.

How test files are named after sources stands, and is held, in mirror_test.
"""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
OURS = ("sobolev_tf", "trainers", "data", "benchmarks", "tests")
# What a folder may import of ours.
ALLOWED = {
  "sobolev_tf": {"sobolev_tf"},
  "data": {"data", "sobolev_tf.derivatives"},
  "trainers": {"trainers", "data", "sobolev_tf"},
  "benchmarks": {"benchmarks", "trainers", "data", "sobolev_tf"},
  "tests/acceptance": {"tests", "benchmarks", "trainers", "data"},
  "tests/attack": {"tests", "benchmarks", "trainers", "data", "sobolev_tf"},
}


def imports(path):
  """Yields the full names of a file's imported modules and names."""
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      for alias in node.names:
        yield alias.name
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f"{path} imports relatively"
      for alias in node.names:
        yield f"{node.module}.{alias.name}"


def sources(folder):
  return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("folder", ALLOWED)
def test_folder_imports_only_what_lies_below_it(folder):
  assert sources(folder)
  for path in sources(folder):
    for name in imports(path):
      if name.split(".")[0] in OURS:
        allowed = any(
          name == prefix or name.startswith(prefix + ".")
          for prefix in ALLOWED[folder]
        )
        assert allowed, f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("folder", ["sobolev_tf", "data"])
def test_flags_stay_in_the_trainers(folder):
  for path in sources(folder):
    # A module that is a command of its own reads its command line in `main`.
    if "__main__" in path.read_text():
      continue
    for name in imports(path):
      assert not name.startswith("absl.flags"), path.relative_to(ROOT)
      assert name != "absl.app", path.relative_to(ROOT)


# What an experiment's folder may import of the others': what it learns from
# (teachers), or what it serves to a cluster's workers.
MAY_USE = {
  "lifecycle": set(),
  "regression": {"lifecycle"},
  "theory": {"lifecycle"},
  "teachers": {"lifecycle"},
  "synthetic_gradients": {"lifecycle"},
  "distillation": {"lifecycle", "teachers"},
  "parameter_server": {"lifecycle", "synthetic_gradients", "distillation"},
}


def test_experiments_never_import_each_other():
  folders = {p.name for p in (ROOT / "trainers").iterdir() if p.is_dir()}
  assert folders - {"__pycache__"} == set(MAY_USE)
  for folder, others in MAY_USE.items():
    for path in sources(f"trainers/{folder}"):
      for name in imports(path):
        if name.startswith("trainers."):
          room = name.split(".")[1]
          assert room in {folder, *others}, f"{path} imports {name}"


def test_every_folder_of_the_package_is_a_package():
  for path in sources("sobolev_tf"):
    assert (path.parent / "__init__.py").exists(), path.relative_to(ROOT)
