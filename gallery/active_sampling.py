"""Where to ask next: points that an ensemble disagrees about.

A label costs a run of a simulator. Networks that start differently learn the
same labels; where their values and slopes differ, and no label is near, the
next one teaches most. `python -m benchmarks.active_sampling` counts labels on
seven functions.
"""

import pathlib

import keras
import matplotlib.pyplot as plt
import numpy as np

import sobolev_tf

MEMBERS, FIRST, BATCH, CHOSEN, RANDOM = 2, 8, 10, 28, 40
rng = np.random.default_rng(0)


def label(x):
  """McCormick's function on the square [-1, 1]^2, and its slopes."""
  a, b = 2.75 * x[:, 0] + 1.25, 3.5 * x[:, 1] + 0.5
  y = np.sin(a + b) + (a - b) ** 2 - 1.5 * a + 2.5 * b + 1
  da = np.cos(a + b) + 2 * (a - b) - 1.5
  db = np.cos(a + b) - 2 * (a - b) + 2.5
  return y, np.stack([2.75 * da, 3.5 * db], axis=1)


def train(x):
  """Networks that start differently and learn the same labels."""
  ensemble, dense = [], keras.layers.Dense
  for seed in range(MEMBERS):
    keras.utils.set_random_seed(seed)
    network = keras.Sequential([dense(12, "tanh"), dense(12, "tanh"), dense(1)])
    model = sobolev_tf.SobolevModel(network, scaling="standard")
    model.compile(derivative_weights=0.2)
    model.fit_full_batch(
      x, label(x), method="levenberg_marquardt", updates=30, jit_compile=False
    )
    ensemble.append(model)
  return ensemble


def extend(x):
  """The points and those of random candidates that teach most."""
  # Some candidates lie on the edges, where a network has to extrapolate.
  candidates = np.clip(rng.uniform(-1.1, 1.1, [600, 2]), -1, 1)
  pairs = [sobolev_tf.derivatives(m, candidates) for m in train(x)]
  values, slopes = (np.array(part) for part in zip(*pairs, strict=True))
  spread = values.var(axis=0)[:, 0] + slopes.var(axis=0).sum(axis=(1, 2))
  for _ in range(BATCH):
    away = np.linalg.norm(candidates[:, np.newaxis] - x, axis=2).min(axis=1)
    x = np.concatenate([x, candidates[[np.argmax(np.sqrt(spread) * away)]]])
  return x


def error_from(x):
  """The ensemble's error on a grid, in deviations of the function."""
  values = [model(grid)[:, 0] for model in train(x)]
  return np.sqrt(np.mean((np.mean(values, axis=0) - truth) ** 2)) / truth.std()


side = np.linspace(-1, 1, 40)
grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
truth = label(grid)[0]
by_chance = rng.uniform(-1, 1, [RANDOM, 2])
chosen = by_chance[:FIRST]
while len(chosen) < CHOSEN:
  chosen = extend(chosen)
errors = error_from(by_chance), error_from(chosen)
print(
  f"error {errors[0]:.2%} from {RANDOM} random points, {errors[1]:.2%} from "
  f"{CHOSEN} chosen ones"
)
assert errors[1] < errors[0], errors

figure, axes = plt.subplots(1, 2, figsize=(8, 3.8), layout="constrained")
for axis, x, error in zip(axes, (by_chance, chosen), errors, strict=True):
  axis.contourf(side, side, truth.reshape(40, 40), 20)
  axis.plot(*x[FIRST:].T, "r^", label="asked next", clip_on=False)
  axis.plot(*x[:FIRST].T, "wo", mec="k", label="first 8", clip_on=False)
  axis.set(title=f"{len(x)} points: error {error:.2%}")
axes[0].set(ylabel="by chance")
axes[1].set(ylabel="where the networks disagree")
names = axes[1].get_legend_handles_labels()
figure.legend(*names, loc="outside lower center", ncols=2)
figure.savefig(pathlib.Path(__file__).with_suffix(".png"), dpi=100)
