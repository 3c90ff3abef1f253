"""Reads recordings of a policy's games: `atari_recorder` makes them.

Single frames are stored; `Recording` puts the histories together that the
policy saw. `split` cuts one by time into what is learnt from and tested on.
"""

import os
import typing

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from data import atari
from data.tfds_folders import first_line, open_tfds, read_object

CARD = "recording.json"
SPLIT = "train"
# What a PNG picture of a frame begins with: signature, and the first chunk's
# length, name, width and height.
_PNG_HEADER = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR" + 2 * atari.SIDE.to_bytes(
  4, "big"
)


class Recording:
  """A recording, held in memory: 7 KB a frame.

  Attributes:
    game: its name.
    action_names: tuple of the policy's actions.
    card: all that `recording.json` holds.
    logits: float32 `[T, A]`, in time.
    actions: int32 `[T]`.
    rewards: float32 `[T]`.
    is_first: bool `[T]`.
  """

  def __init__(self, folder):
    """Reads it.

    Args:
      folder: as given to `write_recording`.

    Raises:
      ValueError: it is not there, is no recording, or is damaged.
    """
    self.card = _read_card(folder)
    self.game = self.card["game"]
    self.action_names = tuple(self.card["action_names"])
    episodes = _read_episodes(folder)
    columns = {
      name: np.concatenate([steps[name] for _, steps in episodes])
      for name in ("observation", "logits", "action", "reward", "is_first")
    }
    if len(columns["action"]) != self.card["num_frames"]:
      raise ValueError(
        f"{folder} holds {len(columns['action'])} frames, but "
        f"{self.card['num_frames']} were recorded; record it anew."
      )
    if columns["logits"].shape[1] != len(self.action_names):
      raise ValueError(
        f"{folder} holds logits of {columns['logits'].shape[1]} actions, but "
        f"its card names {len(self.action_names)}; record it anew."
      )
    self._frames = columns["observation"][..., 0]
    self.logits, self.is_first = columns["logits"], columns["is_first"]
    self.actions, self.rewards = columns["action"], columns["reward"]
    self.is_first[0] = True
    # A game that a recording's stream cut has no first step of its own.
    lengths = [len(steps["action"]) for _, steps in episodes]
    self._starts = np.cumsum([0, *lengths[:-1]])
    place = np.arange(self.num_frames)
    begun = self._starts[np.searchsorted(self._starts, place, "right") - 1]
    self._age = place - begun

  @property
  def num_frames(self):
    """T, steps in all."""
    return len(self._frames)

  @property
  def num_actions(self):
    """A, size of the policy."""
    return len(self.action_names)

  @property
  def episode_starts(self):
    """Index of each episode's first step, int64, ascending."""
    return self._starts

  def histories(self, indices):
    """What the policy saw: uint8 `[B, 84, 84, 4]`, oldest frame first.

    Frames before a game's first one are black.

    Args:
      indices: whole numbers `[B]` from 0 to T - 1.
    """
    indices = np.asarray(indices)
    ages = np.arange(atari.HISTORY - 1, -1, -1)
    places = indices[:, np.newaxis] - ages  # [B, 4]
    frames = self._frames[np.maximum(places, 0)]
    frames[self._age[indices][:, np.newaxis] < ages] = 0
    return np.ascontiguousarray(np.moveaxis(frames, 1, -1))


def _read_card(folder):
  try:
    card = read_object(os.path.join(folder, CARD))
    names, count = card["action_names"], card["num_frames"]
    is_whole = (
      isinstance(card["game"], str)
      and isinstance(names, list)
      and all(isinstance(name, str) for name in names)
      and type(count) is int
    )
    if not is_whole:
      raise ValueError("game, action_names or num_frames is none")
  except (OSError, ValueError, KeyError) as error:
    raise ValueError(
      f"{folder} is not a recording: its {CARD} cannot be read "
      f"({first_line(error)}); make one with python -m "
      "trainers.teachers.record."
    ) from error
  return card


