"""The library as a package: built, installed by itself, imported."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SOURCES = {
  str(path.relative_to(ROOT)) for path in (ROOT / "sobolev_tf").rglob("*.py")
}


def run(*command, cwd):
  environment = {
    name: value
    for name, value in os.environ.items()
    if name not in ("PYTHONPATH", "PYTHONSAFEPATH")
  }
  result = subprocess.run(
    [str(part) for part in command],
    cwd=cwd,
    env=environment,
    capture_output=True,
    text=True,
  )
  assert result.returncode == 0, result.stderr[-2000:]
  return result.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
  """Folder with the wheel and the sdist, made of a copy of the sources."""
  copy = tmp_path_factory.mktemp("sources")
  shutil.copytree(
    ROOT / "sobolev_tf",
    copy / "sobolev_tf",
    ignore=shutil.ignore_patterns("__pycache__"),
  )
  for name in ("pyproject.toml", "MANIFEST.in", "LICENSE"):
    shutil.copy(ROOT / name, copy / name)
  output = tmp_path_factory.mktemp("dist")
  build = "from setuptools import build_meta as b; b.build_{}({!r})"
  for kind in ("wheel", "sdist"):
    run(sys.executable, "-c", build.format(kind, str(output)), cwd=copy)
  return output


def test_the_wheel_holds_the_library_and_nothing_else(built):
  (wheel,) = built.glob("*.whl")
  names = zipfile.ZipFile(wheel).namelist()
  assert {name for name in names if name.endswith(".py")} == SOURCES
  assert {name.split("/")[0].split("-")[0] for name in names} == {"sobolev_tf"}
  (licence,) = [name for name in names if name.endswith("LICENSE")]
  text = zipfile.ZipFile(wheel).read(licence).decode()
  assert "Apache License" in text and "The sobolev_tf authors" in text


def test_the_sdist_holds_what_a_wheel_is_made_of(built):
  (archive,) = built.glob("*.tar.gz")
  with tarfile.open(archive) as file:
    names = {name.split("/", 1)[-1] for name in file.getnames()}
  assert names >= SOURCES | {"LICENSE", "pyproject.toml"}
  assert names >= {PROJECT["readme"]}


def test_it_is_imported_from_an_environment_of_its_own(built, tmp_path):
  venv.create(tmp_path / "env", with_pip=False)
  python = tmp_path / "env" / "bin" / "python"
  (wheel,) = built.glob("*.whl")
  place = run(
    python,
    "-c",
    "import sysconfig; print(sysconfig.get_path('purelib'))",
    cwd=tmp_path,
  ).strip()
  run(
    *(sys.executable, "-m", "pip", "install", "--no-deps", "--no-index"),
    *("--target", place, "--disable-pip-version-check", wheel),
    cwd=tmp_path,
  )
  # What it depends on, from this environment; nothing of this repository.
  packages = sysconfig.get_path("purelib")
  (pathlib.Path(place) / "dependencies.pth").write_text(packages + "\n")
  said = run(
    python,
    "-c",
    "import sobolev_tf, importlib.metadata as m, sys;"
    "print(sobolev_tf.__file__, m.version('sobolev_tf'));"
    "print({'data', 'trainers', 'benchmarks'} & set(sys.modules));"
    "[getattr(sobolev_tf, name) for name in sobolev_tf.__all__]",
    cwd=tmp_path,
  )
  assert said.splitlines() == [
    f"{place}/sobolev_tf/__init__.py {PROJECT['version']}",
    "set()",
  ]


def test_the_package_page_has_nothing_that_it_cannot_show():
  page = (ROOT / PROJECT["readme"]).read_text()
  for link in re.findall(r"\]\((.*?)\)", page):
    assert link.startswith("https://"), link
  block = re.search(r"```python\n(.*?)```", page, re.S)[1]
  # The README's ten lines, which are run by a test.
  assert block in (ROOT / "README.md").read_text()


def test_the_papers_that_say_who_and_how_agree():
  citation = (ROOT / "CITATION.cff").read_text()
  assert f"version: {PROJECT['version']}\n" in citation
  assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text()
  (author,) = PROJECT["authors"]
  assert f"name: {author['name']}\n" in citation
  assert author["name"] in (ROOT / "LICENSE").read_text()


def test_the_extras_that_pages_name_exist():
  named = set()
  for page in [ROOT / "README.md", ROOT / "BUILD.md", *ROOT.glob("docs/*.md")]:
    for extras in re.findall(r"\.\[([\w,]+)\]", page.read_text()):
      named |= set(extras.split(","))
  assert named
  assert named <= set(PROJECT["optional-dependencies"])
