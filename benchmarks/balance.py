"""Weights that set themselves against the best of nine fixed ones.

    python -m benchmarks.balance [--updates=2000] [--seeds=1] [--output=FILE]

The paper's seven functions, 100 training points each, a network of two hidden
layers of tanh units, and equal numbers of Adam updates. Errors are root mean
square on points of their own, relative to the labels' root mean square
deviation from their mean.
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from data.benchmark_functions import (  # noqa: E402
  FUNCTIONS,
  get_function,
  label,
  sample_points,
)
from sobolev_tf.model import SobolevModel  # noqa: E402
from sobolev_tf.training.minimisers import Adam  # noqa: E402

WEIGHTS = tuple(10.0**power for power in range(-4, 5))
METHODS = ("balanced", "conflict_free")
_POINTS, _TEST_POINTS, _UNITS, _RATE = 100, 2000, 32, 1e-2


def measure(name, updates, seeds):
  """Errors of one function's value and gradient.

  Returns:
    Dict of each of `WEIGHTS` and `METHODS` to an array `[seeds, 2]`.
  """
  function = get_function(name)
  test = _labelled(function, _TEST_POINTS, seed=1000)
  errors = {}
  for seed in range(seeds):
    train = _labelled(function, _POINTS, seed)
    weight = tf.Variable(1.0, trainable=False)
    run = _Runs(lambda step, w=weight: w.read_value(), train, updates, seed)
    for number in WEIGHTS:
      weight.assign(number)
      errors.setdefault(number, []).append(run.errors(test))
    for method in METHODS:
      run = _Runs(method, train, updates, seed)
      errors.setdefault(method, []).append(run.errors(test))
  return {key: np.array(found) for key, found in errors.items()}


class _Runs:
  """Trainings from the same initial weights, compiled once."""

  def __init__(self, weights, train, updates, seed):
    keras.utils.set_random_seed(seed)
    dense = keras.layers.Dense
    network = keras.Sequential(
      [dense(_UNITS, "tanh"), dense(_UNITS, "tanh"), dense(1)]
    )
    model = SobolevModel(network, scaling="standard", seed=seed)
    model.compile(keras.optimizers.Adam(_RATE), derivative_weights=weights)
    x, labels = model.receive(*train)
    model.prepare(x, labels)
    self._model = model
    self._minimiser = Adam(
      model,
      x,
      labels,
      sample_weight=None,
      l2=0.0,
      batch_size=None,
      updates=updates,
      updates_per_epoch=updates,
      jit_compile=None,
    )
    variables = [*model.variables, *model.optimizer.variables]
    self._initial = [(v, v.numpy()) for v in variables]

  def errors(self, test):
    """Trains and measures."""
    for variable, value in self._initial:
      variable.assign(value)
    self._minimiser.begin(0)
    self._minimiser.advance()
    if self._minimiser.failure:
      return [np.nan, np.nan]
    x, labels = test
    predicted = self._model.predict_with_derivatives(x)
    return [
      np.sqrt(np.mean((p.reshape(t.shape) - t) ** 2)) / np.std(t, axis=0).mean()
      for p, t in zip(predicted, labels, strict=True)
    ]


def _labelled(function, count, seed):
  points = np.asarray(sample_points(function, count, seed))
  values, slopes = (np.asarray(term) for term in label(function, points))
  return points, (values.reshape(count), slopes.reshape(count, 2))


def table(results, updates, seeds):
  """The report, as markdown."""
  lines = [
    "# Weights of the derivatives: set by gradients, or fixed",
    f"`python -m benchmarks.balance --updates={updates} --seeds={seeds}`: "
    f"{_POINTS} training points, two hidden layers of {_UNITS} tanh units, "
    f"{updates} Adam updates, learning rate {_RATE} to zero, "
    '`scaling="standard"`. Error on '
    f"{_TEST_POINTS} other points in % of the labels' deviation, median over "
    f"{seeds} seed(s). In brackets: in multiples of the best of nine fixed "
    "weights from 1e-4 to 1e4, which is chosen for each column on the test "
    "points.",
  ]
  for index, title in enumerate(("Value", "Gradient")):
    lines += [
      "",
      f"## {title}",
      "| | best fixed weight | weight 1 | balanced | conflict_free |",
      "|---|---|---|---|---|",
    ]
    counts = dict.fromkeys(METHODS, 0)
    for name, errors in results.items():
      medians = {k: np.median(e[:, index]) for k, e in errors.items()}
      best = min(WEIGHTS, key=lambda w: np.nan_to_num(medians[w], nan=np.inf))
      cells = [f"{100 * medians[best]:.3g} at {best:g}"]
      for key in (1.0, *METHODS):
        ratio = medians[key] / medians[best]
        cells.append(f"{100 * medians[key]:.3g} ({ratio:.2f})")
        if key in counts:
          counts[key] += bool(ratio <= 2)
      lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += [
      "",
      "Within 2 times the best: "
      + ", ".join(f"{m} on {n} of {len(results)}" for m, n in counts.items())
      + ".",
    ]
  return "\n".join(lines) + "\n"


def main():
  """Reads the command line, measures and writes the table."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("--updates", type=int, default=2000)
  parser.add_argument("--seeds", type=int, default=1)
  parser.add_argument("--functions", nargs="+", default=tuple(FUNCTIONS))
  parser.add_argument("--output", type=pathlib.Path)
  arguments = parser.parse_args()
  results = {}
  for name in arguments.functions:
    results[name] = measure(name, arguments.updates, arguments.seeds)
    report = table(results, arguments.updates, arguments.seeds)
    if arguments.output:
      arguments.output.write_text(report)
  print(report)


if __name__ == "__main__":
  main()
