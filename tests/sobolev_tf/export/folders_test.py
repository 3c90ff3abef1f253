"""`new_folder`: what it refuses before anything is written."""

import os

import pytest

from sobolev_tf.export.folders import new_folder


@pytest.mark.parametrize("folder", [None, 3, "", "a\0b", "a\udcff", b"a\xff"])
def test_what_is_no_path_is_refused(folder, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  with pytest.raises(ValueError, match="must be a path, .* name another"):
    with new_folder(folder):
      raise AssertionError("it was opened")
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", [str, os.fsencode])
def test_a_folder_gets_its_name_when_it_is_whole(kind, tmp_path):
  with new_folder(kind(str(tmp_path / "a [b] é"))) as partial:
    assert not (tmp_path / "a [b] é").exists()
    open(os.path.join(partial, "x"), "w").close()
  assert [path.name for path in tmp_path.rglob("*")] == ["a [b] é", "x"]