def _read_episodes(folder):
  """(index, dict of arrays) of every episode, in time."""
  episodes = []
  builder = open_tfds(folder, "record it anew")
  try:
    for episode in builder.as_dataset(
      split=SPLIT,
      shuffle_files=False,
      decoders={"steps": {"observation": tfds.decode.SkipDecoding()}},
    ):
      steps = episode["steps"].map(_decode).batch(4096)
      parts = [tf.nest.map_structure(np.asarray, part) for part in steps]
      joined = {
        name: np.concatenate([part[name] for part in parts])
        for name in parts[0]
      }
      _check_steps(joined)
      episodes.append((int(episode["index"]), joined))
  # Whatever a damaged file, or one of another form, makes TFDS raise.
  except Exception as error:
    raise ValueError(
      f"{folder} cannot be read whole ({first_line(error)}); record it anew."
    ) from error
  if not episodes:
    raise ValueError(f"{folder} holds no episode; record it anew.")
  return sorted(episodes, key=lambda episode: episode[0])


def _decode(step):
  """Decodes the picture of a step if it has the size of a frame.

  What claims to be larger could fill the memory before it is refused.
  """
  encoded = step["observation"]
  is_frame = tf.strings.substr(encoded, 0, len(_PNG_HEADER)) == _PNG_HEADER
  message = "a frame is no PNG picture of 84 x 84 points"
  with tf.control_dependencies([tf.debugging.Assert(is_frame, [message])]):
    frame = tf.io.decode_png(encoded, channels=1)
  return {**step, "observation": frame}


def _check_steps(steps):
  """Raises ValueError if these are not the columns of a recording."""
  shape = steps["observation"].shape[1:]
  if shape != (atari.SIDE, atari.SIDE, 1) or steps["logits"].ndim != 2:
    raise ValueError(f"its observations have the shape {shape}")
  for name in ("action", "reward", "is_first"):
    if steps[name].ndim != 1:
      raise ValueError(f"{name} is no number per step")


class Split(typing.NamedTuple):
  """Indices of frames, ascending: to learn from, to choose by, to test on."""

  train: np.ndarray
  validation: np.ndarray
  test: np.ndarray


def split(recording, percentage, validation_share=0.0, reserved_percentage=0.0):
  """Splits a recording by time at episode borders (SM §3).

  The first `percentage` of all frames are for training. The rest of the
  episode that this border cuts is not used; all later episodes are for
  testing, so that no test episode lies before or within a training episode.

  Args:
    recording: a `Recording`, or anything with its `num_frames` and
      `episode_starts`.
    percentage: above 0 and below 100.
    validation_share: share of the training frames, their last ones, to choose
      settings by. Both parts end at an episode's border where one is near;
      where none is, the rest of the episode that is cut is not used.
    reserved_percentage: nothing before this percentage is tested on, so that
      several percentages have the same test episodes, and a search among the
      reserved frames has seen none of them.

  Returns:
    A `Split`.

  Raises:
    ValueError: the percentage is out of range, or leaves no test episode, no
      frame to learn from, or none for the validation that was asked for.
  """
  total, starts = recording.num_frames, recording.episode_starts
  if not 0 < percentage < 100:
    raise ValueError(
      f"percentage is {percentage:g}, but it must lie between 0 and 100."
    )
  border = int(total * percentage / 100)
  used = max(percentage, reserved_percentage)
  later = starts[starts >= int(total * used / 100)]
  if not len(later):
    raise ValueError(
      f"the first {used:g} % of {total} frames leave no whole episode to "
      "test on; lower the percentage, or record more frames."
    )
  if not border:
    raise ValueError(
      f"{percentage:g} % of {total} frames is less than one frame; raise "
      "the percentage, or record more frames."
    )
  end = first = border - round(border * validation_share)
  if validation_share:
    if end in (0, border):
      raise ValueError(
        f"{percentage:g} % of {total} frames are {border}, too few to keep "
        f"{validation_share:g} of them for validation and learn from the rest; "
        "raise the percentage, or record more frames."
      )
    inner = starts[(starts > 0) & (starts < border)]
    reach = border * min(validation_share, 1 - validation_share) / 2
    near = inner[np.abs(inner - end) <= reach]
    if len(near):
      end = first = near[np.argmin(np.abs(near - end))]
    elif np.any(inner > end):
      first = inner[inner > end][0]
  return Split(
    np.arange(end), np.arange(first, border), np.arange(later[0], total)
  )
