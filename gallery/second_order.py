"""Second-order labels: values, gradients and Hessians.

Five points of a function of two variables, and everything a second-order
solver knows about them.
"""

import pathlib

import keras
import matplotlib.pyplot as plt
import numpy as np

import sobolev_tf

rng = np.random.default_rng(3)


def label(x):
  """sin(2a) cos(b), its gradient and its Hessian."""
  a, b = 2 * x[:, 0], x[:, 1]
  y = np.sin(a) * np.cos(b)
  dy = np.stack([2 * np.cos(a) * np.cos(b), -np.sin(a) * np.sin(b)], axis=1)
  mixed = -2 * np.cos(a) * np.sin(b)
  d2y = np.stack([-4 * y, mixed, mixed, -y], axis=1).reshape(-1, 2, 2)
  return y, dy, d2y


x = rng.uniform(-1.5, 1.5, [12, 2])
labels = label(x)
x_test = rng.uniform(-1.5, 1.5, [2000, 2])
y_test = label(x_test)[0]

errors = []
for order in (0, 1, 2):
  keras.utils.set_random_seed(0)
  dense = keras.layers.Dense
  network = keras.Sequential([dense(32, "tanh"), dense(32, "tanh"), dense(1)])
  model = sobolev_tf.SobolevModel(network, order=2)
  weights = [1.0 if j <= order else 0 for j in (1, 2)]
  model.compile(derivative_weights=weights)
  model.fit_full_batch(x, labels, method="lbfgs", updates=200)
  predicted = model.predict(x_test, verbose=0)[:, 0]
  errors.append(np.sqrt(np.mean((predicted - y_test) ** 2)))
  print(f"labels up to order {order}: RMSE {errors[-1]:.4f}")
assert errors[2] < 0.6 * errors[1] < 0.6 * errors[0], errors

figure, axis = plt.subplots(figsize=(5, 3.6), layout="constrained")
axis.plot(["values", "and gradients", "and Hessians"], errors, "o-")
axis.set(ylabel="test RMSE", yscale="log")
axis.set_title("Twelve points, labels of rising order")
figure.savefig(pathlib.Path(__file__).with_suffix(".png"), dpi=100)
