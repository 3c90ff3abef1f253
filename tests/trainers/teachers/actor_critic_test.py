"""The actor-critic's formulas against closed forms and plain loops."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from sobolev_tf.derivatives.finite_differences import finite_differences
from trainers.teachers import train as a3c
from trainers.teachers.actor_critic import (
  ActorCritic,
  Rollout,
  actor_critic_loss,
  discounted_returns,
)

RNG = np.random.default_rng(0)
CONFIG = dataclasses.replace(
  a3c.PRESETS["smoke"], rollout_length=3, num_environments=2
)


def rollout_of(seed=0, weights=None):
  rng = np.random.default_rng(seed)
  return Rollout(
    rng.integers(0, 256, [3, 2, 84, 84, 4], np.uint8),
    rng.integers(0, 4, [3, 2]).astype(np.int32),
    rng.normal(size=[3, 2]).astype(np.float32),
    np.ones([3, 2], np.float32) if weights is None else weights,
  )


def test_returns_equal_the_sum_as_it_is_written():
  rewards, bootstrap = RNG.normal(size=[6, 4]), RNG.normal(size=4)
  is_end = RNG.random([6, 4]) < 0.3
  is_end[5, 0], is_end[5, 1] = True, False
  found = discounted_returns(rewards, is_end, bootstrap, 0.9)
  for start in range(6):
    for e in range(4):
      total, factor = 0.0, 1.0
      for t in range(start, 6):
        total += factor * rewards[t, e]
        factor *= 0.9
        if is_end[t, e]:
          break
      else:
        total += factor * bootstrap[e]
      np.testing.assert_allclose(found[start, e], total, rtol=1e-5)


def random_problem(count=5):
  return {
    "logits": tf.constant(RNG.normal(size=[count, 3])),
    "values": tf.constant(RNG.normal(size=count)),
    "actions": tf.constant(RNG.integers(0, 3, count), tf.int32),
    "returns": tf.constant(RNG.normal(size=count)),
    "weights": tf.constant([1.0, 0.0, 1.0, 0.5, 1.0], tf.float64),
  }


def test_loss_is_the_written_one():
  problem = random_problem()
  loss, (score, error, entropy) = actor_critic_loss(
    **problem, entropy_weight=0.3, value_weight=0.7
  )
  p = {name: value.numpy() for name, value in problem.items()}
  policy = np.exp(p["logits"])
  policy /= policy.sum(axis=1, keepdims=True)
  chosen = policy[np.arange(5), p["actions"]]
  advantage = p["returns"] - p["values"]
  wanted_entropy = -np.sum(policy * np.log(policy), axis=1)
  np.testing.assert_allclose(score, np.log(chosen) * advantage, rtol=1e-12)
  np.testing.assert_allclose(error, advantage**2, rtol=1e-12)
  np.testing.assert_allclose(entropy, wanted_entropy, rtol=1e-12)
  wanted = -np.log(chosen) * advantage - 0.3 * wanted_entropy
  wanted = p["weights"] * (wanted + 0.7 * advantage**2)
  np.testing.assert_allclose(loss, wanted, rtol=1e-12)


def test_gradients_have_the_policy_gradients_sign_and_size():
  problem = random_problem()
  logits, values = problem.pop("logits"), problem.pop("values")
  with tf.GradientTape() as tape:
    tape.watch([logits, values])
    loss, _ = actor_critic_loss(
      logits, values, **problem, entropy_weight=0.0, value_weight=0.7
    )
  of_logits, of_values = tape.gradient(loss, [logits, values])
  weights = problem["weights"].numpy()
  advantage = problem["returns"].numpy() - values.numpy()
  policy = tf.nn.softmax(logits).numpy()
  taken = np.eye(3)[problem["actions"].numpy()]
  np.testing.assert_allclose(
    of_logits, (weights * advantage)[:, None] * (policy - taken), atol=1e-12
  )
  # The value learns from its own error alone, not from the policy's term.
  np.testing.assert_allclose(
    of_values, -2 * 0.7 * weights * advantage, atol=1e-12
  )


def test_entropy_pushes_toward_the_uniform_policy():
  problem = random_problem()
  problem["returns"] = problem["values"]  # no advantage
  logits = problem.pop("logits")

  def loss_of(z):
    return actor_critic_loss(
      z, **problem, entropy_weight=0.3, value_weight=0.7
    )[0]

  with tf.GradientTape() as tape:
    tape.watch(logits)
    loss = loss_of(logits)
  gradient = tape.gradient(loss, logits)
  jacobian = finite_differences(
    lambda z: loss_of(tf.constant(z)).numpy()[:, None], logits.numpy()
  ).derivative
  np.testing.assert_allclose(gradient, jacobian[:, 0], atol=1e-7)
  smaller = logits - 0.1 * gradient
  entropies = [
    -tf.reduce_sum(tf.nn.softmax(z) * tf.nn.log_softmax(z), axis=1).numpy()
    for z in (logits, smaller)
  ]
  counts = problem["weights"].numpy() > 0
  assert np.all(entropies[1][counts] > entropies[0][counts])


def plain_update(config, learner, rollout, rate):
  """New weights and statistics, computed without the learner's own code."""
  network = learner.network
  count = rollout.actions.size
  s = rollout.frames.reshape(count, 84, 84, 4).astype(np.float32) / 255
  with tf.GradientTape() as tape:
    logits, values = network.policy_and_value(tf.constant(s))
    loss, _ = actor_critic_loss(
      logits,
      values,
      rollout.actions.reshape(count),
      rollout.returns.reshape(count),
      rollout.weights.reshape(count),
      config.entropy_weight,
      config.value_weight,
    )
    loss = tf.reduce_sum(loss)
    if config.reduction == "mean":
      loss /= rollout.weights.sum()
  variables = network.trainable_variables
  gradients = [g.numpy() for g in tape.gradient(loss, variables)]
  norm = np.sqrt(sum(np.sum(g.astype(np.float64) ** 2) for g in gradients))
  scale = min(1.0, config.clip / norm)
  new = []
  for w, g, s in zip(
    variables, gradients, learner.optimizer.slots[0], strict=True
  ):
    g, s = scale * g, s.numpy()
    s = config.decay * s + (1 - config.decay) * g**2
    new.append((w.numpy() - rate * g / np.sqrt(s + config.epsilon), s))
  return new, norm


