"""`fit_surrogate`: chooses, trains and reports without any tuning."""

import dataclasses
import time
import typing

import numpy as np

from sobolev_tf.derivatives.arguments import as_numbers, check_whole
from sobolev_tf.surrogate.model import MeanOfNetworks, SurrogateModel
from sobolev_tf.surrogate.report import Report, errors_of
from sobolev_tf.surrogate.trials import Settings, Trials

_WIDTHS = (16, 8, 32)
_L2 = (1e-5, 1e-3, 1e-4, 1e-6, 1e-7)
_SHARES = (1.0, 0.1, 0.01)
_CROSS_VALIDATED_BELOW = 50
_LARGE = 1000  # examples; above this, trials see a part of them
_SEARCH_ITERATIONS, _ITERATIONS = 200, 1500
_COVERAGE = 0.9


def fit_surrogate(
  x: typing.Any,
  y: typing.Any,
  dy: typing.Any = None,
  d2y: typing.Any = None,
  *,
  members: int | None = None,
  seed: int = 0,
) -> SurrogateModel:
  """Fits a model to values and, where there are any, derivatives.

  Nothing has to be tuned: network size, L2, the weights of the derivatives
  and whether to use them at all are chosen on held-out points of the data. The
  networks have two hidden layers of tanh units and are trained by L-BFGS in
  float64; the model is their mean.

  ```python
  x = np.random.uniform(-1, 1, [12, 1])
  y, dy = np.sin(2 * x[:, 0]), 2 * np.cos(2 * x)
  model = sobolev_tf.fit_surrogate(x, y, dy)
  print(model.report)
  y_new, dy_new = model.predict_with_derivatives([[0.5]])
  ```

  Errors are measured on all points in turn (five-fold cross-validation) below
  50 examples and on a fifth of them above. Each derivative component is
  weighed by the inverse of its estimated noise. Networks trained on values
  alone get as many trials; if those predict held-out values better, the
  derivatives are dropped.

  Args:
    x: `[N, d]`.
    y: `[N]` or `[N, k]`; NaN means unknown, here and in the derivatives.
    dy: None, or `[N, d]` or `[N, k, d]`.
    d2y: None, or `[N, d, d]` or `[N, k, d, d]`; needs dy.
    members: how many networks are averaged; None means 5, or 3 for more than
      1,000 examples.
    seed: of everything that is drawn.

  Returns:
    A `SurrogateModel`: a `SobolevModel` with a `report` and
    `predict_with_uncertainty`; it is compiled and can be trained further.

  Raises:
    ValueError: an array is not as described, or there are fewer than 4
      examples.
  """
  begin = time.process_time()
  if members is not None:
    check_whole("members", members, 1)
  check_whole("seed", seed, 0)
  x, labels = _checked(x, y, dy, d2y)
  if members is None:
    members = 5 if len(x) <= _LARGE else 3
  search = _Search(x, labels, members, seed)
  with_dy = search.choose(use_derivatives=len(labels) > 1)
  chosen, without = with_dy, None
  reasons = []
  if len(labels) > 1:
    without = search.choose(use_derivatives=False)
    chosen, reason = _better(with_dy, without, search.is_blind)
    reasons.append(reason)
  networks = search.final_networks(chosen.settings)
  uses = chosen is with_dy and len(labels) > 1
  model = _model_of(networks, search, labels, chosen, seed)
  reasons += search.reasons(chosen)
  model.report = Report(
    examples=len(x),
    held_out=search.held_out_in_words,
    errors=chosen.errors,
    errors_without=None if without is None else without.errors,
    uses_derivatives=uses,
    noise=search.noise,
    hidden_sizes=(chosen.settings.width,) * 2,
    l2=chosen.settings.l2,
    derivative_weights=chosen.settings.weights,
    members=members,
    seconds=time.process_time() - begin,
    reasons=tuple(reasons),
  )
  return model


