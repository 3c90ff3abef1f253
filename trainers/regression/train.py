"""Regression on the seven optimisation benchmarks (paper §4.1, Figure 2).

    python -m trainers.regression --function=styblinski_tang --num_train=20
        --method=sobolev --seed=0 --workdir=DIR

Networks that differ in their seed alone are trained side by side, as one
batched step: `--seed=0,1,2,3,4`.
"""

import contextlib
import dataclasses
import os
import typing

import numpy as np
import tensorflow as tf

from data import benchmark_functions
from trainers.lifecycle import command_line, loop, run
from trainers.lifecycle.pool import Pool
from trainers.lifecycle.settings import amount, count, rate, swept
from trainers.regression import figures
from trainers.regression.learner import METHODS, RegressionLearner

COLUMNS = (
  "train_loss",
  "test_mse",
  "test_gradient_mse",
  "test_sobolev_distance",
)
_TEST_SEED = 0x50B01E5  # far from any seed that a person would choose
_STEPS_PER_CALL = 500
_FUNCTIONS = tuple(benchmark_functions.FUNCTIONS)
_POINTS = {"maximum": 1_000_000}  # all of them are held in memory
_SOBOLEV = ("method", ("sobolev",))


@dataclasses.dataclass(frozen=True)
class Config:
  """Settings of one run; the defaults are the paper's."""

  function: str = swept(
    "styblinski_tang", "benchmark function", "SM §2", choices=_FUNCTIONS
  )
  num_train: int = count(
    100, "training points", "§4.1: 20, 100 and 10000", **_POINTS, sweep=True
  )
  method: str = swept(
    "sobolev",
    "regular matches values, sobolev the gradient as well",
    "§4.1",
    choices=METHODS,
  )
  seed: tuple[int, ...] = amount(
    (0, 1, 2, 3, 4),
    "one network per seed, trained side by side; fixes its points, its "
    "initial weights and its batches",
  )
  num_steps: int = count(50_000, "updates of the weights")
  batch_size: int = count(
    100, "points per update, if there are more than full_batch", sweep=True
  )
  full_batch: int = amount(
    1_000, "up to this many training points make one batch"
  )
  learning_rate: float = rate(3e-5, "of Adam", "SM §2")
  hidden_sizes: tuple[int, ...] = count(
    (256, 256), "ReLU units of each hidden layer", "§4.1", maximum=4_096
  )
  derivative_weight: float = amount(
    1.0, "weight of the gradient's loss", "§4.1", only=_SOBOLEV, sweep=True
  )
  derivative_loss: str = swept(
    "l2",
    "how the gradient is compared: l2 squared, l1 absolute differences",
    "§4.1",
    choices=("l2", "l1", "huber"),
    only=_SOBOLEV,
  )
  scaling: str = swept(
    "none",
    "standard trains on standardised points and values; errors are always "
    "reported in the function's own units",
    choices=("none", "standard"),
  )
  num_test: int = count(10_000, "test points", "SM §2", **_POINTS)
  evaluate_every: int = count(2_500, "steps between two tests")
  checkpoint_every: int = count(5_000, "steps between two checkpoints")

  def __post_init__(self):
    if len(set(self.seed)) < len(self.seed):
      raise ValueError(f"seed {self.seed} names a seed twice; give each once.")


PRESETS = {
  "paper": Config(),
  "desk": Config(),
  # Two minutes: a larger learning rate shows the effect in fewer steps.
  "quickstart": Config(
    seed=(0, 1, 2),
    num_steps=6_000,
    learning_rate=3e-4,
    evaluate_every=500,
    checkpoint_every=2_000,
  ),
  "smoke": Config(
    seed=(0, 1),
    num_steps=400,
    num_test=500,
    evaluate_every=100,
    checkpoint_every=100,
  ),
}


class Examples(typing.NamedTuple):
  """Points and labels, one set per network: `[S, N, 2]`, `[S, N, 1]`, ..."""

  x: np.ndarray
  y: np.ndarray
  dy: np.ndarray


class ExampleScaling(typing.NamedTuple):
  """Per network: `x = x_mean + x_scale * z`, likewise y; each `[S, 1, ...]`."""

  x_mean: np.ndarray
  x_scale: np.ndarray
  y_mean: np.ndarray
  y_scale: np.ndarray


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


def build_examples(config):
  """Every network's own training points with their labels, float64."""
  function = benchmark_functions.get_function(config.function)
  points = [
    benchmark_functions.sample_points(function, config.num_train, [seed, 0])
    for seed in config.seed
  ]
  labels = [benchmark_functions.label(function, x) for x in points]
  return Examples(np.stack(points), *map(np.stack, zip(*labels, strict=True)))


