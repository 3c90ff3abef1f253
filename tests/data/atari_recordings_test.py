"""Recordings of real games: what was shown is what is read back."""

import json
import os
import types

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from hypothesis import example, given, settings
from hypothesis import strategies as st

from data import atari, atari_recorder, atari_recordings

NUM_FRAMES, NUM_ENVIRONMENTS = 1_000, 2


class Policy:
  """Random logits; keeps what it was shown."""

  def __init__(self, num_actions):
    self._rng = np.random.default_rng(3)
    self._num_actions = num_actions
    self.frames, self.logits = [], []

  def __call__(self, frames):
    logits = self._rng.normal(size=[len(frames), self._num_actions])
    self.frames.append(frames.copy())
    self.logits.append(logits)
    return logits


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
  game = atari.get_game("breakout")
  policy = Policy(game.num_actions)
  folder = str(tmp_path_factory.mktemp("recordings") / "breakout")
  atari_recorder.write_recording(
    folder,
    game,
    policy,
    NUM_FRAMES,
    num_environments=NUM_ENVIRONMENTS,
    card={"teacher_sha256": "abc"},
  )
  return folder, policy, atari_recordings.Recording(folder)


def test_histories_are_what_the_policy_was_shown(recorded):
  _, policy, recording = recorded
  shown = np.moveaxis(np.array(policy.frames), 1, 0)  # [N, T, ...]
  shown = shown.reshape(-1, *shown.shape[2:])[:NUM_FRAMES]
  # Several games, so that histories across a game's start are among them.
  assert recording.is_first.sum() > NUM_ENVIRONMENTS
  np.testing.assert_array_equal(
    recording.histories(np.arange(NUM_FRAMES)), shown
  )
  order = np.random.default_rng(0).permutation(NUM_FRAMES)[:50]
  np.testing.assert_array_equal(recording.histories(order), shown[order])


def test_logits_and_card_are_read_back(recorded):
  _, policy, recording = recorded
  said = np.moveaxis(np.array(policy.logits), 1, 0)
  said = said.reshape(-1, said.shape[-1])[:NUM_FRAMES]
  np.testing.assert_array_equal(recording.logits, said.astype(np.float32))
  assert recording.game == "breakout" and recording.num_actions == 4
  assert recording.card["teacher_sha256"] == "abc"
  assert recording.actions.max() < 4 and recording.rewards.sum() > 0


def test_plain_tfds_reads_the_rlds_form(recorded):
  folder, _, recording = recorded
  builder = tfds.builder_from_directory(folder)
  count = 0
  for episode in builder.as_dataset(split="train"):
    steps = list(episode["steps"].as_numpy_iterator())
    count += len(steps)
    assert [bool(step["is_last"]) for step in steps] == [False] * (
      len(steps) - 1
    ) + [True]
    for step in steps[:1]:
      assert set(step) == {
        "observation",
        "action",
        "reward",
        "logits",
        "discount",
        "is_first",
        "is_last",
        "is_terminal",
      }
    # A game that ended by its rules is worth nothing afterwards.
    assert steps[-1]["discount"] == 1.0 - steps[-1]["is_terminal"]
  assert count == recording.num_frames == NUM_FRAMES


def test_half_a_recording_leaves_nothing(tmp_path):
  game = atari.get_game("breakout")
  calls = []

  def policy(frames):
    calls.append(frames)
    if len(calls) > 5:
      raise KeyboardInterrupt
    return np.zeros([len(frames), 4])

  with pytest.raises(KeyboardInterrupt):
    atari_recorder.write_recording(str(tmp_path / "r"), game, policy, 100)
  assert os.listdir(tmp_path) == []


def test_existing_folder_is_left_alone(recorded):
  folder, policy, _ = recorded
  with pytest.raises(ValueError, match="exists already; remove it"):
    atari_recorder.write_recording(
      folder, atari.get_game("breakout"), policy, 10
    )


@pytest.mark.parametrize(
  "folder, num_frames, message",
  [
    ("/proc/none/r", 10, "/proc/none cannot be written"),
    ("file/r", 10, "file cannot be written"),
    ("r", 10**12, "GB of memory, but there are .*; record fewer"),
  ],
)
def test_what_cannot_be_written_is_said_before_anybody_plays(
  tmp_path, monkeypatch, folder, num_frames, message
):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "file").touch()
  with pytest.raises(ValueError, match=message):
    atari_recorder.write_recording(
      folder, atari.get_game("breakout"), pytest.fail, num_frames
    )
  assert os.listdir(tmp_path) == ["file"]


def copy_of(folder, tmp_path):
  target = tmp_path / "copy"
  target.mkdir()
  for name in os.listdir(folder):
    with open(os.path.join(folder, name), "rb") as file:
      (target / name).write_bytes(file.read())
  return target


def test_truncated_shard_is_named(recorded, tmp_path):
  folder = copy_of(recorded[0], tmp_path)
  (shard,) = folder.glob("*tfrecord*")
  shard.write_bytes(shard.read_bytes()[:-1000])
  with pytest.raises(ValueError, match="cannot be read whole .* record it"):
    atari_recordings.Recording(str(folder))


