"""Points of the benchmark functions, their labels and scaling, and batches."""

import typing

import numpy as np

from data import benchmark_functions

# Far from any seed that a person would choose.
_TEST_SEED = 0x50B01E5
_VALIDATION_SEED = 0x50B01E6


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
  return _draw(config, config.num_test, _TEST_SEED)


def build_validation_set(config):
  """The held-out points for choosing a learning rate, drawn apart."""
  return _draw(config, config.num_validation, _VALIDATION_SEED)


def _draw(config, number, seed):
  function = benchmark_functions.get_function(config.function)
  points = benchmark_functions.sample_points(function, number, seed)
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
