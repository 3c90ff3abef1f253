"""Regression on the seven optimisation benchmarks (paper §4.1, Figure 2).

    python -m trainers.regression --function=styblinski_tang --num_train=20
        --method=sobolev --seed=0 --workdir=DIR

Networks that differ in their seed alone are trained side by side, as one
batched step: `--seed=0,1,2,3,4`.
"""

import contextlib
import os

import numpy as np
import tensorflow as tf

from data import benchmark_functions
from trainers.lifecycle import command_line, files, loop, run
from trainers.lifecycle.command_line import setting
from trainers.lifecycle.pool import Pool
from trainers.regression import rates, surfaces
from trainers.regression.config import PRESETS, Config, columns
from trainers.regression.examples import (
  ExampleScaling,
  batches,
  build_examples,
  build_scaling,
  build_test_set,
  build_validation_set,
  scale_examples,
)
from trainers.regression.learner import RegressionLearner

_STEPS_PER_CALL = 500

_learners = Pool(most=8)  # the kinds of a sweep


def build_learner(config):
  """An untrained `RegressionLearner`, which nobody else has."""
  learner = _make_learner(*_kind(config))
  learner.reset(config.seed)
  return learner


def _make_learner(method, num_seeds, *settings):
  return RegressionLearner(method, range(num_seeds), *settings)


def _kind(config):
  """What the compiled steps of a `RegressionLearner` depend on."""
  return (
    config.method,
    len(config.seed),
    config.hidden_sizes,
    config.learning_rate,
    config.derivative_weight,
    config.derivative_loss,
  )


def evaluate(learner, scaling, test_set):
  """Test errors in the function's own units.

  Args:
    learner: a `RegressionLearner`.
    scaling: its `ExampleScaling`.
    test_set: x `[N, 2]`, y `[N, 1]`, dy `[N, 1, 2]`.

  Returns:
    dict of lists with one entry per network: the mean squared error of the
    value, the mean squared norm of the gradient's error, and the Sobolev
    distance (order 1, p = 2), which is the root of their sum.
  """
  x, y, dy = test_set
  values, gradients = predict(learner, scaling, x)
  value_mse = ((values - y) ** 2).mean(axis=(1, 2))
  gradient_mse = ((gradients - dy) ** 2).sum(axis=(2, 3)).mean(axis=1)
  return {
    "test_mse": value_mse.tolist(),
    "test_gradient_mse": gradient_mse.tolist(),
    "test_sobolev_distance": np.sqrt(value_mse + gradient_mse).tolist(),
  }


def predict(learner, scaling, x):
  """Values `[S, N, 1]` and gradients `[S, N, 1, 2]`, unscaled, at `[N, 2]`."""
  z = (x - scaling.x_mean) / scaling.x_scale  # [S, N, 2]
  values, gradients = learner.predict(tf.constant(z, tf.float32))
  values = scaling.y_mean + scaling.y_scale * values.numpy()
  slope = scaling.y_scale[..., np.newaxis] / scaling.x_scale[:, :, np.newaxis]
  return values, slope * gradients.numpy()


def train(config, workdir):
  """Runs one configuration, or resumes it.

  Args:
    config: a `Config`.
    workdir: folder of the run.

  Returns:
    dict of the final test errors, lists with one entry per seed.

  Raises:
    CommandError: the folder does not fit.
    run.Stopped: a signal arrived; the state is saved.
    run.NotFinite: the loss was not finite; the state before is saved.
  """
  with run.open_run(
    workdir, config, columns(config), series="seed"
  ) as this_run:
    if this_run.finished:
      this_run.say("This run is finished already.")
      return this_run.result
    with _learners.borrow(_make_learner, *_kind(config)) as learner:
      learner.reset(config.seed)
      result = _train(this_run, learner)
    this_run.finish(result)
    return result