@dataclasses.dataclass(frozen=True)
class _Choice:
  """Settings, and what their networks say of held-out points."""

  settings: Settings
  errors: object
  squared: np.ndarray  # `[M]`, held-out squared errors of known values
  interval: tuple  # (factor, floor), each [k], in the user's units


class _Search:
  """Looks for settings on held-out points."""

  def __init__(self, x, labels, members, seed):
    self._members, self._seed = members, seed
    rng = np.random.default_rng([seed, 1])
    rows = rng.permutation(len(x))[:_LARGE]
    self._x, self._all = x, labels
    self._rows = rows
    self._trials = Trials(x[rows], tuple(label[rows] for label in labels))
    self._labels = self._trials.labels
    self._folds = _folds(len(rows))
    self.noise = None
    self._quality = [np.ones(label.shape[1:]) for label in labels[1:]]
    self._parts = {}  # by settings: held-out errors of y, dy, ...
    self.is_blind = False

  @property
  def held_out_in_words(self):
    """Which points errors are measured on."""
    if len(self._folds) > 1:
      return f"all points in turn ({len(self._folds)}-fold cross-validation)"
    return f"{int(self._folds[0].sum())} held-out points"

  def choose(self, use_derivatives):
    """The best `_Choice` found, coordinate by coordinate."""
    weights = self._weights(1.0, False) if use_derivatives else self._zeros()
    best = Settings(_WIDTHS[0], _L2[0], weights)
    best = self._best_of(best, "l2", _L2)
    best = self._best_of(best, "width", _WIDTHS)
    if use_derivatives:
      self._estimate_noise(best)
      options = [
        self._weights(share, scaled)
        for scaled in (False, True)
        for share in _SHARES
      ]
      best = self._best_of(best, "weights", options)
    steps = [best.l2 * factor for factor in (1, 0.1, 10)]
    best = self._best_of(best, "l2", steps)
    if len(self._folds) > 1 and self._parts[self._key(best)][0] > 0.5:
      # So few points that none tells of another: what predicts them least
      # badly is the flattest network. Better to fit all labels evenly.
      self.is_blind = True
      even = self._weights(1.0, True) if use_derivatives else self._zeros()
      best = Settings(_WIDTHS[0], _L2[0], even)
    return self._measure(best)

  def final_networks(self, settings):
    """Networks trained on everything; the worst of some spare ones left out."""
    spare = 2 if len(self._x) <= _LARGE else 0
    trials = self._trials
    if len(self._x) > len(self._rows):
      trials = Trials(self._x, self._all)
    iterations = _ITERATIONS if spare else _SEARCH_ITERATIONS
    ones = np.ones(len(self._x))
    runs = [
      trials.train(settings, [self._seed, 3, number], ones, iterations)
      for number in range(self._members + spare)
    ]
    runs.sort(key=lambda run: run[0])
    self.scaling = trials.scaling
    return [
      trials.network(settings, position)
      for _, position in runs[: self._members]
    ]

  def reasons(self, chosen):
    """Sentences about how the settings came about."""
    tried = (
      f"{len(self._parts)} settings were tried on {self.held_out_in_words}"
    )
    if self.is_blind:
      return [
        f"{tried}, but no setting predicted these points: there are too few to "
        "choose by. Defaults were taken, and the errors above say little."
      ]
    return [
      f"{tried}; the chosen network size, L2 and weights had the lowest error "
      "there."
    ]

  def _best_of(self, settings, name, options):
    candidates = [
      dataclasses.replace(settings, **{name: option}) for option in options
    ]
    return min(candidates, key=self._score)

  def _score(self, settings):
    """Logarithm of held-out errors, of values and derivatives alike."""
    key = self._key(settings)
    if key not in self._parts:
      predicted = self._held_out(settings, 1)[0]
      parts = [_relative(predicted[0], self._labels[0])]
      if any(weight.any() for weight in settings.weights):
        parts += [
          _relative(ours, true)
          for ours, true in zip(predicted[1:], self._labels[1:], strict=True)
        ]
      self._parts[key] = parts
    return float(np.sum(np.log(np.maximum(self._parts[key], 1e-30))))

  @staticmethod
  def _key(settings) -> tuple:
    weights = (weight.tobytes() for weight in settings.weights)
    return settings.width, settings.l2, *weights

  def _held_out(self, settings, members):
    """Predictions of each member for points it has not seen; NaN elsewhere."""
    results = []
    for number in range(members):
      whole = [np.full(label.shape, np.nan) for label in self._labels]
      for index, held_out in enumerate(self._folds):
        weights = np.where(held_out, 0.0, len(held_out) / (~held_out).sum())
        _, position = self._trials.train(
          settings,
          [self._seed, 2, number, index],
          weights,
          _SEARCH_ITERATIONS,
        )
        predicted = self._trials.predict(settings, position)
        for array, term in zip(whole, predicted, strict=True):
          array[held_out] = term[held_out]
      results.append(whole)
    return results

  def _measure(self, settings):
    """What the mean of several networks achieves on held-out points."""
    results = self._held_out(settings, self._members)
    mean = [np.mean(terms, axis=0) for terms in zip(*results, strict=True)]
    values = np.stack([terms[0] for terms in results])
    scaling = self._trials.scaling
    units = [scaling.units(j).numpy() for j in range(len(mean))]
    predicted = [term * unit for term, unit in zip(mean, units, strict=True)]
    labels = [
      label * unit for label, unit in zip(self._labels, units, strict=True)
    ]
    seen = np.any(self._folds, axis=0)
    return _Choice(
      settings,
      errors_of([p[seen] for p in predicted], [t[seen] for t in labels]),
      np.square(mean[0] - self._labels[0])[seen].reshape(-1),
      _interval(values * units[0], labels[0]),
    )

  def _estimate_noise(self, settings):
    """Noise of each derivative component, and weights that go against it."""
    predicted = self._held_out(settings, 1)[0]
    noise = []
    for order, (ours, true) in enumerate(
      zip(predicted[1:], self._labels[1:], strict=True)
    ):
      error = np.nanmean((ours - true) ** 2, axis=0)
      size = np.maximum(np.nanmean(true**2, axis=0), 1e-300)
      relative = np.nan_to_num(error / size, nan=1.0)
      noise.append(np.sqrt(relative))
      quality = 1 / (0.01 + np.minimum(relative, 1.0))
      self._quality[order] = quality / quality.max()
    self.noise = tuple(noise)

  def _weights(self, share, by_size):
    """Weights per component: alike, or by the inverse of its mean square."""
    weights = []
    for quality, label in zip(self._quality, self._labels[1:], strict=True):
      size = np.nan_to_num(np.nanmean(label**2, axis=0), nan=1.0)
      floor = 1e-3 * max(size.max(), 1e-300)
      scale = 1 / np.maximum(size, floor) if by_size else np.ones_like(size)
      weights.append(share * quality * scale)
    return tuple(weights)

  def _zeros(self):
    return tuple(np.zeros(label.shape[1:]) for label in self._labels[1:])


