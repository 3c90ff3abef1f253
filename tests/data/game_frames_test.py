"""Real games, really played and stored."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data import game_frames


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
  folders = [tmp_path_factory.mktemp(f"tfds{i}") for i in range(2)]
  for folder in folders:
    arguments = ("--num_games=3", "--num_episodes=5", "--num_frames=4")
    assert game_frames.main([f"--output={folder}", *arguments]) == 0
  return folders


def files(folder):
  return {
    path.name: path.read_bytes()
    for path in folder.rglob("*.tfrecord*")
    if path.is_file()
  }


def test_the_data_set_is_a_function_of_its_seed(stored):
  one, other = map(files, stored)
  assert len(one) == 2 and one == other


def test_no_episode_is_in_both_splits(stored):
  builder = tfds.builder_from_directory(
    stored[0] / game_frames.NAME / game_frames.VERSION
  )
  episodes = {}
  for split, count in (("train", 48), ("validation", 12)):
    rows = list(builder.as_dataset(split=split))
    assert len(rows) == count
    names = [row["file_name"].numpy().decode() for row in rows]
    episodes[split] = {name.rsplit("_", 1)[0] for name in names}
    for row, name in zip(rows, names, strict=True):
      game = game_frames.GAMES[int(row["label"])]
      assert name.startswith(game)
      assert row["image"].shape[1:] == [160, 3]
  assert not episodes["train"] & episodes["validation"]
  assert len(episodes["train"]) == 12 and len(episodes["validation"]) == 3


def test_episodes_and_frames_differ():
  first, second = (
    list(game_frames.play("alien", [0, 0, episode], 6)) for episode in (0, 1)
  )
  for frame in first + second:
    assert frame.dtype == np.uint8 and frame.shape == (210, 160, 3)
    assert np.ptp(frame) > 0  # not the black between two scenes
  assert len({frame.tobytes() for frame in first + second}) > 8


def test_games_go_through_the_pipeline_of_imagenet(stored):
  data = game_frames.open_game_frames(stored[0], seed=1, image_size=24)
  x, y = data.training_batch(3, 6)
  assert x.shape == [6, 24, 24, 3] and y.shape == [6, 3]
  assert not data.skipped


def test_there_are_forty_games_and_more():
  assert len(set(game_frames.GAMES)) == len(game_frames.GAMES) >= 40


def test_faults_are_one_sentence(stored, tmp_path, capsys):
  with pytest.raises(ValueError, match="data.game_frames --output=DIR makes"):
    game_frames.open_game_frames(tmp_path)
  assert game_frames.main([f"--output={stored[0]}"]) == 2
  assert game_frames.main([f"--output={tmp_path}", "--num_episodes=4"]) == 2
  lines = capsys.readouterr().err.strip().splitlines()
  assert len(lines) == 2 and all(line.startswith("error: ") for line in lines)
  assert "exists already" in lines[0] and "give 5 or more" in lines[1]
