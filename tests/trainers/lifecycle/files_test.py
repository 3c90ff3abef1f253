"""Files of a run: nothing but a regular file is read."""

import os

import pytest

from trainers.lifecycle import checkpoints, files, finished, sums, tables
from trainers.lifecycle.command_line import CommandError

PLACES = {
  "a pipe": os.mkfifo,  # whose reader would wait
  "a folder": os.mkdir,
  "a device": lambda path: os.symlink("/dev/zero", path),
  "a loop": lambda path: os.symlink(path, path),
}


@pytest.fixture(params=PLACES)
def place(request, tmp_path):
  """A function that puts something else in the place of a file."""

  def put(name):
    path = tmp_path / name
    PLACES[request.param](path)
    return path

  return put


def test_what_is_no_regular_file_is_not_opened(place):
  with pytest.raises(OSError):
    open(place("x"), opener=files.regular)


def test_a_regular_file_is_opened_as_ever(tmp_path):
  (tmp_path / "x").write_text("1,\n2")
  os.symlink(tmp_path / "x", tmp_path / "link")
  with open(tmp_path / "link", opener=files.regular) as file:
    assert file.read() == "1,\n2"


def test_readers_of_runs_and_reports_say_that_it_is_none(place, tmp_path):
  assert sums.find_change(os.path.dirname(place(sums.FILE))) == (
    "SHA256SUMS cannot be read"
  )
  with pytest.raises(CommandError, match=r"curves.csv is not what the report"):
    tables.read_csv(place("curves.csv"), "step")
  path = place("config.json")
  with pytest.raises(CommandError, match="no finished run"):
    finished.find_runs(tmp_path, dict, lambda config: ())
  if os.path.exists(path):  # a link without an end is as good as none
    with pytest.raises(CommandError, match=r"config.json cannot be read"):
      files.read_json(path)


def test_a_checkpoint_without_a_manifest_is_damaged(place, tmp_path):
  (tmp_path / "step_0000000002").mkdir()
  place("step_0000000002/manifest.json")
  said = []
  assert checkpoints.restore({}, tmp_path, said.append) == 0
  assert "manifest.json cannot be read" in said[0]
