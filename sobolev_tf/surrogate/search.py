"""Networks trained and measured on points that they have not seen."""

import dataclasses
import math

import keras
import numpy as np
import tensorflow as tf

from sobolev_tf.surrogate.evidence import anneal, train
from sobolev_tf.surrogate.examples import Examples
from sobolev_tf.surrogate.report import Errors, errors_of
from sobolev_tf.surrogate.tanh_network import TanhNetwork
from sobolev_tf.training.scaling import Scaling

_CROSS_VALIDATED_BELOW = 50
_FOLDS = 5
LARGE = 1000  # examples; above this there are fewer iterations
# Iterations with the points that were held out.
_LAST_ITERATIONS, _LAST_ITERATIONS_IF_LARGE = 12, 4
_COVERAGE = 0.9
_BLIND = 0.5  # held-out mean square error, as a share of the variance
_WIDTHS = (16, 14, 12, 10, 8)
# Multiplications of one iteration: what decides the width, and how many
# examples are used; more than that are set aside for the last iterations.
_CHEAP, _CHEAP_IF_CROSS_VALIDATED, _AFFORDABLE = 5e7, 2e7, 1e9
# The same of all networks that are trained in addition where points are few.
_ADDITIONAL, _MOST_ADDITIONAL = 1e7, 14
_FEWEST = 30


@dataclasses.dataclass(frozen=True)
class Choice:
  """Networks that use derivatives up to an order, and how good they are.

  Attributes:
    order: 0 for networks trained on values alone.
    networks: list of `Trained`, each without some of the points.
    errors: `Errors` on held-out points.
    squared: `[M]`, held-out squared errors of known values.
    interval: (factor, floor) of `Intervals`, each `[k]`, in the user's units.
    is_blind: whether the points tell nothing of each other.
  """

  order: int
  networks: list
  errors: Errors
  squared: np.ndarray
  interval: tuple
  is_blind: bool


class Search:
  """Trains networks and measures them on points that they have not seen.

  Attributes:
    scaling: the `Scaling` that all networks share.
    network: the `TanhNetwork` that all parameters are of.
  """

  def __init__(
    self, x: np.ndarray, labels: tuple, members: int, seed: int
  ) -> None:
    """Takes x `[N, d]` and labels `(y [N, k], dy [N, k, d], ...)`."""
    self._members, self._seed = members, seed
    self._order = len(labels) - 1
    self.scaling = Scaling("standard", max(self._order, 1), dtype="float64")
    self.scaling.build((None, x.shape[1]), (None, labels[0].shape[1]))
    self.scaling.adapt([(x, labels)])
    order = np.random.default_rng([seed, 1]).permutation(len(x))
    scaled = self.scaling.scale_labels([tf.constant(a) for a in labels])
    self._all = Examples(
      self.scaling.scale_inputs(tf.constant(x)).numpy()[order],
      [label.numpy()[order] for label in scaled],
    )
    self._labels = [label[order] for label in labels]
    self.network, self._some = affordable(self._all)
    self._folds = folds(self._some)

  @property
  def held_out_in_words(self) -> str:
    """Which points errors are measured on."""
    if len(self._folds) > 1:
      return f"all points in turn ({len(self._folds)}-fold cross-validation)"
    return f"{int(self._folds[0].sum())} held-out points"

  def choose(self, order: int) -> Choice:
    """What networks that use derivatives up to an order achieve."""
    networks, predictions = [], []
    for number in range(self._number_of_runs()):
      predicted = [np.full_like(a[: self._some], np.nan) for a in self._labels]
      for fold, held_out in enumerate(self._folds):
        trained = self._annealed(
          self._all.part(np.flatnonzero(~held_out), order),
          [self._seed, 2, number, fold],
        )
        x = self._all.x[: self._some][held_out]
        terms = self.network.evaluate(trained.position, x, self._order)
        for array, term in zip(predicted, terms, strict=True):
          array[held_out] = term
        networks.append(trained)
      predictions.append(predicted)
    return self._measured(order, networks, predictions)

  def final_networks(self, choice: Choice) -> list:
    """The most probable networks after iterations with all examples."""
    examples = self._all.part(slice(None), choice.order)
    some = self._some if self._some < len(examples.x) else None
    is_large = len(examples.x) > LARGE
    iterations = _LAST_ITERATIONS_IF_LARGE if is_large else _LAST_ITERATIONS
    networks = [
      train(
        self.network,
        examples,
        *one[:2],
        iterations,
        curvature_examples=some,
      )
      for one in choice.networks
    ]
    if len(self._folds) > 1:
      # A fifth of few points is much, and few points have many explanations:
      # more networks, which see all points from the beginning.
      number = int(_ADDITIONAL / multiplications(self.network, examples))
      number = min(number, _MOST_ADDITIONAL)
      networks += [
        self._annealed(examples, [self._seed, 3, member])
        for member in range(number)
      ]
    networks.sort(key=lambda one: -one.evidence)
    return networks[: self._members]

  def _annealed(self, examples, seed):
    position = self.network.initial(np.random.default_rng(seed))
    is_large = len(examples.x) > LARGE
    return anneal(self.network, examples, position, is_short=is_large)

  def _number_of_runs(self):
    """Each of these trains as many networks as there are folds."""
    if self._members == 1:
      return 1
    if len(self._folds) > 1:
      return max(2, math.ceil(self._members / len(self._folds)))
    return self._members

  def relative_noise(self, trained: list) -> tuple:
    """Noise of y, dy, ... as shares of their sizes, the mean of networks."""
    noise = np.mean([run.balance.noise for run in trained], axis=0)
    return self._by_order(noise / self._all.sizes[: len(noise)])

  def derivative_weights(self, trained: list) -> tuple:
    """Inverse variances of dy, ..., those of y being 1 on average."""
    noise = np.mean([run.balance.noise for run in trained], axis=0)
    of_values = np.mean(noise[: self._all.values] ** 2)
    weights = self._by_order(np.minimum(of_values / noise**2, 1e3))[1:]
    return (*weights, *self._zeros(1 + len(weights)))

  def l2(self, trained: list) -> tuple:
    """L2 of the three kernels beside the mean squared error of the values."""
    scales = [
      run.balance.precision[::2]
      * np.mean(run.balance.noise[: self._all.values] ** 2)
      for run in trained
    ]
    return tuple(np.mean(scales, axis=0) / len(self._all.x))

  def _zeros(self, first):
    shapes = [label.shape[1:] for label in self._labels]
    return tuple(np.zeros(shape) for shape in shapes[first:])

  def _by_order(self, components):
    """`[R]` as arrays of the shapes of y, dy, ... without the examples."""
    arrays, start = [], 0
    for label in self._labels:
      shape = label.shape[1:]
      end = start + int(np.prod(shape))
      if end <= len(components):
        arrays.append(components[start:end].reshape(shape))
      start = end
    return tuple(arrays)

  def _measured(self, order, networks, predictions):
    """The `Choice` of networks, from predictions in scaled units."""
    units = [self.scaling.units(j).numpy() for j in range(self._order + 1)]
    results = [
      [term * unit for term, unit in zip(terms, units, strict=True)]
      for terms in predictions
    ]
    for terms in results:
      terms[0] = terms[0] + self.scaling.y_mean.numpy()
    mean = [np.mean(terms, axis=0) for terms in zip(*results, strict=True)]
    values = np.stack([terms[0] for terms in results])
    labels = [label[: self._some] for label in self._labels]
    seen = np.any(self._folds, axis=0)
    errors = errors_of([p[seen] for p in mean], [t[seen] for t in labels])
    squared = np.square((mean[0] - labels[0]) / units[0])[seen].reshape(-1)
    return Choice(
      order,
      networks,
      errors,
      squared,
      interval(values[:, seen], labels[0][seen]),
      len(self._folds) > 1 and bool(np.nanmean(squared) > _BLIND),
    )


