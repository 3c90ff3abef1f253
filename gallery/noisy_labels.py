"""Noisy and missing partial derivatives.

NaN in a label means "unknown": here a third of the partials is missing, and the
rest carry 5 % of noise. What is known still helps.
"""

import pathlib

import keras
import matplotlib.pyplot as plt
import numpy as np

import sobolev_tf

rng = np.random.default_rng(0)


def branin(x):
  """Branin's function and its gradient on [-5, 10] x [0, 15]."""
  a, b = x[:, 0], x[:, 1]
  inner = b - 5.1 / (4 * np.pi**2) * a**2 + 5 / np.pi * a - 6
  outer = 10 * (1 - 1 / (8 * np.pi))
  y = inner**2 + outer * np.cos(a) + 10
  slope = -10.2 / (4 * np.pi**2) * a + 5 / np.pi
  return y, np.stack([2 * inner * slope - outer * np.sin(a), 2 * inner], 1)


def points(count):
  """Uniform in the domain."""
  return rng.uniform([-5, 0], [10, 15], [count, 2])


x = points(50)
y, dy = branin(x)
dy = dy + 0.05 * dy.std(axis=0) * rng.normal(size=dy.shape)
dy[rng.random(dy.shape) < 1 / 3] = np.nan
x_test = points(2000)
y_test, _ = branin(x_test)

errors = {}
for name, weight in (("values alone", 0), ("with partials", 1.0)):
  keras.utils.set_random_seed(0)
  dense = keras.layers.Dense
  network = keras.Sequential([dense(32, "tanh"), dense(32, "tanh"), dense(1)])
  model = sobolev_tf.SobolevModel(network, scaling="standard")
  model.compile(keras.optimizers.Adam(1e-2), derivative_weights=weight)
  model.fit_full_batch(x, (y, dy), updates=1000, l2=1e-5)
  predicted = model.predict(x_test, verbose=0)[:, 0]
  errors[name] = np.sqrt(np.mean((predicted - y_test) ** 2)) / np.std(y_test)
  print(f"{name}: normalised error {errors[name]:.3f}")
assert errors["with partials"] < 0.5 * errors["values alone"], errors

side = np.linspace(-5, 10, 80), np.linspace(0, 15, 80)
grid = np.stack(np.meshgrid(*side), axis=-1).reshape(-1, 2)
figure, axes = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained")
for axis, values, title in (
  (axes[0], branin(grid)[0], "Branin"),
  (axes[1], model.predict(grid, verbose=0)[:, 0], "from 50 points"),
):
  drawn = axis.contourf(*side, values.reshape(80, 80), 20, vmin=0, vmax=300)
  axis.set(title=title, xlabel="x1", ylabel="x2")
known = ~np.isnan(dy).any(axis=1)
axes[1].plot(*x[known].T, "w.", label="both partials known")
axes[1].plot(*x[~known].T, "r.", label="one or both missing")
figure.legend(loc="outside lower center", ncols=2, facecolor="0.6")
figure.colorbar(drawn, ax=axes)
figure.savefig(pathlib.Path(__file__).with_suffix(".png"), dpi=100)