def _train(this_run, learner):
  """Trains, and writes the networks; returns the final test errors."""
  config, objects = this_run.config, learner.trackables()
  examples = build_examples(config)
  scaling = build_scaling(config, examples)
  examples = scale_examples(examples, scaling)
  test_set = build_test_set(config)
  held_out = build_validation_set(config) if config.num_validation else None

  def measure():
    errors = evaluate(learner, scaling, test_set)
    if held_out:
      found = evaluate(learner, scaling, held_out)
      errors["validation_mse"] = found["test_mse"]
    return errors

  def advance(first, last):
    data = [tf.constant(a) for a in batches(examples, config, first, last)]
    losses, made = learner.train_steps(*data, tf.constant(last - first))
    return first + int(made), losses.numpy()

  def test(step, losses):
    errors = measure()
    _log(this_run, step, losses, errors)
    return errors

  errors = (
    loop.train(
      this_run,
      this_run.restore(objects),
      objects,
      advance,
      test,
      _STEPS_PER_CALL,
      "Lower --learning_rate or use --scaling=standard in another --workdir.",
    )
    or measure()
  )  # resumed after the last step
  _save_networks(this_run, learner, scaling)
  _show_surface(this_run, learner, scaling)
  return errors


def _log(this_run, step, losses, errors):
  for index, seed in enumerate(this_run.config.seed):
    row = {name: values[index] for name, values in errors.items()}
    row["train_loss"] = float(losses[index])
    this_run.log(step, row, series=seed)


def _save_networks(this_run, learner, scaling):
  """Writes the trained networks as plain arrays, for figures and others."""
  arrays = {
    variable.name.split(":")[0]: variable.numpy()
    for variable in learner.network.trainable_variables
  }
  path = os.path.join(this_run.workdir, "networks.npz")
  np.savez(path, **arrays, **scaling._asdict())


def _show_surface(this_run, learner, scaling):
  """Puts the first seed's surface beside the function into TensorBoard."""
  config = this_run.config
  function = benchmark_functions.get_function(config.function)
  grid = surfaces.Grid.over(function)
  values, gradients = predict(learner, scaling, grid.points)
  title = f"{config.method}, {config.num_train} points, seed {config.seed[0]}"
  points = benchmark_functions.sample_points(
    function, config.num_train, [config.seed[0], 0]
  )
  picture = surfaces.draw_comparison(
    grid,
    [
      surfaces.true_column(function, grid),
      surfaces.Column(title, values[0], gradients[0], points),
    ],
  )
  this_run.log_image("surface", picture, config.num_steps)


@contextlib.contextmanager
def load_networks(workdir, config):
  """Lends the trained networks of a finished run.

  Args:
    workdir: folder of the run.
    config: its `Config`.

  Yields:
    A `RegressionLearner` with the weights, and its `ExampleScaling`.

  Raises:
    CommandError: the file of the networks is missing, damaged or another's.
  """
  path = os.path.join(workdir, "networks.npz")
  with _learners.borrow(_make_learner, *_kind(config)) as learner:
    try:
      scaling = _fill(learner, path)
    # Whatever zipfile, zlib, NumPy and TensorFlow raise on a damaged archive.
    except Exception as error:
      reason = (str(error) or type(error).__name__).splitlines()[0]
      raise command_line.CommandError(
        f"{path} cannot be read ({reason}); restore it, or train the run anew."
      ) from error
    yield learner, scaling


def _fill(learner, path):
  with open(path, "rb", opener=files.regular) as file:
    with np.load(file, allow_pickle=False) as arrays:
      for variable in learner.network.trainable_variables:
        variable.assign(arrays[variable.name.split(":")[0]])
      return ExampleScaling(*(arrays[name] for name in ExampleScaling._fields))


def main(argv):
  """Trains every configuration that the command line names."""
  description = "rates.csv whose choices replace learning_rate"
  extra = {"rates": setting("", description)}
  command = command_line.parse(argv, Config, PRESETS, __doc__, extra)
  if path := command.arguments["rates"]:
    if "learning_rate" in command.given:
      raise command_line.CommandError(
        "--learning_rate and --rates are both given, and the latter chooses "
        "learning rates; leave one of them out."
      )
    configs = rates.apply_rates(command.configs, path)
    command = command._replace(configs=configs)
  return loop.run_all(command, train, _describe)


def _describe(config, result):
  errors = ", ".join(f"{value:.4g}" for value in result["test_mse"])
  seeds = ", ".join(map(str, config.seed))
  return (
    f"{config.function}, {config.num_train:,} points, {config.method}: test "
    f"MSE {errors} (seed {seeds})"
  )