def test_other_action_set_and_missing_frames_are_named(recorded, tmp_path):
  folder = copy_of(recorded[0], tmp_path)
  path = folder / "recording.json"
  card = json.loads(path.read_text())
  for change, message in (
    ({"action_names": ["NOOP", "LEFT"]}, "its card names 2"),
    ({"num_frames": 2_000}, "but 2000 were recorded"),
  ):
    path.write_text(json.dumps({**card, **change}))
    with pytest.raises(ValueError, match=message):
      atari_recordings.Recording(str(folder))
  path.write_text("{")
  with pytest.raises(ValueError, match="is not a recording"):
    atari_recordings.Recording(str(folder))


@settings(deadline=None)
@given(
  lengths=st.lists(st.integers(1, 40), min_size=1, max_size=20),
  percentage=st.floats(0.5, 99.5),
  share=st.sampled_from([0.0, 0.2, 0.5, 0.9]),
)
@example(lengths=[1, 1, 3], percentage=20.0, share=0.9)  # one frame in all
def test_no_test_episode_lies_before_or_within_training(
  lengths, percentage, share
):
  starts = np.cumsum([0, *lengths[:-1]])
  recording = types.SimpleNamespace(
    num_frames=sum(lengths), episode_starts=starts
  )
  try:
    found = atari_recordings.split(recording, percentage, share)
  except ValueError:
    return
  assert len(found.train) and bool(len(found.validation)) == (share > 0)
  border = int(sum(lengths) * percentage / 100)
  seen = np.concatenate([found.train, found.validation])
  left_out = np.setdiff1d(np.arange(border), seen)
  assert np.all(np.diff(seen) > 0) and seen[0] == 0 and seen[-1] == border - 1
  assert found.test[0] in starts and found.test[-1] == sum(lengths) - 1
  episode_of = np.searchsorted(starts, np.arange(sum(lengths)), "right")
  assert episode_of[found.test].min() > episode_of[seen].max()
  # What belongs to nobody is the rest of the one episode that was cut.
  assert np.unique(episode_of[left_out]).size <= 1
  if share == 0.0:
    assert not left_out.size
  elif np.any((starts > found.train[-1]) & (starts < border)):
    assert found.validation[0] in starts


def test_no_percentage_is_tested_on_what_a_search_has_seen():
  starts = np.arange(0, 1000, 7)
  recording = types.SimpleNamespace(num_frames=1000, episode_starts=starts)
  search = atari_recordings.split(recording, 10, 0.2)
  seen = np.concatenate([search.train, search.validation])
  tests = [
    atari_recordings.split(recording, percentage, reserved_percentage=10).test
    for percentage in (1, 5, 10, 50)
  ]
  assert not any(np.intersect1d(seen, test).size for test in tests)
  for test in tests[1:3]:  # the same episodes for small percentages
    np.testing.assert_array_equal(test, tests[0])
  assert tests[3][0] >= 500


def test_a_small_training_part_is_not_stretched_to_the_next_episode():
  recording = types.SimpleNamespace(
    num_frames=1000, episode_starts=np.array([0, 20, 97, 140])
  )
  found = atari_recordings.split(recording, 10, 0.9)
  np.testing.assert_array_equal(found.train, np.arange(10))
  np.testing.assert_array_equal(found.validation, np.arange(20, 100))
  found = atari_recordings.split(recording, 10, 0.75)
  np.testing.assert_array_equal(found.train, np.arange(20))


def test_an_episode_that_begins_at_the_border_is_tested_on():
  recording = types.SimpleNamespace(
    num_frames=100, episode_starts=np.array([0, 30, 70])
  )
  found = atari_recordings.split(recording, 30)
  np.testing.assert_array_equal(found.train, np.arange(30))
  np.testing.assert_array_equal(found.test, np.arange(30, 100))


def test_recorded_actions_are_drawn_from_the_policy():
  logits = np.array([0.0, 1.0, 2.0])
  game = atari.get_game("pong")

  def policy(frames):
    return np.tile(logits, [len(frames), 1])

  columns = atari_recorder._play(game, policy, 2000, 10, 0, False)
  shares = np.bincount(columns["action"], minlength=3) / 2000
  wanted = np.exp(logits) / np.exp(logits).sum()
  np.testing.assert_allclose(shares, wanted, atol=0.025)


def test_split_that_leaves_nothing_is_refused():
  recording = types.SimpleNamespace(
    num_frames=100, episode_starts=np.array([0, 30])
  )
  with pytest.raises(ValueError, match="leave no whole episode to test on"):
    atari_recordings.split(recording, 40)
  with pytest.raises(
    ValueError, match="is less than one frame; raise the percentage"
  ):
    atari_recordings.split(recording, 0.5)
  with pytest.raises(ValueError, match="must lie between 0 and 100"):
    atari_recordings.split(recording, 100)
  for share in (0.2, 0.9):
    with pytest.raises(ValueError, match="too few to keep .* for validation"):
      atari_recordings.split(recording, 2, share)


def test_a_picture_that_claims_to_be_larger_is_not_decoded():
  frame = tf.io.encode_png(np.full([84, 84, 1], 7, np.uint8)).numpy()
  size = (60_000).to_bytes(4, "big")  # 3.6 GB of it
  wrong = (frame[:16] + 2 * size + frame[24:], b"GIF89a" + frame, b"")
  for encoded, is_frame in ((frame, True), *((one, False) for one in wrong)):
    data = tf.data.Dataset.from_tensors({"observation": encoded})
    decoded = iter(data.map(atari_recordings._decode))
    if is_frame:
      assert next(decoded)["observation"].shape == (84, 84, 1)
    else:
      with pytest.raises(tf.errors.InvalidArgumentError, match="is no PNG"):
        next(decoded)