def _better(with_dy, without, is_blind):
  """The better of two choices, and a sentence that says why."""
  if is_blind:
    return with_dy, (
      "There are too few points to tell whether derivatives help; they are "
      "used."
    )
  difference = with_dy.squared - without.squared
  difference = difference[~np.isnan(difference)]
  # Few points decide nothing: being worse has to stand out from its spread.
  doubt = difference.std() / np.sqrt(max(len(difference) - 1, 1))
  worse = difference.size and difference.mean() > doubt
  ours, theirs = np.nanmean(with_dy.squared), np.nanmean(without.squared)
  gain = np.sqrt(theirs / max(ours, 1e-300))
  if not worse:
    return with_dy, (
      f"Derivatives help: without them the held-out error of the value is "
      f"{gain:.2g} times as large."
      if gain > 1.05
      else "Derivatives do not clearly help or hurt the held-out values "
      f"({gain:.2g} times the error without them); they are used for the "
      "gradients' sake."
    )
  return without, (
    f"Derivatives are not used: with them the held-out error of the value is "
    f"{1 / gain:.2g} times as large. Look at their labels with "
    "check_derivatives."
  )


def _model_of(networks, search, labels, chosen, seed):
  """The `SurrogateModel` of some trained networks."""
  inputs = search.scaling.input_shape[1]
  order = max(len(labels) - 1, 1)
  model = SurrogateModel(
    MeanOfNetworks(networks),
    order,
    scaling="standard",
    seed=seed,
    dtype="float64",
  )
  model.build((None, inputs))
  model.scaling.set_weights(search.scaling.get_weights())
  model.compile(derivative_weights=list(chosen.settings.weights) or 0.0)
  model.optimizer.build(model.trainable_variables)  # saving wants its state
  factor, floor = chosen.interval
  model.intervals.factor.assign(factor)
  model.intervals.floor.assign(floor)
  return model