def build_test_set(config):
  """The test points, the same for all networks: x, y and dy, float64."""
  function = benchmark_functions.get_function(config.function)
  points = benchmark_functions.sample_points(
    function, config.num_test, _TEST_SEED
  )
  return points, *benchmark_functions.label(function, points)


def build_scaling(config, examples):
  """Standardisation from the training points, or the identity."""
  if config.scaling == "none":
    count = len(config.seed)
    zero, one = np.zeros([count, 1, 1]), np.ones([count, 1, 1])
    return ExampleScaling(
      np.zeros([count, 1, 2]), np.ones([count, 1, 2]), zero, one
    )
  return ExampleScaling(
    *_moments(examples.x),
    *_moments(examples.y),
  )


def _moments(values):
  mean = values.mean(axis=1, keepdims=True)
  deviation = values.std(axis=1, keepdims=True)
  return mean, np.where(deviation > 0, deviation, 1.0)


def scale_examples(examples, scaling):
  """What the networks are trained on: float32, by the chain rule for dy."""
  slope = scaling.x_scale[:, :, np.newaxis] / scaling.y_scale[..., np.newaxis]
  return Examples(
    ((examples.x - scaling.x_mean) / scaling.x_scale).astype(np.float32),
    ((examples.y - scaling.y_mean) / scaling.y_scale).astype(np.float32),
    (examples.dy * slope).astype(np.float32),
  )


def batches(examples, config, first, last):
  """The batches of updates `first` to `last`: a function of (seed, step).

  Returns:
    Arrays `[L, S * B, ...]`; L is 1 if all points make one batch.
  """
  count = config.num_train
  if count <= max(config.full_batch, config.batch_size):
    return [a.reshape(1, -1, *a.shape[2:]) for a in examples]
  size = config.batch_size
  per_epoch = count // size
  steps = np.arange(first, last)
  rows = []
  for network, seed in enumerate(config.seed):
    orders = {
      epoch: np.random.default_rng([seed, 1, epoch]).permutation(count)
      for epoch in range(first // per_epoch, (last - 1) // per_epoch + 1)
    }
    index = np.stack(
      [
        orders[step // per_epoch][(step % per_epoch) * size :][:size]
        for step in steps
      ]
    )  # [L, B]
    rows.append([array[network][index] for array in examples])
  return [np.concatenate(arrays, axis=1) for arrays in zip(*rows, strict=True)]


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
  with run.open_run(workdir, config, COLUMNS, series="seed") as this_run:
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

  def advance(first, last):
    data = [tf.constant(a) for a in batches(examples, config, first, last)]
    losses, made = learner.train_steps(*data, tf.constant(last - first))
    return first + int(made), losses.numpy()

  def test(step, losses):
    errors = evaluate(learner, scaling, test_set)
    _log(this_run, step, losses, errors)
    return errors

  errors = loop.train(
    this_run,
    this_run.restore(objects),
    objects,
    advance,
    test,
    _STEPS_PER_CALL,
    "Lower --learning_rate or use --scaling=standard in another --workdir.",
  ) or evaluate(learner, scaling, test_set)  # resumed after the last step
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
  grid = figures.Grid.over(function)
  values, gradients = predict(learner, scaling, grid.points)
  title = f"{config.method}, {config.num_train} points, seed {config.seed[0]}"
  points = benchmark_functions.sample_points(
    function, config.num_train, [config.seed[0], 0]
  )
  picture = figures.draw_comparison(
    grid,
    [
      figures.true_column(function, grid),
      figures.Column(title, values[0], gradients[0], points),
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
  """
  path = os.path.join(workdir, "networks.npz")
  with np.load(path, allow_pickle=False) as arrays:
    with _learners.borrow(_make_learner, *_kind(config)) as learner:
      for variable in learner.network.trainable_variables:
        variable.assign(arrays[variable.name.split(":")[0]])
      scaling = [arrays[name] for name in ExampleScaling._fields]
      yield learner, ExampleScaling(*scaling)


def main(argv):
  """Trains every configuration that the command line names."""
  command = command_line.parse(argv, Config, PRESETS, __doc__)
  return loop.run_all(command, train, _describe)


def _describe(config, result):
  errors = ", ".join(f"{value:.4g}" for value in result["test_mse"])
  seeds = ", ".join(map(str, config.seed))
  return (
    f"{config.function}, {config.num_train:,} points, {config.method}: test "
    f"MSE {errors} (seed {seeds})"
  )
