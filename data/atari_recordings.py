"""Recordings of a policy's games, as a TFDS data set in the RLDS form.

An episode is one game: steps of observation, action, reward, the policy's
logits, is_first, is_last, is_terminal and discount. Plain
`tfds.builder_from_directory(folder)` reads it; `recording.json` beside it says
how it was made. Single frames are stored; `Recording` puts the histories
together that the policy saw.

Several games run side by side while a recording is made. Its time axis is
theirs one after another: everything environment 0 played, then environment 1.
"""

import json
import os
import shutil
import typing

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from data import atari
from data.tfds_folders import first_line, open_tfds, read_object

VERSION = "1.0.0"
_CARD = "recording.json"
_SPLIT = "train"
_ENVIRONMENTS = 8
# Bytes: a frame of 84x84, which TFDS holds as PNG too, and what little the
# PNG of a sparse game takes on disk.
_MEMORY_PER_FRAME = 84 * 84 + 1_000
_DISK_PER_FRAME = 400


def features(num_actions):
  """The TFDS features of an episode."""
  return tfds.features.FeaturesDict(
    {
      "index": np.int64,  # the episode's place in time
      "steps": tfds.features.Dataset(
        {
          "observation": tfds.features.Image(
            shape=(atari.SIDE, atari.SIDE, 1), encoding_format="png"
          ),
          "action": np.int32,
          "reward": np.float32,
          "logits": tfds.features.Tensor(
            shape=(num_actions,), dtype=np.float32
          ),
          "discount": np.float32,
          "is_first": np.bool_,
          "is_last": np.bool_,
          "is_terminal": np.bool_,
        }
      ),
    }
  )


def write_recording(
  folder,
  game,
  policy,
  num_frames,
  *,
  num_environments=_ENVIRONMENTS,
  seed=0,
  is_greedy=False,
  card=None,
):
  """Lets a policy play and writes its frames, logits and actions.

  An interrupted recording leaves no folder of that name.

  Args:
    folder: to be made; must not exist.
    game: an `atari.Game`.
    policy: function from uint8 frames `[N, 84, 84, 4]` to logits `[N, A]`.
    num_frames: steps in all.
    num_environments: N, games side by side.
    seed: of random starts and actions.
    is_greedy: take the most probable action. By default actions are drawn from
      the policy, which shows more of the states that it can get into.
    card: dict of what else `recording.json` is to hold.

  Raises:
    ValueError: the folder exists or cannot be written, or there are no frames,
      or more than fit into memory or on disk.
  """
  folder = os.path.abspath(folder)
  if os.path.exists(folder):
    raise ValueError(
      f"{folder} exists already; remove it, or name another folder."
    )
  count = min(num_environments, num_frames)
  if count < 1:
    raise ValueError(f"num_frames is {num_frames}, but must be 1 or more.")
  partial = folder + ".partial"
  shutil.rmtree(partial, ignore_errors=True)
  try:
    _check_room(partial, num_frames)
    columns = _play(game, policy, num_frames, count, seed, is_greedy)
    _write(partial, game, columns)
    made = os.path.join(partial, f"atari_{game.name}", VERSION)
    about = {
      **(card or {}),
      "version": VERSION,
      "game": game.name,
      "action_names": list(game.actions),
      "num_frames": num_frames,
      "num_environments": count,
      "seed": seed,
      "actions": "most probable" if is_greedy else "drawn from the policy",
    }
    with open(os.path.join(made, _CARD), "w", encoding="utf-8") as file:
      json.dump(about, file, indent=2)
      file.write("\n")
    os.rename(made, folder)
  finally:
    shutil.rmtree(partial, ignore_errors=True)


