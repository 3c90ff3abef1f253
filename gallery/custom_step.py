"""A training step of your own, with `derivatives` and `sobolev_loss`.

A Sonnet network and a loop in plain TensorFlow: "differentiate the network"
and "compare derivatives" are two functions that fit into any step.
"""

import pathlib

import keras
import matplotlib.pyplot as plt
import numpy as np
import sonnet as snt
import tensorflow as tf

import sobolev_tf

tf.random.set_seed(0)
x = tf.constant(np.linspace(-3, 3, 9)[:, np.newaxis], tf.float32)
y, dy = tf.sin(2 * x), 2 * tf.cos(2 * x)[:, :, tf.newaxis]  # [N, 1], [N, 1, 1]


def fit(weight):
  """Trains a network; returns it."""
  network = snt.nets.MLP([32, 32, 1], activation=tf.tanh)
  network(x)
  optimizer = keras.optimizers.Adam(1e-2)
  optimizer.build(network.trainable_variables)

  @tf.function
  def train(updates):
    for _ in tf.range(updates):
      with tf.GradientTape() as tape:
        found = sobolev_tf.derivatives(network, x, order=1)
        loss = sobolev_tf.sobolev_loss(found, (y, dy), weights=(1.0, weight))
        mean = tf.reduce_mean(loss.loss)
      variables = network.trainable_variables
      optimizer.apply(tape.gradient(mean, variables), variables)

  train(tf.constant(1500))
  return network


line = np.linspace(-3, 3, 300, dtype="float32")[:, np.newaxis]
errors, found = {}, {}
for name, weight in (("values alone", 0.0), ("values and slopes", 0.5)):
  found[name] = fit(weight)(tf.constant(line)).numpy()
  errors[name] = np.sqrt(np.mean((found[name] - np.sin(2 * line)) ** 2))
  print(f"{name}: RMSE {errors[name]:.4f}")
assert errors["values and slopes"] < 0.3 * errors["values alone"], errors

figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
axis.plot(line, np.sin(2 * line), "k", label="sin 2x")
for style, (name, values) in zip(("--", ":"), found.items(), strict=True):
  axis.plot(line, values, style, label=name)
axis.plot(x, y, "ko")
axis.legend()
axis.set_title("Nine points, a loop of one's own")
figure.savefig(pathlib.Path(__file__).with_suffix(".png"), dpi=100)