def _interval(values, labels):
  """Factor and floor `[k]` with which intervals cover held-out points.

  The half-width is `factor * sqrt(spread^2 + floor^2)`; the floor keeps it
  from vanishing where the members happen to agree.

  Args:
    values: `[M, N, k]`, each member's for points it has not seen, else NaN.
    labels: `[N, k]`.
  """
  error = np.abs(values.mean(axis=0) - labels)
  spread = values.std(axis=0)
  floor = 0.3 * np.sqrt(np.nanmean(error**2, axis=0))
  ratio = error / np.sqrt(spread**2 + np.maximum(floor, 1e-300) ** 2)
  count = np.sum(~np.isnan(ratio), axis=0).min()
  level = min(1.0, np.ceil((count + 1) * _COVERAGE) / count)
  return np.nanquantile(ratio, level, axis=0), floor


def _folds(count):
  """Boolean masks `[N]` of the points that are held out, one after another."""
  number = np.arange(count)
  if count < _CROSS_VALIDATED_BELOW:
    return [number % min(5, count) == fold for fold in range(min(5, count))]
  return [number % 5 == 0]


def _relative(predicted, labels):
  """Mean square error as a share of the mean square of the labels."""
  size = _mean_square(labels)
  return _mean_square(predicted - labels) / max(size, 1e-300)


def _mean_square(values):
  known = values[~np.isnan(values)]
  return float(np.mean(known**2)) if known.size else 0.0


def _checked(x, y, dy, d2y):
  """x `[N, d]` and labels `(y [N, k], dy [N, k, d], ...)`, float64."""
  x, y = as_numbers("x", x), as_numbers("y", y)
  if x.ndim != 2 or len(x) < 4 or not np.isfinite(x).all():
    unfit = "" if np.isfinite(x).all() else " and holds NaN or inf"
    raise ValueError(
      "x must be a finite array [N, d] of at least 4 examples, but it has "
      f"shape {x.shape}{unfit}."
    )
  if y.ndim not in (1, 2) or len(y) != len(x):
    raise ValueError(
      f"y must have shape [{len(x)}] or [{len(x)}, k], but it has shape "
      f"{y.shape}."
    )
  if d2y is not None and dy is None:
    raise ValueError("d2y is given without dy; give both.")
  single = y.ndim == 1 or y.shape[1] == 1
  labels = [y.reshape(len(x), -1)]
  for name, label in (("dy", dy), ("d2y", d2y)):
    if label is None:
      break
    label = as_numbers(name, label)
    rest = x.shape[1:] * len(labels)
    wanted = (*labels[0].shape, *rest)
    accepted = {wanted, (len(x), *rest)} if single else {wanted}
    if label.shape not in accepted:
      raise ValueError(
        f"{name} must have shape {' or '.join(map(str, sorted(accepted)))}, "
        f"but it has shape {label.shape}."
      )
    labels.append(label.reshape(wanted))
  if any(np.isinf(label).any() for label in labels):
    raise ValueError(
      "the labels hold infinities; give finite numbers, or NaN for unknown."
    )
  return x, tuple(labels)
