"""Files that changed after they were finished are noticed."""

import subprocess

import pytest

from trainers.lifecycle import sums


@pytest.fixture
def folder(tmp_path):
  (tmp_path / "metrics.csv").write_text("step,loss\n1,0.25\n")
  sums.write(tmp_path, ["metrics.csv"], **{"finished.json": b"{}"})
  (tmp_path / "finished.json").write_bytes(b"{}")
  return tmp_path


def test_what_has_not_changed_passes_here_and_in_sha256sum(folder):
  assert sums.find_change(folder) is None
  subprocess.run(["sha256sum", "--check", sums.FILE], cwd=folder, check=True)


def test_a_digit_and_a_missing_file_are_named(folder):
  (folder / "metrics.csv").write_text("step,loss\n1,0.35\n")
  assert sums.find_change(folder) == (
    "metrics.csv has changed since it was written"
  )
  (folder / "metrics.csv").unlink()
  assert sums.find_change(folder) == "metrics.csv is missing"


def test_what_need_not_be_kept_has_to_be_as_it_was_where_it_is(folder):
  path = folder / "metrics.csv"
  path.unlink()
  assert sums.find_change(folder, may_be_missing=[".csv"]) is None
  assert sums.find_change(folder, may_be_missing=[".npz"])
  path.symlink_to(path)
  assert "missing" in sums.find_change(folder, may_be_missing=[".csv"])
  path.unlink()
  path.write_text("step,loss\n1,0.35\n")
  assert "changed" in sums.find_change(folder, may_be_missing=[".csv"])


def test_a_folder_without_digests_is_taken_as_it_is(folder):
  (folder / "metrics.csv").write_text("")
  (folder / sums.FILE).unlink()
  assert sums.find_change(folder) is None


@pytest.mark.parametrize(
  "content",
  [b"", b"{}", b"\xff", b"\0" * 70, b"a" * 64 + b"  ../metrics.csv\n"],
)
def test_a_damaged_list_is_no_list(folder, content):
  (folder / sums.FILE).write_bytes(content)
  assert sums.find_change(folder).startswith(sums.FILE)
