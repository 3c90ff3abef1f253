"""Games with real ROMs: actions, histories, and what ends what."""

import difflib

import numpy as np
import pytest
from ale_py import roms
from ale_py.vector_env import AtariVectorEnv

from data import atari


def environments(name, count=2, **settings):
  return atari.Environments(atari.get_game(name), count, **settings)


def random_actions(games, rng):
  return rng.integers(games.game.num_actions, size=games.num_environments)


def test_games_have_the_papers_actions():
  wanted = {"pong": 3, "breakout": 4, "space_invaders": 6}
  for name, count in wanted.items():
    assert atari.get_game(name).num_actions == count
  pong = atari.get_game("pong")
  assert pong.actions == ("NOOP", "RIGHT", "LEFT")
  assert pong.codes == (0, 2, 3)
  # Any other game has its minimal set, whole and in order.
  other = atari.get_game("freeway")
  assert other.actions == ("NOOP", "UP", "DOWN") and other.codes == (0, 1, 2)


def test_an_unknown_game_lists_the_close_ones():
  for name, close in (("pongg", "pong"), ("SpaceInvaders", "space_invaders")):
    with pytest.raises(ValueError, match=close) as error:
      atari.get_game(name)
    assert "\n" not in str(error.value)
  assert difflib.get_close_matches("zzzz", roms.get_all_rom_ids()) == []
  with pytest.raises(ValueError, match="no game 'zzzz'"):
    atari.get_game("zzzz")


def test_a_missing_rom_says_what_to_install(monkeypatch):
  monkeypatch.setattr(roms, "get_rom_path", lambda name: None)
  with pytest.raises(ValueError, match="pip install 'ale-py"):
    atari.get_game("pong")


def test_a_rom_that_the_emulator_does_not_know_is_refused():
  with pytest.raises(ValueError, match="joust but cannot play it"):
    atari.get_game("joust")


def test_histories_are_the_last_frames_oldest_first():
  games, rng = environments("breakout", seed=4), np.random.default_rng(0)
  before = games.reset()
  assert before.shape == (2, 84, 84, 4) and before.dtype == np.uint8
  assert not before[..., :3].any() and before[..., 3].any()  # nothing yet
  moved = 0
  for _ in range(20):
    step = games.step(random_actions(games, rng))
    np.testing.assert_array_equal(step.frames[..., :3], before[..., 1:])
    moved += np.any(step.frames[..., 3] != before[..., 3])
    before = step.frames
  assert moved > 10
  games.close()


def raw_screens(game, code, num_frames, seed):
  """Frame number -> screen in colour, of a game with one action held."""
  settings = {
    **atari._SETTINGS,
    **{"img_height": 210, "img_width": 160, "grayscale": False},
    **{"stack_num": 1, "frameskip": 1, "maxpool": False},
  }
  emulator = AtariVectorEnv(game, 1, num_threads=1, **settings)
  screens, info = emulator.reset(seed=seed)
  found = {}
  for _ in range(num_frames):
    found[int(info["episode_frame_number"][0])] = screens[0, 0]
    screens, _, _, _, info = emulator.step(np.array([code]))
  emulator.close()
  return found


def shrink(picture, height, width):
  """Each output pixel is the mean over the area that it covers."""
  for size in (height, width):  # the second time along the other axis
    edges = np.linspace(0, len(picture), size + 1)[:, np.newaxis]
    places = np.arange(len(picture))
    covered = np.minimum(edges[1:], places + 1) - np.maximum(edges[:-1], places)
    weights = np.clip(covered, 0, None) * size / len(picture)
    picture = (weights @ picture).T
  return picture


@pytest.mark.parametrize("name", ["pong", "breakout", "space_invaders"])
def test_frames_are_grey_pooled_and_shrunk_as_written_out_in_numpy(name):
  game = atari.get_game(name)
  raw = raw_screens(name, game.codes[1], 120, seed=5)
  games = environments(name, 1, seed=5)
  games.reset()
  ages, receive = [], games._environments.recv

  def recv():
    answer = receive()
    ages.append(int(answer[4]["episode_frame_number"][0]))
    return answer

  games._environments.recv = recv
  for _ in range(20):
    step = games.step(np.array([1]))
    # The brighter of the last two of the four frames of an action.
    grey = [
      np.round(raw[age] @ np.array([0.299, 0.587, 0.114]))
      for age in (ages[-1] - 1, ages[-1])
    ]
    wanted = shrink(np.maximum(*grey), 84, 84)
    np.testing.assert_allclose(step.frames[0, ..., 3], wanted, atol=1.01)
  np.testing.assert_array_equal(np.diff(ages), 4)
  games.close()


