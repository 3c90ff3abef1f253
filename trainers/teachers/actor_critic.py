"""The actor-critic's network, optimizer and compiled functions.

One set of variables serves all actors; each computes its gradient and applies
it at once, without coordination (Mnih et al. 2016, which the paper's §4.2 takes
its teachers from).
"""

import typing

import numpy as np
import tensorflow as tf

from sobolev_tf.networks.atari import (
  INPUT_SHAPE,
  TeacherNetwork,
  frames_to_input,
)
from sobolev_tf.training.optimizers import SharedRMSProp
from trainers.lifecycle.guard import Guard, size_of, update_if


class Rollout(typing.NamedTuple):
  """T steps of E environments, and the value of what comes after them.

  Attributes:
    frames: uint8 `[T, E, 84, 84, 4]`.
    actions: int32 `[T, E]`.
    returns: float32 `[T, E]`, see `discounted_returns`.
    weights: float32 `[T, E]`, 0 where the action was ignored, 1 elsewhere.
  """

  frames: np.ndarray
  actions: np.ndarray
  returns: np.ndarray
  weights: np.ndarray


def discounted_returns(rewards, is_end, bootstrap, discount):
  """`R_t = r_t + discount * R_{t+1}`, cut where an episode or a life ends.

  Args:
    rewards: `[T, E]`.
    is_end: bool `[T, E]`, nothing that comes after step t counts for it.
    bootstrap: `[E]`, value of the state after the last step.
    discount: per step.

  Returns:
    float32 `[T, E]`.
  """
  returns = np.empty(rewards.shape, np.float32)
  following = np.asarray(bootstrap, np.float32)
  for t in reversed(range(len(rewards))):
    following = rewards[t] + discount * np.where(is_end[t], 0.0, following)
    returns[t] = following
  return returns


def actor_critic_loss(
  logits, values, actions, returns, weights, entropy_weight, value_weight
):
  """The loss of each step, and its parts (Mnih et al. 2016, §4).

  `-log pi(a|s) (R - V) - entropy_weight H(pi) + value_weight (R - V)^2`; the
  advantage R - V is a constant for the policy.

  Args:
    logits: `[B, A]`.
    values: `[B]`.
    actions: int32 `[B]`.
    returns: `[B]`.
    weights: `[B]`, factor on a step's loss.
    entropy_weight: number.
    value_weight: number.

  Returns:
    loss `[B]`, and the parts: log-probability times advantage, squared
    advantage, entropy, each `[B]` and without the weights.
  """
  log_policy = tf.nn.log_softmax(logits)
  chosen = tf.gather(log_policy, actions, axis=1, batch_dims=1)
  advantage = returns - values
  score = chosen * tf.stop_gradient(advantage)
  entropy = -tf.reduce_sum(tf.exp(log_policy) * log_policy, axis=1)
  error = tf.square(advantage)
  loss = -score - entropy_weight * entropy + value_weight * error
  return weights * loss, (score, error, entropy)


class ActorCritic:
  """Network, optimizer, and the functions that all actors share.

  Attributes:
    network: a `TeacherNetwork`.
    optimizer: a `SharedRMSProp`.
  """

  def __init__(self, config, num_actions):
    """Builds and traces everything; call it before any thread starts.

    Args:
      config: settings with the fields of `train.Config`.
      num_actions: size of the policy.
    """
    self.network = TeacherNetwork(num_actions, config.seed)
    self.optimizer = SharedRMSProp(
      config.learning_rate, config.decay, config.epsilon
    )
    self.optimizer.build(self.network.trainable_variables)
    self._guard = Guard()
    self._entropy_weight = config.entropy_weight
    self._value_weight = config.value_weight
    self._clip = config.clip
    self._sums = config.reduction == "sum"
    self._seed = config.seed
    frames = tf.TensorSpec([config.num_environments, *INPUT_SHAPE], tf.uint8)
    self.act = tf.function(self._act, autograph=False).get_concrete_function(
      frames, tf.TensorSpec([2], tf.int32)
    )
    count = config.rollout_length * config.num_environments
    update = tf.function(self._update, autograph=False)
    self._learn = update.get_concrete_function(
      tf.TensorSpec([count, *INPUT_SHAPE], tf.uint8),
      tf.TensorSpec([count], tf.int32),
      tf.TensorSpec([count], tf.float32),
      tf.TensorSpec([count], tf.float32),
      tf.TensorSpec([], tf.float32),
    )

  def trackables(self):
    """What a checkpoint holds."""
    return {"network": self.network, "optimizer": self.optimizer}

  def _act(self, frames, counter):
    """Samples actions; `counter` makes the draw a function of the step."""
    logits, values = self.network.policy_and_value(frames_to_input(frames))
    # The highest of logits with Gumbel noise is a draw from the policy.
    uniform = tf.random.stateless_uniform(
      tf.shape(logits), counter, minval=1e-20, maxval=1.0
    )
    noise = -tf.math.log(-tf.math.log(uniform))
    return tf.argmax(logits + noise, axis=1, output_type=tf.int32), values

  def learn(self, rollout, learning_rate):
    """Applies one rollout's gradient, unless the guard refuses it.

    Args:
      rollout: a `Rollout`.
      learning_rate: number.

    Returns:
      whether the update was made, and a numpy array of the means over the steps
      that count: log-probability times advantage, squared advantage, entropy;
      and the gradient's norm before it was clipped. Once a gradient was not
      finite, no actor's changes anything.
    """
    count = rollout.actions.size
    is_made, parts = self._learn(
      tf.constant(rollout.frames.reshape(count, *INPUT_SHAPE)),
      tf.constant(rollout.actions.reshape(count)),
      tf.constant(rollout.returns.reshape(count)),
      tf.constant(rollout.weights.reshape(count)),
      tf.constant(learning_rate, tf.float32),
    )
    return bool(is_made), parts.numpy()

  def _update(self, frames, actions, returns, weights, learning_rate):
    count = tf.maximum(tf.reduce_sum(weights), 1.0)
    with tf.GradientTape() as tape:
      logits, values = self.network.policy_and_value(frames_to_input(frames))
      losses, parts = actor_critic_loss(
        logits,
        values,
        actions,
        returns,
        weights,
        self._entropy_weight,
        self._value_weight,
      )
      loss = tf.reduce_sum(losses)
      if not self._sums:
        loss /= count
    variables = self.network.trainable_variables
    gradients = tape.gradient(loss, variables)
    norm = tf.linalg.global_norm(gradients)
    is_made = self._guard.admits(size_of(loss, gradients))

    def apply():
      clipped, _ = tf.clip_by_global_norm(gradients, self._clip, norm)
      self.optimizer.apply(clipped, variables, learning_rate)

    update_if(is_made, apply)
    means = [tf.reduce_sum(weights * part) / count for part in parts]
    return is_made, tf.stack([*means, norm])
