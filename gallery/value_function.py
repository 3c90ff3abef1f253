"""Optimal control: a value function from costs and costates.

A solver of optimal control gives, with each trajectory, the cost that remains
and the costate: the gradient of the value function. Trained on both, a network
needs a fraction of the trajectories. The problem is linear and quadratic (two
carts with a spring), so that the exact value function is known.
"""

import pathlib

import keras
import matplotlib.pyplot as plt
import numpy as np
import scipy.linalg

import sobolev_tf

rng = np.random.default_rng(0)
# Positions and velocities of two carts with a spring; the first is pushed.
A = np.eye(4) + 0.1 * np.array(
  [[0, 0, 1, 0], [0, 0, 0, 1], [-1, 1, 0, 0], [1, -1, 0, 0]]
)
B = 0.1 * np.array([[0], [0], [1.0], [0]])
Q, R = np.eye(4), np.array([[0.1]])
P = scipy.linalg.solve_discrete_are(A, B, Q, R)
GAIN = np.linalg.solve(R + B.T @ P @ B, B.T @ P @ A)


def solve(x, steps=400):
  """Costs that remain `[N]` and costates `[N, 4]` at x `[N, 4]`."""
  closed, running = A - B @ GAIN, Q + GAIN.T @ R @ GAIN
  cost, costate, sensitivity = 0, 0, np.eye(4)
  for _ in range(steps):
    cost = cost + np.einsum("ni,ij,nj->n", x, running, x)
    costate = costate + 2 * x @ running @ sensitivity
    x, sensitivity = x @ closed.T, closed @ sensitivity
  return cost, costate


def error_from(count, with_costates):
  """The value function's error from `count` trajectories."""
  cost, costate = solve(points[:count])
  keras.utils.set_random_seed(0)
  hidden = [keras.layers.Dense(32, "softplus") for _ in range(2)]
  network = keras.Sequential([*hidden, keras.layers.Dense(1)])
  model = sobolev_tf.SobolevModel(network, scaling="standard")
  model.compile(derivative_weights=1.0 if with_costates else 0.0)
  labels = (cost, costate) if with_costates else cost
  model.fit_full_batch(points[:count], labels, method="lbfgs", updates=400)
  found = model.predict(held_out, verbose=0)[:, 0]
  return np.sqrt(np.mean((found - exact) ** 2)) / np.std(exact)


points, held_out = rng.normal(size=[80, 4]), rng.normal(size=[1000, 4])
exact = np.einsum("ni,ij,nj->n", held_out, P, held_out)
counts = [10, 20, 80]
costs = [error_from(count, False) for count in counts]
costates = [error_from(count, True) for count in counts]
for count, first, second in zip(counts, costs, costates, strict=True):
  print(
    f"{count} trajectories: error {100 * first:.1f} % from costs, "
    f"{100 * second:.1f} % from costs and costates"
  )
# A quarter of the trajectories with costates beats all of them without.
assert costates[1] < costs[2], (costates, costs)

figure, axes = plt.subplots(figsize=(5, 3.6), layout="constrained")
axes.loglog(counts, costs, "o--", label="costs")
axes.loglog(counts, costates, "o-", label="costs and costates")
axes.set(xlabel="trajectories", ylabel="error of the value function")
axes.set_xticks(counts, [str(count) for count in counts])
axes.set_xticks([], minor=True)
axes.legend()
figure.savefig(pathlib.Path(__file__).with_suffix(".png"), dpi=100)
