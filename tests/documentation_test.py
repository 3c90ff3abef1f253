"""The code in README.md, in the guides and in docstrings runs as it stands."""

import ast
import pathlib
import re
import textwrap

import keras
import numpy as np
import pytest
import sphinx.cmd.build
import tensorflow as tf

import sobolev_tf

ROOT = pathlib.Path(__file__).parent.parent
# What a docstring may take for granted.
NAMES = {"keras": keras, "np": np, "tf": tf, "sobolev_tf": sobolev_tf}


def pages():
  """Yields (place, text, names that may be used without an import)."""
  for folder in ("sobolev_tf", "trainers", "data"):
    for path in sorted((ROOT / folder).rglob("*.py")):
      for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
          name = getattr(node, "name", "")
          place = f"{path.relative_to(ROOT)} {name}".strip()
          yield place, ast.get_docstring(node) or "", NAMES


def blocks(text):
  """The blocks of Python in a text."""
  found = re.findall(r"^( *)```python\n(.*?)^ *```", text, re.M | re.S)
  return [textwrap.dedent(code) for _, code in found]


def examples():
  """Yields a pytest parameter for each block of Python.

  The blocks of one page follow from each other and are one.
  """
  for place, text, names in pages():
    for number, code in enumerate(blocks(text)):
      yield pytest.param(code, names, id=f"{place} {number}")
  for path in [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md"))]:
    if blocks(path.read_text()):
      code = "\n".join(blocks(path.read_text()))
      yield pytest.param(code, {}, id=str(path.relative_to(ROOT)))


@pytest.mark.parametrize(("code", "names"), examples())
def test_the_example_runs(code, names, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  # A few epochs show that it runs; what it reaches is not its point.
  for name in ("_PER_LEVEL", "_FREE"):
    monkeypatch.setattr(f"sobolev_tf.surrogate.evidence.{name}", 2)
  code = re.sub(r"(epochs|updates)=\d+", r"\1=2", code)
  exec(compile(code, "example", "exec"), {**names, "__name__": "example"})


def test_readme_has_an_example():
  places = [parameter.id for parameter in examples()]
  assert any(place.startswith("README.md") for place in places)
  assert any(place.startswith("sobolev_tf/") for place in places)


def test_the_pages_of_docs_build_without_a_warning(tmp_path):
  arguments = ["-W", "-q", "-b", "html", str(ROOT / "docs"), str(tmp_path)]
  assert sphinx.cmd.build.build_main(arguments) == 0
  assert "DistillationModel" in (tmp_path / "api.html").read_text()
  assert "Styblinski" in (tmp_path / "paper.html").read_text()
