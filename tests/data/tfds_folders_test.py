"""Data sets from a stranger: nothing that they name is imported."""

import ast
import json
import os
import pathlib
import shutil
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data import (
  atari,
  atari_recorder,
  atari_recordings,
  cifar10,
  game_frames,
  imagenet,
)
from data.tfds_folders import open_tfds

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
  folder = tmp_path_factory.mktemp("recordings") / "pong"
  game = atari.get_game("pong")
  atari_recorder.write_recording(
    str(folder),
    game,
    lambda frames: np.zeros([len(frames), game.num_actions]),
    20,
    num_environments=2,
  )
  return folder


@pytest.fixture
def hostile_module(tmp_path, monkeypatch):
  """A module in the current folder that shows whether it was imported."""
  (tmp_path / "hostile_features.py").write_text(
    "import tensorflow_datasets as tfds\n"
    "class Evil(tfds.features.Tensor):\n  pass\n"
  )
  monkeypatch.chdir(tmp_path)
  monkeypatch.syspath_prepend(str(tmp_path))
  yield
  assert "hostile_features" not in sys.modules


def plain(name):
  return {"pythonClassName": name, "tensor": {"shape": {}, "dtype": "int64"}}


def within(feature):
  return {
    "pythonClassName": (
      "tensorflow_datasets.core.features.features_dict.FeaturesDict"
    ),
    "featuresDict": {"features": {"label": feature}},
  }


EVIL = "hostile_features.Evil"
DESCRIPTIONS = {
  "at the top": {**within(plain("x.Y")), "pythonClassName": EVIL},
  "in a dictionary": within(plain(EVIL)),
  "in other spelling": within({"python_class_name": EVIL, "text": {}}),
  "in a sequence": within(
    {
      "pythonClassName": "tensorflow_datasets.core.features.dataset_feature."
      "Dataset",
      "sequence": {"feature": plain(EVIL)},
    }
  ),
  "in the old form": {"type": EVIL, "content": {}},
  "within JSON text": {
    "pythonClassName": (
      "tensorflow_datasets.core.features.features_dict.FeaturesDict"
    ),
    "jsonFeature": {"json": json.dumps({"a": {"type": EVIL, "content": {}}})},
  },
}


def with_features(recording, tmp_path, description):
  folder = tmp_path / "copy"
  shutil.copytree(recording, folder)
  (folder / "features.json").write_text(json.dumps(description))
  return folder


@pytest.mark.parametrize("where", DESCRIPTIONS)
def test_a_hostile_recording_runs_nothing(
  recording, tmp_path, hostile_module, where
):
  folder = with_features(recording, tmp_path, DESCRIPTIONS[where])
  with pytest.raises(ValueError, match="features.json .*; record it anew") as e:
    atari_recordings.Recording(str(folder))
  assert len(str(e.value).splitlines()) == 1


def test_the_attack_is_one(recording, tmp_path, monkeypatch):
  # Were the names not checked, TFDS would import the module.
  (tmp_path / "hostile_twin.py").write_text("raise SystemExit(41)\n")
  monkeypatch.syspath_prepend(str(tmp_path))
  folder = with_features(recording, tmp_path, plain("hostile_twin.Evil"))
  with pytest.raises(SystemExit):
    tfds.builder_from_directory(folder)


@pytest.mark.parametrize(
  "name, version, open_data",
  [
    ("cifar10", cifar10.VERSION, cifar10.Cifar10),
    (imagenet.NAME, imagenet.VERSION, imagenet.open_imagenet),
    (game_frames.NAME, game_frames.VERSION, game_frames.open_game_frames),
  ],
)
def test_every_data_dir_is_looked_at_first(
  recording, tmp_path, hostile_module, name, version, open_data
):
  folder = tmp_path / "tfds" / name / version
  shutil.copytree(recording, folder)
  info = json.loads((folder / "dataset_info.json").read_text())
  info.update(name=name, version=version)
  (folder / "dataset_info.json").write_text(json.dumps(info))
  (folder / "features.json").write_text(json.dumps(within(plain(EVIL))))
  with pytest.raises(ValueError, match=f"names the class '{EVIL}'"):
    open_data(tmp_path / "tfds")


def test_data_sets_are_opened_in_one_place_only():
  opening = {"builder", "builder_from_directory", "load", "data_source"}
  for folder in ("data", "trainers", "benchmarks"):
    for path in (ROOT / folder).rglob("*.py"):
      found = {
        ast.unparse(node.func)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
      }
      if path != ROOT / "data" / "tfds_folders.py":
        assert not found & {f"tfds.{name}" for name in opening}, path


def test_a_damaged_description_is_one_sentence(recording, tmp_path):
  rng = np.random.default_rng(0)
  texts = {
    name: (recording / name).read_text()
    for name in ("features.json", "dataset_info.json", "recording.json")
  }
  folder = tmp_path / "copy"
  shutil.copytree(recording, folder)
  for name, text in texts.items():
    middle = len(text) // 2
    for damaged in (
      *("", "{", "[]", "3", "null", "\x00", "[" * 100_000, '{"a": 1}'),
      text[:middle],
      text[:middle] + "x" + text[middle:],
      text.replace('"', "", 1),
      text.replace("{", "[", 1),
      *(text.replace(str(digit), '"-7"', 1) for digit in rng.permutation(10)),
    ):
      (folder / name).write_text(damaged)
      try:
        atari_recordings.Recording(str(folder))
      except ValueError as error:
        assert len(str(error).splitlines()) == 1
        assert "record" in str(error)
    (folder / name).write_text(text)
  atari_recordings.Recording(str(folder))


def test_huge_and_negative_counts_are_one_sentence(recording, tmp_path):
  folder = tmp_path / "copy"
  shutil.copytree(recording, folder)
  info = json.loads((folder / "dataset_info.json").read_text())
  for counts in (["-5"], ["1000000000000000"]):
    info["splits"][0]["shardLengths"] = counts
    (folder / "dataset_info.json").write_text(json.dumps(info))
    with pytest.raises(ValueError, match="record it anew"):
      atari_recordings.Recording(str(folder))


def test_a_description_of_many_megabytes_is_not_read(recording, tmp_path):
  folder = tmp_path / "copy"
  shutil.copytree(recording, folder)
  (folder / "features.json").write_bytes(b" " * 10_000_001)
  with pytest.raises(ValueError, match="it has 10,000,001 bytes"):
    open_tfds(folder, "record it anew")


@pytest.mark.parametrize("name", ["features.json", "*tfrecord*"])
@pytest.mark.parametrize("put", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_one_sentence(recording, tmp_path, name, put):
  folder = shutil.copytree(recording, tmp_path / "copy")
  (path,) = folder.glob(name)
  path.unlink()
  put(path)
  with pytest.raises(ValueError, match="is no regular file.*; do this.$"):
    open_tfds(folder, "do this")