def keras_network(network: TanhNetwork, position: np.ndarray) -> keras.Model:
  """A Keras network of the same parameters."""
  inputs, width, _, outputs = network.sizes
  dense = keras.layers.Dense
  built = keras.Sequential(
    [
      keras.Input([inputs], dtype="float64"),
      dense(width, "tanh", dtype="float64"),
      dense(width, "tanh", dtype="float64"),
      dense(outputs, dtype="float64"),
    ]
  )
  built.set_weights(network.split(position))
  return built


def interval(values: np.ndarray, labels: np.ndarray) -> tuple:
  """Factor and floor `[k]` with which intervals cover held-out points.

  The half-width is `factor * sqrt(spread^2 + floor^2)`; the floor keeps it
  from vanishing where the members happen to agree.

  Args:
    values: `[M, N, k]`, each member's for points it has not seen.
    labels: `[N, k]`; NaN is unknown.
  """
  error = np.abs(values.mean(axis=0) - labels)
  spread = values.std(axis=0)
  floor = 0.3 * np.sqrt(np.nanmean(error**2, axis=0))
  ratio = error / np.sqrt(spread**2 + np.maximum(floor, 1e-300) ** 2)
  count = np.sum(~np.isnan(ratio), axis=0).min()
  level = min(1.0, np.ceil((count + 1) * _COVERAGE) / count)
  return np.nanquantile(ratio, level, axis=0), floor


def folds(count: int) -> list:
  """Boolean masks `[N]` of the points that are held out, one after another."""
  number = np.arange(count)
  if count < _CROSS_VALIDATED_BELOW:
    return [number % _FOLDS == fold for fold in range(min(_FOLDS, count))]
  return [number % _FOLDS == 0]


def affordable(examples: Examples) -> tuple:
  """The widest `TanhNetwork` that is cheap, and how many examples it takes."""
  few = len(examples.x) < _CROSS_VALIDATED_BELOW
  most = _CHEAP_IF_CROSS_VALIDATED if few else _CHEAP
  for width in _WIDTHS:
    network = TanhNetwork(examples.x.shape[1], width, examples.values)
    if multiplications(network, examples) <= most:
      break
  components = examples.targets.shape[1]
  most = int(_AFFORDABLE / (components * network.count**2))
  return network, min(len(examples.x), max(most, _FEWEST))


def multiplications(network: TanhNetwork, examples: Examples) -> float:
  """About as many as one iteration takes."""
  rows, parameters = examples.targets.size, network.count
  return float(rows) * parameters * min(rows, parameters)
