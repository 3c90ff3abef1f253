"""A network of a finished regression run, in the function's own units."""

import dataclasses

import tensorflow as tf

import sobolev_tf
from trainers.lifecycle import finished
from trainers.lifecycle.command_line import CommandError
from trainers.regression import train as regression
from trainers.regression.report import REPORT


class Surface(tf.Module):
  """One of the networks side by side, from points to values in float64."""

  def __init__(self, network, scaling, index):
    """Takes its weights out.

    Args:
      network: `RegressionMLP` of S networks.
      scaling: `ExampleScaling` of them.
      index: which one.
    """
    super().__init__(name="surface")
    parameters = zip(network.weights, network.biases, strict=True)
    self._layers = [
      (tf.Variable(w[index]), tf.Variable(b[index])) for w, b in parameters
    ]
    self._scaling = [array[index] for array in scaling]

  def __call__(self, x):
    """Values `[B, 1]` at points `[B, 2]`, both float64."""
    x_mean, x_scale, y_mean, y_scale = self._scaling
    h = tf.cast((x - x_mean) / x_scale, tf.float32)
    for w, b in self._layers[:-1]:
      h = tf.nn.relu(h @ w + b)
    w, b = self._layers[-1]
    return y_mean + y_scale * tf.cast(h @ w + b, tf.float64)


def export_run(folder, output, seed=None):
  """Writes the network of one seed; see `trainers.export`."""
  runs, damages = finished.find_runs(
    folder, REPORT.kind, REPORT.numbers, REPORT.series
  )
  if len(runs) != 1 or damages:
    raise CommandError(
      damages[0] if damages else f"{folder} holds {len(runs)} runs; give one."
    )
  (run,) = runs
  config = run.config
  seed = config.seed[0] if seed is None else seed
  if seed not in config.seed:
    raise CommandError(
      f"the run has the seeds {', '.join(map(str, config.seed))}, but --seed "
      f"is {seed}."
    )
  index = config.seed.index(seed)
  with regression.load_networks(folder, config) as (learner, scaling):
    surface = Surface(learner.network, scaling, index)
  sobolev_tf.export(
    surface,
    output,
    input_shape=[2],
    dtype="float64",
    card={
      "data": f"{config.num_train} points of {config.function}",
      "settings": {**dataclasses.asdict(config), "seed": seed},
      "results": {name: run.result[name][index] for name in run.result},
      "intended_use": "a look at what the paper's networks learn",
      "limits": "ReLU: second derivatives are zero",
    },
  )
