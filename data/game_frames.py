"""Frames of Atari games: pictures to classify that need no download.

    python -m data.game_frames --output=DIR

plays the games inside ale-py at random and stores RGB frames, labelled with
their game, as a TFDS data set of JPEG files. Training and validation frames
come from different episodes. It stands in for ImageNet on small machines, and
is far easier: every game has its own scenery and its own colours. The second
of these goes in `open_grey_game_frames`.
"""

import argparse
import io
import pathlib
import sys

import ale_py
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from data.encoded_pictures import EncodedPictures
from data.tfds_folders import find_tfds, is_prepared, open_tfds

NAME = "game_frames"
VERSION = "1.0.0"
GAMES = (
  *("alien", "amidar", "assault", "asterix", "asteroids", "atlantis"),
  *("bank_heist", "battle_zone", "beam_rider", "berzerk", "bowling", "boxing"),
  *("breakout", "centipede", "chopper_command", "crazy_climber"),
  *("demon_attack", "double_dunk", "enduro", "fishing_derby", "freeway"),
  *("frostbite", "gopher", "gravitar", "hero", "ice_hockey", "jamesbond"),
  *("kangaroo", "krull", "kung_fu_master", "montezuma_revenge", "ms_pacman"),
  *("name_this_game", "phoenix", "pitfall", "pong", "private_eye", "qbert"),
  *("riverraid", "road_runner", "robotank", "seaquest", "space_invaders"),
  *("star_gunner", "tennis", "time_pilot", "up_n_down", "venture"),
)

_ACTION_REPEAT = 4
# Actions between two stored frames: one and a third of a second of play.
_SPACING = 20
# An episode in so many is for validation.
_VALIDATION_SHARE = 5
_QUALITY = 95


def open_game_frames(
  data_dir=None, seed=0, image_size=64, colour_distortion=False
):
  """Opens the data set; arguments and result as of `open_imagenet`."""
  builder = _open(data_dir)
  return EncodedPictures(builder, seed, image_size, colour_distortion)


def _open(data_dir):
  folder = find_tfds(data_dir, NAME, VERSION)
  if not is_prepared(folder):
    raise ValueError(
      f"the frames of games are not in {folder}; python -m data.game_frames "
      "--output=DIR makes them in a few minutes, and --data_dir=DIR names them."
    )
  return open_tfds(folder, "remove it and make it again")


def open_grey_game_frames(
  data_dir=None, seed=0, image_size=64, colour_distortion=False
):
  """The same frames without what gives a game away at a glance.

  They are grey, and each picture has a contrast of its own, the negative as
  often as not: neither colours nor brightness tell games apart, which leaves
  shapes. Arguments and result as of `open_game_frames`.
  """
  builder = _open(data_dir)
  return GreyPictures(builder, seed, image_size, colour_distortion)


class GreyPictures(EncodedPictures):
  """Grey pictures of random contrast; a test picture's is always the same."""

  def _training_picture(self, record, seed):
    picture, label = super()._training_picture(record, seed)
    return with_random_contrast(picture, seed), label

  def _test_picture(self, record, seed):
    picture, label = super()._test_picture(record, seed)
    # From the whole record, since no seed is drawn for a test.
    chosen = tf.strings.to_hash_bucket_fast(record, 2**31 - 1)
    return with_random_contrast(picture, tf.stack([chosen, 0])), label


def with_random_contrast(picture, seed):
  """A picture in grey, its contrast and its mean a function of the seed.

  Args:
    picture: uint8 `[H, W, 3]`.
    seed: two whole numbers.

  Returns:
    uint8 `[H, W, 3]` with three equal channels: the differences from the mean
    times a factor of 0.2 to 1, with either sign, about a mean of 64 to 191.
  """
  grey = tf.image.rgb_to_grayscale(tf.cast(picture, tf.float32))
  size, level, sign = tf.unstack(tf.random.stateless_uniform([3], seed))
  factor = (0.2 + 0.8 * size) * tf.where(sign < 0.5, -1.0, 1.0)
  changed = 64 + 127 * level + factor * (grey - tf.reduce_mean(grey))
  changed = tf.cast(tf.clip_by_value(tf.round(changed), 0, 255), tf.uint8)
  return tf.repeat(changed, 3, axis=-1)