def _check_room(folder, num_frames):
  """Makes a folder and checks for space before any game is played.

  Raises:
    ValueError: it cannot be written, or memory or disk are too small.
  """
  try:
    os.makedirs(folder)
    probe = os.path.join(folder, "probe")
    with open(probe, "wb") as file:
      file.write(b"room")
    os.remove(probe)
    free = shutil.disk_usage(folder).free
  except OSError as error:
    raise ValueError(
      f"{os.path.dirname(folder)} cannot be written ({error.strerror}); name "
      "another folder."
    ) from error
  memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
  for there, each, what in (
    (memory, _MEMORY_PER_FRAME, "memory"),
    (free, _DISK_PER_FRAME, "disk"),
  ):
    if num_frames * each > there:
      raise ValueError(
        f"{num_frames} frames take {num_frames * each / 1e9:.1f} GB of {what}, "
        f"but there are {there / 1e9:.1f}; record fewer."
      )


def _play(game, policy, num_frames, count, seed, is_greedy):
  """Plays in `count` environments; returns a dict of arrays over time."""
  length = -(-num_frames // count)
  side = atari.SIDE
  columns = {
    "observation": np.empty([count, length, side, side, 1], np.uint8),
    "action": np.zeros([count, length], np.int32),
    "reward": np.zeros([count, length], np.float32),
    "logits": np.empty([count, length, game.num_actions], np.float32),
    "is_first": np.zeros([count, length], bool),
    "is_last": np.zeros([count, length], bool),
    "is_terminal": np.zeros([count, length], bool),
  }
  rng = np.random.default_rng([seed, 0])
  games = atari.Environments(game, count, seed, num_threads=os.cpu_count())
  try:
    frames = games.reset()
    is_first, is_last = np.ones(count, bool), np.zeros(count, bool)
    is_terminal = np.zeros(count, bool)
    for t in range(length):
      logits = np.asarray(policy(frames), np.float32)
      noise = 0.0 if is_greedy else rng.gumbel(size=logits.shape)
      actions = games.send(np.argmax(logits + noise, axis=1))
      columns["observation"][:, t] = frames[..., -1:]
      columns["logits"][:, t] = logits
      columns["is_first"][:, t] = is_first
      columns["is_last"][:, t] = is_last
      columns["is_terminal"][:, t] = is_terminal
      step = games.receive()
      # After a game's last frame nothing is done and nothing is won.
      columns["action"][:, t] = np.where(is_last, 0, actions)
      columns["reward"][:, t] = np.where(is_last, 0.0, step.reward)
      frames = step.frames
      is_first, is_last = step.is_first, step.is_last
      is_terminal = step.is_terminal
  finally:
    games.close()
  # What was recorded ends here, whether or not the games did.
  columns["is_last"][:, -1] = True
  flat = {
    name: values.reshape(-1, *values.shape[2:])[:num_frames]
    for name, values in columns.items()
  }
  flat["is_last"][-1] = True
  flat["discount"] = 1.0 - flat["is_terminal"].astype(np.float32)
  return flat


def _write(folder, game, columns):
  ends = np.flatnonzero(columns["is_last"]) + 1
  starts = [0, *ends[:-1]]

  def episodes():
    for index, (start, end) in enumerate(zip(starts, ends, strict=True)):
      steps = [
        {name: values[t] for name, values in columns.items()}
        for t in range(start, end)
      ]
      yield f"{index:08d}", {"index": index, "steps": steps}

  tfds.dataset_builders.store_as_tfds_dataset(
    name=f"atari_{game.name}",
    version=VERSION,
    features=features(game.num_actions),
    split_datasets={_SPLIT: episodes()},
    data_dir=folder,
    description=f"A policy's games of {game.name}, with its logits.",
    disable_shuffling=True,
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
    card = read_object(os.path.join(folder, _CARD))
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
      f"{folder} is not a recording: its {_CARD} cannot be read "
      f"({first_line(error)}); make one with python -m "
      "trainers.teachers.record."
    ) from error
  return card


def _read_episodes(folder):
  """(index, dict of arrays) of every episode, in time."""
  episodes = []
  builder = open_tfds(folder, "record it anew")
  try:
    for episode in builder.as_dataset(split=_SPLIT, shuffle_files=False):
      steps = episode["steps"].batch(4096)
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
