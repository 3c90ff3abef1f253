"""`fit_surrogate`: trains, compares and reports without any tuning."""

import time
import typing

import numpy as np

from sobolev_tf.derivatives.arguments import as_numbers, check_whole
from sobolev_tf.surrogate.model import MeanOfNetworks, SurrogateModel
from sobolev_tf.surrogate.report import Report
from sobolev_tf.surrogate.search import LARGE, Choice, Search, keras_network


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

  Nothing has to be tuned. The model is the mean of several networks of two
  hidden layers of tanh units. L2 and the noise of every label component are
  estimated while they are trained (see `evidence`), and labels are weighed by
  the inverse of their noise's variance. The size of the networks follows from
  that of the data, and whether the derivatives are used from held-out points.

  ```python
  x = np.random.uniform(-1, 1, [12, 1])
  y, dy = np.sin(2 * x[:, 0]), 2 * np.cos(2 * x)
  model = sobolev_tf.fit_surrogate(x, y, dy)
  print(model.report)
  y_new, dy_new = model.predict_with_derivatives([[0.5]])
  ```

  Errors are measured on all points in turn (five-fold cross-validation) below
  50 examples and on a fifth of them above. Networks trained on values alone
  are compared; if those predict held-out values clearly better, the
  derivatives are dropped. The last iterations see all examples, those before
  as many as do not take long.

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
    members = 5 if len(x) <= LARGE else 3
  search = Search(x, labels, members, seed)
  chosen, without, reasons = search.choose(len(labels) - 1), None, []
  if len(labels) > 1:
    without = search.choose(0)
    chosen, reason = _better(chosen, without)
    reasons.append(reason)
  trained = search.final_networks(chosen)
  weights = search.derivative_weights(trained)
  model = _model_of(search, chosen, trained, weights, seed)
  model.report = Report(
    examples=len(x),
    held_out=search.held_out_in_words,
    errors=chosen.errors,
    errors_without=None if without is None else without.errors,
    uses_derivatives=chosen.order > 0,
    noise=search.relative_noise(trained),
    hidden_sizes=search.network.sizes[1:3],
    l2=search.l2(trained),
    derivative_weights=weights,
    members=members,
    seconds=time.process_time() - begin,
    reasons=(*reasons, _reason(search, chosen)),
  )
  return model


def _reason(search, chosen):
  """A sentence about how the settings came about."""
  if chosen.is_blind:
    return (
      f"There are too few points to choose by: {search.held_out_in_words} were "
      "not predicted, and the errors above say little."
    )
  return "L2 and the noise of every label component are estimated."


def _better(with_dy: Choice, without: Choice) -> tuple:
  """The better of two choices, and a sentence that says why."""
  if with_dy.is_blind:
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


def _model_of(search, chosen, trained, weights, seed):
  """The `SurrogateModel` of some trained networks."""
  network = search.network
  members = [keras_network(network, run.position) for run in trained]
  model = SurrogateModel(
    MeanOfNetworks(members),
    max(len(weights), 1),
    scaling="standard",
    seed=seed,
    dtype="float64",
  )
  model.build((None, network.sizes[0]))
  model.scaling.set_weights(search.scaling.get_weights())
  model.compile(derivative_weights=list(weights) or 0.0)
  model.optimizer.build(model.trainable_variables)  # saving wants its state
  factor, floor = chosen.interval
  model.intervals.factor.assign(factor)
  model.intervals.floor.assign(floor)
  return model


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
