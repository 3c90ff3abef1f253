"""Arrows point down: scripts, trainers, data, sobolev_tf."""

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


def test_experiments_never_import_each_other():
  experiments = [
    path.stem
    for path in sources("trainers")
    if "__main__" in path.read_text() and not path.stem.endswith("_report")
  ]
  assert "regression" in experiments
  for path in sources("trainers"):
    if path.stem in experiments:
      for name in imports(path):
        others = {f"trainers.{e}" for e in experiments if e != path.stem}
        assert name not in others, f"{path.stem} imports {name}"


def test_every_folder_of_the_package_is_a_package():
  for path in sources("sobolev_tf"):
    assert (path.parent / "__init__.py").exists(), path.relative_to(ROOT)
