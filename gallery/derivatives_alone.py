"""Physics with derivatives alone: a potential from its force field.

A probe measures the force at 80 places and never the potential, which is known
at one place only: that fixes the constant. NaN says what was not measured.
"""

import pathlib

import keras
import matplotlib.pyplot as plt
import numpy as np

import sobolev_tf

rng = np.random.default_rng(0)
CENTRES = np.array([[-1.0, 0.0], [1.0, 0.3]])


def potential(x):
  """Two wells, and the gradient of the potential."""
  away = x[:, np.newaxis] - CENTRES  # [N, 2 wells, 2]
  wells = -np.exp(-np.sum(away**2, axis=2))  # [N, 2]
  return wells.sum(axis=1), -2 * np.sum(wells[..., np.newaxis] * away, axis=1)


x = rng.uniform(-2, 2, [80, 2])
y, dy = potential(x)
y[1:] = np.nan  # the potential is known at the first place alone

keras.utils.set_random_seed(0)
dense = keras.layers.Dense
network = keras.Sequential([dense(48, "tanh"), dense(48, "tanh"), dense(1)])
model = sobolev_tf.SobolevModel(network)
model.compile(derivative_weights=1.0)
model.fit_full_batch(x, (y, dy), method="lbfgs", updates=300)

side = np.linspace(-2, 2, 60)
grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
exact = potential(grid)[0]
found = model.predict(grid, verbose=0)[:, 0]
error = np.sqrt(np.mean((found - exact) ** 2)) / np.std(exact)
print(f"the potential's error is {100 * error:.1f} % of its spread")
assert error < 0.1, error

figure, axes = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained")
for axis, values, title in (
  (axes[0], exact, "potential"),
  (axes[1], found, "integrated from forces by the network"),
):
  drawn = axis.contourf(side, side, values.reshape(60, 60), 20)
  axis.set(title=title, xlabel="x1", ylabel="x2")
axes[1].quiver(*x.T, *-dy.T, color="white")
axes[1].plot(*x[0], "r*", markersize=12, label="potential known here")
axes[1].legend()
figure.colorbar(drawn, ax=axes)
figure.savefig(pathlib.Path(__file__).with_suffix(".png"), dpi=100)
