"""Every public function of the package says what it takes and returns.

Ruff's ANN201 sees to the returns. Its rules for arguments ask for private
functions as well, so they are checked here.
"""

import ast
import pathlib

import pytest

_PACKAGE = pathlib.Path(__file__).parents[1] / "sobolev_tf"
_PUBLIC = ("__init__", "__call__")


def _public_functions(tree):
  """Functions and methods whose names, and whose classes' names, are public."""
  for node in tree.body:
    if isinstance(node, ast.FunctionDef):
      functions = [node]
    elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
      functions = [n for n in node.body if isinstance(n, ast.FunctionDef)]
    else:
      functions = []
    for function in functions:
      if not function.name.startswith("_") or function.name in _PUBLIC:
        yield function


def _unannotated(function):
  arguments = function.args
  every = arguments.posonlyargs + arguments.args + arguments.kwonlyargs
  for argument in every:
    if argument.annotation is None and argument.arg not in ("self", "cls"):
      yield argument.arg
  if function.returns is None and function.name != "__init__":
    yield "return"


@pytest.mark.parametrize(
  "path",
  sorted(_PACKAGE.rglob("*.py")),
  ids=lambda path: path.relative_to(_PACKAGE).as_posix(),
)
def test_public_functions_are_annotated(path):
  missing = [
    f"{function.name}: {name}"
    for function in _public_functions(ast.parse(path.read_text()))
    for name in _unannotated(function)
  ]
  assert not missing


def test_type_checkers_are_told_that_there_are_types():
  assert (_PACKAGE / "py.typed").is_file()
