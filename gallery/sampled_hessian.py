"""Second order at scale: one random Hessian-vector product per point and step.

A Hessian of D inputs has D products to match; one random direction, drawn anew
at every step, is right on average. Solvers give such products at the price of
a gradient.
"""

import pathlib

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import sobolev_tf

INPUTS, POINTS, STEPS = 5, 40, 1000
rng = np.random.default_rng(0)
MATRIX = tf.constant(0.8 * rng.normal(size=[INPUTS, 4]), tf.float32)


def label(count):
  """Points, and sin(x A) added up with its gradient and its Hessian."""
  x = rng.uniform(-1, 1, [count, INPUTS]).astype(np.float32)
  terms = sobolev_tf.derivatives(
    lambda z: tf.reduce_sum(tf.sin(z @ MATRIX), axis=1, keepdims=True), x, 2
  )
  return x, [term.numpy() for term in terms]


x, (y, dy, d2y) = label(POINTS)
x_test, truth = label(2000)


def gradients(step):
  """Labels without second order."""
  del step
  return {"y": y, "dy": dy}


def hessians(step):
  """Labels with all of it."""
  del step
  return {"y": y, "dy": dy, "d2y": d2y}


def products(step):
  """Labels with `H u` for a random u at every point."""
  u = tf.random.stateless_normal([POINTS, INPUTS], [0, step])
  return {"y": y, "dy": dy, "hvp": (u, tf.einsum("bij,bj->bi", d2y[:, 0], u))}


def error_of(labels, weight):
  """The value's error on held-out points after training on such labels."""
  keras.utils.set_random_seed(0)
  hidden = [keras.layers.Dense(64, "tanh") for _ in range(2)]
  network = keras.Sequential([*hidden, keras.layers.Dense(1)])
  model = sobolev_tf.SobolevModel(network, order=2)
  rate = keras.optimizers.schedules.CosineDecay(5e-3, STEPS)
  model.compile(
    keras.optimizers.Adam(rate),
    derivative_weights=[1.0, weight],
    steps_per_execution=100,  # that many in one call: they are short
  )
  data = tf.data.Dataset.range(STEPS).map(lambda i: (x, labels(i)))
  model.fit(data, verbose=0)
  found = model.predict(x_test, verbose=0)
  return np.sqrt(np.mean((found - truth[0]) ** 2)) / np.std(truth[0])


errors = {
  "gradients": error_of(gradients, 0.0),
  "and Hessians": error_of(hessians, 0.1),
  "and one product": error_of(products, 0.1),
}
for name, error in errors.items():
  print(f"{name}: error {100 * error:.2f} %")
assert errors["and one product"] < 1.05 * errors["and Hessians"], errors

figure, axes = plt.subplots(figsize=(5, 3.2), layout="constrained")
axes.bar(list(errors), [100 * error for error in errors.values()])
axes.set(ylabel="error of the value, %", title="5 inputs, 40 points")
figure.savefig(pathlib.Path(__file__).with_suffix(".png"), dpi=100)
