"""The weight of a light aircraft's wing: ten inputs, 50 points.

The standard test function of engineering surrogates (Forrester, Sobester &
Keane, 2008), with its exact gradient by automatic differentiation.
"""

import pathlib

import matplotlib.pyplot as plt
import numpy as np
import scipy.stats
import tensorflow as tf

import sobolev_tf

# Lower and upper ends of: wing area, fuel weight, aspect ratio, sweep in
# degrees, dynamic pressure, taper, thickness, load factor, gross weight, paint.
LOW = np.array([150, 220, 6, -10, 16, 0.5, 0.08, 2.5, 1700, 0.025])
HIGH = np.array([200, 300, 10, 10, 45, 1.0, 0.18, 6.0, 2500, 0.08])
NAMES = "area fuel aspect sweep pressure taper thickness load gross paint"


def weight(x):
  """Wing weight in pounds at x [B, 10]."""
  s, fuel, a, sweep, q, taper, t, n, gross, paint = tf.unstack(x, axis=1)
  c = tf.cos(sweep * np.pi / 180)
  return (
    0.036 * s**0.758 * fuel**0.0035 * (a / c**2) ** 0.6 * q**0.006
    * taper**0.04 * (100 * t / c) ** -0.3 * (n * gross) ** 0.49
    + s * paint
  )  # fmt: skip


def points(count, seed):
  """Latin hypercube in the ten inputs' ranges."""
  unit = scipy.stats.qmc.LatinHypercube(10, seed=seed).random(count)
  return LOW + unit * (HIGH - LOW)


x = points(50, 0)
y, dy = sobolev_tf.targets_from_function(weight, x)
model = sobolev_tf.fit_surrogate(x, y, dy)
print(model.report)

x_test = points(1000, 1)
y_test, dy_test = sobolev_tf.targets_from_function(weight, x_test)
predicted, slopes = model.predict_with_derivatives(x_test)
error = np.sqrt(np.mean((predicted[:, 0] - y_test) ** 2)) / np.std(y_test)
print(f"normalised error on 1,000 new wings: {error:.4f}")
assert error < 0.03, error

figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
axes[0].plot(y_test, predicted[:, 0], ".", markersize=3)
axes[0].axline((y_test[0], y_test[0]), slope=1, color="grey", linewidth=1)
axes[0].set(xlabel="weight, lb", ylabel="predicted, lb")
effect = np.abs(slopes[:, 0] * (HIGH - LOW)).mean(axis=0)
exact = np.abs(dy_test * (HIGH - LOW)).mean(axis=0)
place = np.arange(10)
axes[1].barh(place - 0.2, exact, 0.4, label="exact")
axes[1].barh(place + 0.2, effect, 0.4, label="surrogate")
axes[1].set_yticks(place, NAMES.split())
axes[1].set(xlabel="mean |d weight / d input| x range, lb")
axes[1].legend()
figure.suptitle("Wing weight from 50 points with gradients")
figure.savefig(pathlib.Path(__file__).with_suffix(".png"), dpi=100)