def test_seed_fixes_the_games():
  def play(seed):
    games, rng = environments("breakout", seed=seed), np.random.default_rng(0)
    frames = [games.reset()]
    for _ in range(30):
      frames.append(games.step(random_actions(games, rng)).frames)
    games.close()
    return np.array(frames)

  np.testing.assert_array_equal(play(1), play(1))
  assert np.any(play(1) != play(2))


def test_actions_mean_what_their_names_say():
  games = environments("pong", 3, seed=1)
  games.reset()
  for _ in range(30):  # NOOP, RIGHT (up) and LEFT (down), one for each
    step = games.step(np.arange(3))
  paddle = step.frames[:, 14:78, 72:77, 3].astype(int)
  rows = [
    np.mean(np.nonzero(one.max(axis=1) > one.min(axis=1).min() + 30)[0])
    for one in paddle
  ]
  assert rows[1] < rows[0] < rows[2]
  games.close()


def record(name, num_steps, actions=None, **settings):
  """Steps of two environments, each with the lives that ale-py counted."""
  games = environments(name, seed=3, **settings)
  rng = np.random.default_rng(0)
  seen = []
  receive = games._environments.recv

  def recv():
    answer = receive()
    seen.append((answer[4]["lives"], answer[4]["episode_frame_number"]))
    return answer

  games._environments.recv = recv
  games.reset()
  steps = [
    games.step(random_actions(games, rng) if actions is None else actions)
    for _ in range(num_steps)
  ]
  games.close()
  lives, ages = (np.array(x) for x in zip(*seen, strict=True))
  stacked = atari.Step(*(np.array(x) for x in zip(*steps, strict=True)))
  return stacked, lives, ages


@pytest.mark.parametrize("name", ["breakout", "space_invaders"])
def test_ends_and_lost_lives_are_told_apart(name):
  steps, lives, ages = record(name, 600)
  assert steps.is_last.sum() >= 2 and steps.life_lost.sum() >= 4
  # A new game is where the emulator's clock starts anew.
  np.testing.assert_array_equal(steps.is_first[1:], np.diff(ages, axis=0) < 0)
  np.testing.assert_array_equal(steps.is_first[1:], steps.is_last[:-1])
  np.testing.assert_array_equal(steps.is_terminal, steps.is_last)
  fewer = np.diff(lives, axis=0) < 0
  over = lives[1:] == 0
  np.testing.assert_array_equal(steps.life_lost[1:], fewer & ~over)
  np.testing.assert_array_equal(steps.is_last[1:], fewer & over)
  assert not steps.reward[steps.is_first].any()


def test_ignored_actions_are_flagged():
  steps, _, _ = record("breakout", 400)
  follows = steps.is_last[:-1] | steps.life_lost[:-1]
  np.testing.assert_array_equal(steps.was_ignored[1:], follows)
  # Pong has no FIRE to be pressed: only what starts a new game is ignored.
  steps, _, _ = record("pong", 1000)
  assert steps.is_last.any() and not steps.life_lost.any()
  np.testing.assert_array_equal(steps.was_ignored, steps.is_first)


def test_a_policy_that_never_fires_does_not_stall():
  steps, _, _ = record("breakout", 400, actions=np.zeros(2, int))
  assert steps.is_last.any(axis=0).all()


def test_scores_are_not_clipped():
  steps, _, _ = record("space_invaders", 300)
  assert steps.reward.max() > 1 and steps.reward.dtype == np.float32


def test_a_game_at_the_limit_is_last_but_not_terminal():
  steps, _, ages = record("pong", 120, max_episode_frames=200)
  assert steps.is_last.any(axis=0).all() and not steps.is_terminal.any()
  np.testing.assert_array_equal(steps.is_first[1:], np.diff(ages, axis=0) < 0)
