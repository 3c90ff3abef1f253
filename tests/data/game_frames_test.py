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


def test_grey_games_are_the_same_frames_in_grey(stored):
  arguments = (stored[0], 1, 24)
  x, y = game_frames.open_game_frames(*arguments).training_batch(3, 6)
  data = game_frames.open_grey_game_frames(*arguments)
  grey, labels = data.training_batch(3, 6)
  np.testing.assert_array_equal(labels, y)
  np.testing.assert_array_equal(grey, data.training_batch(3, 6)[0])
  assert grey.shape == x.shape and not data.skipped
  for picture, coloured in zip(grey.numpy(), x.numpy(), strict=True):
    np.testing.assert_array_equal(picture[..., 0], picture[..., 1])
    np.testing.assert_array_equal(picture[..., 0], picture[..., 2])
    # The same shapes: as bright or as dark as the picture's own grey.
    own = coloured @ [0.2989, 0.587, 0.114]
    if np.ptp(own) > 0.3:  # some crops are of one colour
      alike = np.corrcoef(own.ravel(), picture[..., 0].ravel())[0, 1]
      assert abs(alike) > 0.98
  (first,) = data.test_batches()
  (again,) = data.test_batches()
  np.testing.assert_array_equal(first[0], again[0])


def test_contrast_and_mean_are_functions_of_the_seed():
  rng = np.random.default_rng(0)
  picture = rng.integers(100, 156, [8, 8, 3], dtype=np.uint8)
  found = np.stack(
    [
      game_frames.with_random_contrast(picture, [seed, 0])[..., 0]
      for seed in range(200)
    ]
  ).astype(float)
  grey = picture @ [0.2989, 0.587, 0.114]
  factors = np.array([np.polyfit(grey.ravel(), f.ravel(), 1)[0] for f in found])
  assert 0.19 < np.abs(factors).min() < 0.25 and np.abs(factors).max() > 0.95
  assert 0.4 < np.mean(factors > 0) < 0.6  # negatives as often as not
  means = found.mean(axis=(1, 2))
  assert 63 < means.min() < 70 and 185 < means.max() < 192
  again = game_frames.with_random_contrast(picture, [7, 0])[..., 0]
  np.testing.assert_array_equal(again, found[7])


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
