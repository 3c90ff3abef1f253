"""Scores over whole games, with real ROMs and with scripted ones."""

import numpy as np
import pytest
import tensorflow as tf

from data import atari
from trainers.teachers import scores as game_scores


def constant(logits):
  return lambda s: tf.tile([tf.constant(logits)], [tf.shape(s)[0], 1])


class Countdown:
  """Environments whose game n lasts n + 1 steps and scores 1 at each."""

  def __init__(self, game, count, seed, max_episode_frames):
    del game, seed
    assert max_episode_frames == 5 * 60 * 60
    self._lengths = np.arange(count) + 1
    self._ages = np.zeros(count, int)

  def reset(self):
    return np.zeros([len(self._ages), 84, 84, 4], np.uint8)

  def step(self, actions):
    del actions
    self._ages += 1
    is_last = self._ages == self._lengths
    reward = np.ones(len(self._ages), np.float32)
    self._ages[is_last] = 0
    no = np.zeros_like(is_last)
    return atari.Step(self.reset(), reward, is_last, is_last, no, no, no)

  def close(self):
    pass


def test_long_games_count_as_often_as_short_ones(monkeypatch):
  monkeypatch.setattr(game_scores.atari, "Environments", Countdown)
  scores = game_scores.play(constant([0.0, 0.0]), None, 30)
  # Ten environments, three games each, however short.
  assert sorted(scores) == sorted(3 * list(range(1, 11)))
  scores = game_scores.play(constant([0.0, 0.0]), None, 3)
  assert sorted(scores) == [1, 2, 3]
  # What does not divide evenly falls to the first environments.
  scores = game_scores.play(constant([0.0, 0.0]), None, 13)
  assert sorted(scores) == sorted([*range(1, 11), 1, 2, 3])


@pytest.mark.parametrize("is_greedy", [True, False])
def test_seed_fixes_the_scores(is_greedy):
  game = atari.get_game("breakout")
  policy = constant([0.0, 0.1, 0.3, 0.2])
  found = [
    game_scores.play(policy, game, 3, seed, is_greedy) for seed in (1, 1)
  ]
  np.testing.assert_array_equal(found[0], found[1])
  assert found[0].shape == (3,) and found[0].dtype == np.float64


def test_greedy_policies_take_the_best_action_and_sampled_ones_draw():
  policy = constant([0.0, 1.0, 0.5])
  frames = np.zeros([500, 84, 84, 4], np.uint8)
  greedy = game_scores.build_policy(policy, 500, True)(frames, [0, 0])
  assert np.all(greedy == 1)
  drawn = game_scores.build_policy(policy, 500)(frames, [0, 0])
  wanted = tf.nn.softmax([0.0, 1.0, 0.5])
  shares = np.bincount(drawn, minlength=3) / 500
  np.testing.assert_allclose(shares, wanted, atol=0.08)
