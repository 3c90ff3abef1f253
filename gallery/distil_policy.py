"""Distilling a Gymnasium policy of your own.

The teacher balances CartPole with a controller that was written by hand; any
callable of TensorFlow operations may teach. The student is a small network that
sees 30 states and no reward.
"""

import pathlib

import gymnasium
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import sobolev_tf


def teacher(s):
  """Logits [B, 2] of pushing left and right at states [B, 4]."""
  place, speed, angle, turning = tf.unstack(s, axis=1)
  lean = 0.15 * tf.sin(3 * place) - 0.05 * speed  # the angle to hold
  push = 2 * tf.tanh(6 * (angle - lean) + 1.2 * turning + 0.3 * place)
  return tf.stack([-push, push], axis=1)


def play(policy, seed, noise=0.0):
  """One game of at most 500 steps: (states, score)."""
  rng = np.random.default_rng(seed)
  environment = gymnasium.make("CartPole-v1")
  state, _ = environment.reset(seed=seed)
  states, is_over = [], False
  while not is_over:
    states.append(state)
    logits = policy(tf.constant(state[np.newaxis]))[0]
    action = int(logits[1] > logits[0])
    if rng.random() < noise:
      action = int(rng.integers(2))
    state, _, is_end, is_cut, _ = environment.step(action)
    is_over = is_end or is_cut
  return np.array(states), len(states)


games = [play(teacher, seed, noise=0.3)[0] for seed in range(4)]
states = np.concatenate(games).astype("float32")
states = np.random.default_rng(0).permutation(states)
train, test = states[:30], states[30:]

results = {}
for name, alpha in (("probabilities alone", 0), ("and gradients", 0.03)):
  keras.utils.set_random_seed(0)
  dense = keras.layers.Dense
  student = keras.Sequential([dense(32, "tanh"), dense(32, "tanh"), dense(2)])
  model = sobolev_tf.distillation.DistillationModel(
    student, teacher, alpha, num_projections=2
  )
  rate = keras.optimizers.schedules.CosineDecay(1e-2, 1000)
  model.compile(keras.optimizers.Adam(rate), steps_per_execution=100)
  model.fit(tf.data.Dataset.from_tensors(train).repeat(1000), verbose=0)
  results[name] = model.evaluate(test, verbose=0, return_dict=True)
  results[name]["score"] = play(student, 100)[1]
  print(name, results[name])
kl = {name: result["kl"] for name, result in results.items()}
assert kl["and gradients"] < 0.7 * kl["probabilities alone"], kl
assert results["and gradients"]["score"] > 100, results

figure, axes = plt.subplots(1, 3, figsize=(9, 3.2), layout="constrained")
for axis, measure, title in zip(
  axes,
  ("kl", "action_error", "score"),
  (
    "KL to the teacher, nats",
    "other action than the teacher",
    "steps balanced",
  ),
  strict=True,
):
  axis.bar(list(results), [r[measure] for r in results.values()])
  axis.set_title(title)
figure.savefig(pathlib.Path(__file__).with_suffix(".png"), dpi=100)