def play(game, seed, num_frames):
  """Yields frames of one episode of random play.

  Args:
    game: name of a ROM inside ale-py.
    seed: sequence of whole numbers, of emulator and actions.
    num_frames: how many frames at most; a game that ends starts anew.

  Yields:
    uint8 arrays `[210, 160, 3]` (some games have more rows).
  """
  rng = np.random.default_rng(seed)
  ale = ale_py.ALEInterface()
  ale.setInt("random_seed", int(rng.integers(2**31)))
  ale.setFloat("repeat_action_probability", 0.25)
  ale.loadROM(ale_py.roms.get_rom_path(game))
  actions = ale.getMinimalActionSet()
  found = 0
  while found < num_frames:
    # Times between frames are random, so that episodes diverge soon.
    for _ in range(int(rng.integers(1, 2 * _SPACING))):
      action = actions[rng.integers(len(actions))]
      for _ in range(_ACTION_REPEAT):
        ale.act(action)
      if ale.game_over():
        ale.reset_game()
    frame = ale.getScreenRGB()
    if np.ptp(frame) > 0:  # some games are black between two scenes
      found += 1
      yield frame


def write_game_frames(
  data_dir, games=GAMES, num_episodes=10, num_frames=50, seed=0
):
  """Plays the games and stores the frames.

  Args:
    data_dir: folder of TFDS' data sets.
    games: names of ROMs; their order makes the classes.
    num_episodes: per game; every fifth is for validation.
    num_frames: per episode.
    seed: the data set is a function of it and of the other numbers.

  Raises:
    ValueError: the data set is there already, or no episode is left to test.
  """
  folder = pathlib.Path(data_dir) / NAME / VERSION
  if folder.exists():
    raise ValueError(
      f"{folder} exists already; use it, or give another --output."
    )
  if num_episodes < _VALIDATION_SHARE:
    raise ValueError(
      f"every {_VALIDATION_SHARE}th episode is for validation, but there are "
      f"only {num_episodes}; give {_VALIDATION_SHARE} or more."
    )
  splits = {"train": [], "validation": []}
  for number, game in enumerate(games):
    _say(f"{number + 1} of {len(games)}: {game}")
    for episode in range(num_episodes):
      is_held_out = episode % _VALIDATION_SHARE == _VALIDATION_SHARE - 1
      rows = splits["validation" if is_held_out else "train"]
      frames = play(game, [seed, number, episode], num_frames)
      for index, frame in enumerate(frames):
        name = f"{game}_{episode:03d}_{index:04d}.jpg"
        encoded = tf.io.encode_jpeg(frame, quality=_QUALITY).numpy()
        rows.append((name, _example(name, encoded, number)))
  _store(data_dir, games, splits)


def _example(name, encoded, label):
  return {"file_name": name, "image": io.BytesIO(encoded), "label": label}


def _store(data_dir, games, splits):
  tfds.dataset_builders.store_as_tfds_dataset(
    name=NAME,
    version=VERSION,
    features=tfds.features.FeaturesDict(
      {
        "image": tfds.features.Image(encoding_format="jpeg"),
        "label": tfds.features.ClassLabel(names=list(games)),
        "file_name": tfds.features.Text(),
      }
    ),
    split_datasets=splits,
    data_dir=data_dir,
    description="Frames of Atari games in random play, from ale-py.",
  )


def _say(line):
  print(line, file=sys.stderr, flush=True)


def main(arguments=None):
  """Writes the data set that the command line describes."""
  parser = argparse.ArgumentParser(
    prog="python -m data.game_frames",
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument("--output", required=True, help="folder of data sets")
  parser.add_argument("--num_games", type=int, default=len(GAMES))
  parser.add_argument("--num_episodes", type=int, default=10, help="per game")
  parser.add_argument("--num_frames", type=int, default=50, help="per episode")
  parser.add_argument("--seed", type=int, default=0)
  given = parser.parse_args(arguments)
  ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
  try:
    write_game_frames(
      given.output,
      GAMES[: given.num_games],
      given.num_episodes,
      given.num_frames,
      given.seed,
    )
  except ValueError as error:
    _say(f"error: {error}")
    return 2
  return 0


if __name__ == "__main__":
  sys.exit(main())