@pytest.mark.parametrize(
  "changes",
  [
    {"clip": 0.01},
    {"clip": 1e9, "reduction": "sum", "epsilon": 0.1},
  ],
)
def test_learning_is_clipped_rmsprop_on_the_loss(changes):
  config = dataclasses.replace(CONFIG, **changes)
  learner = ActorCritic(config, 4)
  for v in learner.network.trainable_variables:
    if v.name.endswith("b:0"):
      v.assign(tf.random.stateless_normal(v.shape, [1, 2]) / 10)
  weights = np.array([[1, 0], [1, 1], [1, 1]], np.float32)
  for seed in range(2):  # the second with statistics that are not ones
    rollout = rollout_of(seed, weights)
    wanted, norm = plain_update(config, learner, rollout, 0.01)
    _, parts = learner.learn(rollout, 0.01)
    np.testing.assert_allclose(parts[3], norm, rtol=1e-4)
    for v, s, (w, t) in zip(
      learner.network.trainable_variables,
      learner.optimizer.slots[0],
      wanted,
      strict=True,
    ):
      np.testing.assert_allclose(v, w, atol=2e-6)
      np.testing.assert_allclose(s, t, rtol=1e-4, atol=1e-6)


def test_ignored_steps_change_nothing():
  weights = np.array([[1, 0], [1, 1], [0, 1]], np.float32)
  ends = []
  for seed in (1, 2):
    rollout = rollout_of(0, weights)
    noise = rollout_of(seed)
    off = weights == 0
    rollout.frames[off] = noise.frames[off]
    rollout.returns[off] = noise.returns[off]
    learner = ActorCritic(CONFIG, 4)
    learner.learn(rollout, 0.01)
    ends.append([v.numpy() for v in learner.network.variables])
  for a, b in zip(*ends, strict=True):
    np.testing.assert_array_equal(a, b)


def test_infinite_gradients_are_not_applied():
  learner = ActorCritic(CONFIG, 4)
  before = [v.numpy() for v in learner.network.variables]
  rollout = rollout_of()
  rollout.returns[0, 0] = np.inf
  is_made, parts = learner.learn(rollout, 0.01)
  assert not is_made and not np.isfinite(parts).all()
  # Nobody goes on before the run has been told.
  is_made, parts = learner.learn(rollout_of(), 0.01)
  assert not is_made and np.isfinite(parts).all()
  for a, b in zip(learner.network.variables, before, strict=True):
    np.testing.assert_array_equal(a, b)
  assert learner.optimizer.iterations.numpy() == 0


def test_actions_are_drawn_from_the_policy_and_the_seed():
  learner = ActorCritic(CONFIG, 4)
  learner.network.policy.w.assign(tf.zeros([512, 4]))
  wanted = np.array([0.1, 0.2, 0.3, 0.4])
  learner.network.policy.b.assign(np.log(wanted).astype(np.float32))
  frames = tf.constant(rollout_of().frames[0])
  drawn = [
    learner.act(frames, tf.constant([7, draw], tf.int32))[0].numpy()
    for draw in range(400)
  ]
  shares = np.bincount(np.concatenate(drawn), minlength=4) / 800
  np.testing.assert_allclose(shares, wanted, atol=0.05)
  again = learner.act(frames, tf.constant([7, 3], tf.int32))[0]
  np.testing.assert_array_equal(again, drawn[3])
