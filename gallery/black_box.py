"""Derivative labels for a simulator that only returns numbers.

`targets_from_black_box` calls it at shifted points. A pendulum is integrated
by SciPy; how its angle after three seconds depends on where it started is
learnt from 30 starts.
"""

import pathlib

import keras
import matplotlib.pyplot as plt
import numpy as np
import scipy.integrate

import sobolev_tf


def simulate(start):
  """The angle after 3 s from one start: angle and angular velocity."""
  result = scipy.integrate.solve_ivp(
    lambda t, z: [z[1], -9.81 * np.sin(z[0]) - 0.2 * z[1]],
    (0, 3),
    start,
    rtol=1e-8,
    atol=1e-8,
  )
  return result.y[0, -1]


rng = np.random.default_rng(0)
x = rng.uniform(-1.5, 1.5, [30, 2])
y, dy = sobolev_tf.targets_from_black_box(simulate, x, batched=False)
x_test = rng.uniform(-1.5, 1.5, [100, 2])
y_test = np.array([simulate(start) for start in x_test])

errors, found = {}, {}
for name, weight in (("values alone", 0), ("with differences", 1.0)):
  keras.utils.set_random_seed(0)
  dense = keras.layers.Dense
  network = keras.Sequential([dense(32, "tanh"), dense(32, "tanh"), dense(1)])
  model = sobolev_tf.SobolevModel(network, scaling="standard")
  model.compile(keras.optimizers.Adam(1e-2), derivative_weights=weight)
  model.fit_full_batch(x, (y, dy), updates=1000, l2=1e-5)
  found[name] = model.predict(x_test, verbose=0)[:, 0]
  errors[name] = np.sqrt(np.mean((found[name] - y_test) ** 2))
  print(f"{name}: RMSE {errors[name]:.4f} rad")
assert errors["with differences"] < 0.5 * errors["values alone"], errors

figure, axis = plt.subplots(figsize=(5, 4), layout="constrained")
for marker, (name, values) in zip("x.", found.items(), strict=True):
  axis.plot(y_test, values, marker, markersize=4, label=name)
axis.axline((0, 0), slope=1, color="grey", linewidth=1)
axis.set(xlabel="angle after 3 s, rad", ylabel="predicted, rad")
axis.legend()
axis.set_title("A pendulum from 30 starts")
figure.savefig(pathlib.Path(__file__).with_suffix(".png"), dpi=100)
