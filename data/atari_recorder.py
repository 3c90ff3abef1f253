"""Records a policy's games, as a TFDS data set in the RLDS form.

An episode is one game: steps of observation, action, reward, the policy's
logits, is_first, is_last, is_terminal and discount. Plain
`tfds.builder_from_directory(folder)` reads it, and `atari_recordings` puts the
histories together that the policy saw; `recording.json` says how it was made.

Several games run side by side while a recording is made. Its time axis is
theirs one after another: everything environment 0 played, then environment 1.
"""

import json
import os
import shutil

import numpy as np
import tensorflow_datasets as tfds

from data import atari
from data.atari_recordings import CARD, SPLIT

VERSION = "1.0.0"
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
    with open(os.path.join(made, CARD), "w", encoding="utf-8") as file:
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
    split_datasets={SPLIT: episodes()},
    data_dir=folder,
    description=f"A policy's games of {game.name}, with its logits.",
    disable_shuffling=True,
  )
