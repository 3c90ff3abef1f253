"""Scores of a policy over whole games."""

import numpy as np
import tensorflow as tf

from data import atari
from sobolev_tf.networks.atari import INPUT_SHAPE, frames_to_input
from trainers.lifecycle.command_line import CommandError

# Whether the most probable action is played, or one drawn from the policy.
WAYS = {"sampled": False, "greedy": True}
_ENVIRONMENTS = 10
_MAX_EPISODE_FRAMES = 18_000
# Games that nobody trains on.
_FIRST_SEED = 0x50B01E5


def play(network, game, num_games, seed=0, is_greedy=False, check=lambda: None):
  """Plays games from random starts and returns their scores.

  Every environment plays the same number of games, give or take one, so that
  short games do not count more often than long ones.

  Args:
    network: function from inputs `[B, 84, 84, 4]` to logits `[B, actions]`.
    game: an `atari.Game`.
    num_games: how many scores are wanted.
    seed: of starts and sampled actions.
    is_greedy: the most probable action, instead of one drawn from the policy.
    check: function that is called at every step and may raise, to stop.

  Returns:
    float64 array `[num_games]`. A game is cut after five minutes of play, as in
    Mnih et al. 2015: a greedy policy can be caught in a loop.
  """
  count = min(num_games, _ENVIRONMENTS)
  quota = np.full(count, num_games // count)
  quota[: num_games % count] += 1
  choose = build_policy(network, count, is_greedy)
  games = atari.Environments(
    game,
    count,
    _FIRST_SEED + seed * num_games,
    max_episode_frames=_MAX_EPISODE_FRAMES,
  )
  scores, running, played = [], np.zeros(count), np.zeros(count, int)
  try:
    frames, draw = games.reset(), 0
    while (played < quota).any():
      check()
      step = games.step(choose(frames, [seed, draw]))
      frames, draw = step.frames, draw + 1
      running += step.reward
      counts = step.is_last & (played < quota)
      scores += running[counts].tolist()
      played += counts
      running[step.is_last] = 0.0
  finally:
    games.close()
  return np.array(scores)


def play_both_ways(network, game, num_games, seed=0, check=lambda: None):
  """dict from each of `WAYS` to a list of scores; empty without games.

  Arguments are those of `play`.

  Raises:
    CommandError: a score is not finite.
  """
  found = {}
  for way, is_greedy in WAYS.items() if num_games else ():
    scores = play(network, game, num_games, seed, is_greedy, check)
    if not np.isfinite(scores).all():
      raise CommandError(
        f"a {way} score of {game.name} is not finite; the emulator or its ROM "
        "is damaged: install ale-py anew."
      )
    found[way] = scores.tolist()
  return found


def build_policy(network, num_environments, is_greedy=False):
  """A compiled function from uint8 frames and a seed `[2]` to actions."""

  @tf.function(
    input_signature=[
      tf.TensorSpec([num_environments, *INPUT_SHAPE], tf.uint8),
      tf.TensorSpec([2], tf.int32),
    ],
    autograph=False,
  )
  def choose(frames, seed):
    logits = network(frames_to_input(frames))
    if not is_greedy:
      uniform = tf.random.stateless_uniform(
        tf.shape(logits), seed, minval=1e-20, maxval=1.0
      )
      logits -= tf.math.log(-tf.math.log(uniform))
    return tf.argmax(logits, axis=1)

  return lambda frames, seed: choose(
    tf.constant(frames), tf.constant(seed, tf.int32)
  ).numpy()
