"""Sphinx settings: `./scripts/docs.sh` builds the pages into docs/_build."""

import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

project = "sobolev_tf"
author = "The sobolev_tf authors"
copyright = "The sobolev_tf authors, Apache-2.0"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_extra_path = ["../results/report.html"]
html_theme = "furo"
html_title = "sobolev_tf"
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings give shapes, which say more
napoleon_use_ivar = True
autodoc_default_options = {"members": True, "inherited-members": False}

_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)]+)\)")


def _resolve(folder, text):
  """Makes links of an included file lead from docs/, as files to open."""

  def replace(match):
    is_picture, words, link = match.groups()
    path, _, anchor = link.partition("#")
    target = (folder / path).resolve()
    if not target.exists():
      raise FileNotFoundError(f"{folder} links to {path}, which is not there")
    if target.parent == ROOT / "docs":
      place = target.name + (f"#{anchor}" if anchor else "")
      return f"{is_picture}[{words}]({place})"
    if target.is_dir():
      target = target / "README.md" if (target / "README.md").exists() else None
    if target is None or anchor:
      return f"[{words}](paper.md)"
    target = os.path.relpath(target, ROOT / "docs")
    return (
      f"![{words}]({target})" if is_picture else f"[{words}](<path:{target}>)"
    )

  return _LINK.sub(replace, text)


def _on_include(app, relative_path, parent_docname, content):
  del app, parent_docname
  folder = (ROOT / "docs" / relative_path).resolve().parent
  content[0] = _resolve(folder, content[0])


def _as_rst(lines):
  """Turns a docstring's Markdown into reStructuredText, line by line."""
  fenced = table = False
  for line in lines:
    indent = line[: len(line) - len(line.lstrip())]
    if line.strip().startswith("```"):
      fenced = not fenced
      yield indent + ".. code-block:: python" if fenced else ""
      yield ""
      continue
    if line.strip().startswith("|") and not fenced:
      if not table:
        yield from (indent + "::", "")
      table = True
    elif table:
      table = False
      yield ""
    yield "  " + line if fenced or table else _in_line(line)


def _in_line(line):
  """Literals in double backticks; what means something in RST is escaped."""
  parts = line.split("`")
  text = [re.sub(r"([|*])", r"\\\1", part) for part in parts[::2]]
  literal = [f"``{part}``" for part in parts[1::2]]
  mixed = [text[0]]
  for code, after in zip(literal, text[1:], strict=False):
    mixed += [code, after if not after[:1].isalnum() else f"\\ {after}"]
  return "".join(mixed)


def _on_docstring(app, what, name, thing, options, lines):
  del app, what, name, thing, options
  lines[:] = list(_as_rst(lines))


def _on_source(app, docname, content):
  del app, docname
  content[0] = _resolve(ROOT / "docs", content[0])


def setup(app):
  """Registers what mends included files and docstrings."""
  app.connect("source-read", _on_source)
  app.connect("include-read", _on_include)
  app.connect("autodoc-process-docstring", _on_docstring, priority=400)
