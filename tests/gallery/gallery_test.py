"""Every script of the gallery runs, holds its number and draws its picture."""

import pathlib
import runpy
import shutil

import matplotlib.pyplot as plt
import pytest

GALLERY = pathlib.Path(__file__).parents[2] / "gallery"
SCRIPTS = sorted(path.name for path in GALLERY.glob("*.py"))


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
  """A copy, so that pictures are drawn beside it and not in the checkout."""
  copy = tmp_path_factory.mktemp("work") / "gallery"
  shutil.copytree(GALLERY, copy, ignore=shutil.ignore_patterns("*.png"))
  return copy


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_script_holds_its_number(name, gallery, monkeypatch):
  monkeypatch.setenv("MPLBACKEND", "agg")
  plt.switch_backend("agg")
  runpy.run_path(str(gallery / name), run_name="__main__")
  plt.close("all")
  picture = (gallery / name).with_suffix(".png")
  assert picture.stat().st_size > 5_000, f"{name} drew no picture"


def test_the_gallery_s_page_names_every_script():
  page = (GALLERY / "README.md").read_text()
  assert len(SCRIPTS) >= 12
  for name in SCRIPTS:
    assert f"]({name})" in page, name
