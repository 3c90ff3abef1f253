"""Checkpoints are whole, or passed over with a word."""

import pytest

from trainers.regression import train as regression

_SETTINGS = (
  "--preset=smoke",
  "--function=booth",
  "--num_train=20",
  "--method=sobolev",
)


_RESULTS = ("metrics.csv", "networks.npz", "finished.json")


def run_here(workdir, *settings):
  return regression.main(["regression", f"--workdir={workdir}", *settings])


def results(workdir):
  return {name: (workdir / name).read_bytes() for name in _RESULTS}


def newest_checkpoint(workdir):
  return sorted(workdir.glob("checkpoints/step_*[0-9]"))[-1]


@pytest.mark.parametrize("damage", ["truncate", "flip"])
def test_damaged_checkpoint_falls_back_to_the_one_before(
  tmp_path, capsys, damage
):
  run_here(tmp_path, *_SETTINGS)
  expected = results(tmp_path)
  (tmp_path / "finished.json").unlink()
  (tmp_path / "networks.npz").unlink()
  newest = newest_checkpoint(tmp_path)
  data = next(newest.glob("state.data*"))
  content = bytearray(data.read_bytes())
  if damage == "truncate":
    content = content[: len(content) // 2]
  else:
    content[len(content) // 3] ^= 1
  data.write_bytes(content)
  capsys.readouterr()
  run_here(tmp_path, *_SETTINGS)
  output = capsys.readouterr().out
  assert f"Checkpoint {newest.name} is damaged ({data.name}" in output
  assert "Resuming at step 300" in output
  assert results(tmp_path) == expected


def test_damaged_manifest_is_a_damaged_checkpoint(tmp_path, capsys):
  run_here(tmp_path, *_SETTINGS)
  (tmp_path / "finished.json").unlink()
  (newest_checkpoint(tmp_path) / "manifest.json").write_text("{")
  run_here(tmp_path, *_SETTINGS)
  assert "manifest.json cannot be read" in capsys.readouterr().out
