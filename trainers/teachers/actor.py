"""One actor of an asynchronous actor-critic: plays games, makes rollouts."""

import threading
import time

import numpy as np
import tensorflow as tf

from data import atari
from trainers.teachers.actor_critic import Rollout, discounted_returns

# What an actor's time goes into.
TASKS = ("time_emulating", "time_acting", "time_learning")
_EMULATION, _ACTING, _LEARNING = range(len(TASKS))
# Seeds of the games: far enough apart for any number of environments.
_SEED_STRIDE = 100_003


class StepCounter:
  """Counts the steps of all actors.

  Attributes:
    value: steps taken or claimed so far.
    limit: no rollout begins at or after this step.
    total: steps of the whole run, over which the learning rate falls.
  """

  def __init__(self, value, total):
    self.value, self.limit, self.total = value, value, total
    self._lock = threading.Lock()

  def claim(self, count):
    """Takes `count` steps; False if the limit has been reached."""
    with self._lock:
      if self.value >= self.limit:
        return False
      self.value += count
      return True


class Actor:
  """Plays E games and learns from each rollout of T steps.

  The emulators work on the first step of a rollout while the rollout before is
  learnt from: the first of T actions is chosen by the weights from before that
  update.

  Attributes:
    counter: the `StepCounter` that all actors share.
    is_finite: False once any actor's gradient was not.
    seconds: numpy array, time spent on each of `TASKS`; emulating is the time
      that an actor has to wait for.
  """

  def __init__(self, config, game, learner, counter, index):
    """Starts the games.

    Args:
      config: settings with the fields of `train.Config`.
      game: an `atari.Game`.
      learner: the shared `ActorCritic`.
      counter: the shared `StepCounter`.
      index: which actor this is.
    """
    self.counter = counter
    self.is_finite = True
    self.seconds = np.zeros(len(TASKS))
    self._config, self._learner = config, learner
    first_seed = config.seed * _SEED_STRIDE + index * config.num_environments
    # A resumed run must not play the same games again.
    first_seed += counter.value % _SEED_STRIDE
    self._games = atari.Environments(game, config.num_environments, first_seed)
    # Counts this actor's draws; with the index in front they never coincide.
    self._draw = np.array([config.seed * 1_000 + index, counter.value])
    self._frames = self._games.reset()
    self._actions, self._values = self._act()
    self._running = np.zeros(config.num_environments)
    self._scores, self._parts = [], []
    self._told = self.seconds.copy()

  def run(self):
    """Makes rollouts until the counter's limit is reached."""
    rollout = None
    while self.is_finite and self.counter.claim(
      self._config.rollout_length * self._config.num_environments
    ):
      rollout = self._roll(rollout)
    if rollout is not None:
      self._learn(rollout)

  def _roll(self, previous):
    """Plays one rollout, and learns from the previous one meanwhile."""
    config = self._config
    shape = (config.rollout_length, config.num_environments)
    frames = np.empty([*shape, *self._frames.shape[1:]], np.uint8)
    actions = np.empty(shape, np.int32)
    rewards, weights = np.empty(shape, np.float32), np.empty(shape, np.float32)
    is_end = np.empty(shape, bool)
    for t in range(config.rollout_length):
      frames[t], actions[t] = self._frames, self._actions
      self._games.send(self._actions)
      if t == 0 and previous is not None:
        self._learn(previous)
      begun = time.monotonic()
      step = self._games.receive()
      self.seconds[_EMULATION] += time.monotonic() - begun
      rewards[t] = np.clip(step.reward, -1, 1)
      weights[t] = ~step.was_ignored
      is_end[t] = step.is_last | step.life_lost
      self._count_scores(step)
      self._frames = step.frames
      self._actions, self._values = self._act()
    returns = discounted_returns(rewards, is_end, self._values, config.discount)
    return Rollout(frames, actions, returns, weights)

  def _act(self):
    begun = time.monotonic()
    actions, values = self._learner.act(
      tf.constant(self._frames), tf.constant(self._draw, tf.int32)
    )
    actions, values = actions.numpy(), values.numpy()
    self._draw[1] += 1
    self.seconds[_ACTING] += time.monotonic() - begun
    return actions, values

  def _learn(self, rollout):
    begun = time.monotonic()
    self.is_finite, parts = self._learner.learn(rollout, self.learning_rate())
    self._parts.append(parts)
    self.seconds[_LEARNING] += time.monotonic() - begun

  def learning_rate(self):
    """The rate at the counter's step: falls linearly to zero."""
    left = 1.0 - self.counter.value / self.counter.total
    return self._config.learning_rate * max(left, 0.0)

  def _count_scores(self, step):
    self._running += step.reward
    self._scores += self._running[step.is_last].tolist()
    self._running[step.is_last] = 0.0

  def take_scores(self):
    """Scores of the games that ended since the last call."""
    scores, self._scores = self._scores, []
    return scores

  def take_parts(self):
    """Mean of what `learn` returned since the last call."""
    parts, self._parts = self._parts, []
    return np.mean(parts, axis=0) if parts else np.zeros(4)

  def take_seconds(self):
    """Time spent on each of `TASKS` since the last call."""
    spent, self._told = self.seconds - self._told, self.seconds.copy()
    return spent

  def close(self):
    """Stops the games."""
    self._games.close()
