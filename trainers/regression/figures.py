"""Figure 2, its curves and its profile, drawn from arrays."""

import itertools

import numpy as np
from matplotlib.ticker import (
  LogLocator,
  NullFormatter,
  PercentFormatter,
)
from scipy import stats

from trainers.lifecycle.figures import (
  STYLES,
  describe_bands,
  draw_bands,
  legend_of,
  panels,
  save,
)
from trainers.lifecycle.statistics import (
  bootstrap_interval,
  performance_profile,
)

TITLES = {
  "ackley": "Ackley",
  "beale": "Beale",
  "booth": "Booth",
  "bukin": "Bukin N.6",
  "mccormick": "McCormick",
  "rosenbrock": "Rosenbrock",
  "styblinski_tang": "Styblinski-Tang",
}
_MARKS = {"shown": "✓", "contradicted": "✗", "not settled": "?"}


def save_figure2(path, errors, claims=None):
  """Test error against the number of training points (Figure 2, right).

  All panels span as many decades, so that the same distance is the same ratio
  in each.

  Args:
    path: PNG file to write.
    errors: dict from (function, num_train, method) to the test MSE of each
      seed.
    claims: dict from (function, num_train) to (method, verdict): which one the
      paper says is better, and whether these numbers show it.
  """
  functions = list(dict.fromkeys(function for function, _, _ in errors))
  sizes = sorted({size for _, size, _ in errors})
  known = {method for *_, method in errors}
  methods = [method for method in STYLES if method in known]
  columns = min(4, len(functions) + 1)
  rows = -(-(len(functions) + 1) // columns)  # one panel is the legend's
  figure, axes = panels(rows, columns, 2.9, 2.8)
  decades = _decades(errors, functions)
  for axis, function in zip(axes.flat, functions, strict=False):
    for shift, method in enumerate(methods):
      at = (shift - (len(methods) - 1) / 2) * 0.36
      _plot_errors(axis, errors, function, sizes, method, at)
    axis.set_title(TITLES.get(function, function))
    axis.set_xticks(range(len(sizes)), [f"{size:,}" for size in sizes])
    _set_decades(axis, errors, function, decades)
    _mark_claims(axis, function, sizes, claims or {})
  for axis in axes.flat[len(functions) :]:
    axis.axis("off")
  figure.supylabel("test mean squared error", fontsize=10)
  for axis in axes[-1]:
    axis.set_xlabel("training points")
  _explain(axes.flat[len(functions)], axes.flat[0])
  count = len(next(iter(errors.values())))
  save(
    figure,
    path,
    "Small: each of "
    f"{count} seeds; large: their geometric mean, with the standard deviation "
    "of the logarithm. All panels span as many decades.\nAbove: the method "
    "that the paper says is better, by its marker; ✓ these numbers show it, "
    "✗ they show the opposite, ? not settled (p after Holm's correction, "
    "5 %); – the paper is silent.",
  )


def save_curves(path, curves):
  """Test error over the updates, a row of panels for each function.

  Args:
    path: PNG file to write.
    curves: dict from (function, num_train, method), texts, to (steps `[T]`,
      test MSE `[seeds, T]`).
  """
  functions = list(dict.fromkeys(function for function, _, _ in curves))
  sizes = sorted({size for _, size, _ in curves}, key=int)
  figure, axes = panels(
    len(functions), len(sizes), 2.9, 1.9, margin=1.2, sharex=True, sharey="row"
  )
  drawn = []
  for axis, (function, size) in zip(
    axes.flat, itertools.product(functions, sizes), strict=True
  ):
    drawn.append(
      {key[2]: c for key, c in curves.items() if key[:2] == (function, size)}
    )
    axis.set_yscale("log")
    draw_bands(axis, drawn[-1], stats.gmean)
    axis.set_title(f"{TITLES.get(function, function)}, {int(size):,} points")
  for axis in axes[-1]:
    axis.set_xlabel("updates")
  figure.supylabel("mean squared error at the test points", fontsize=10)
  legend_of(figure, axes)
  save(figure, path, describe_bands(drawn).replace("mean", "geometric mean"))


def save_profile(path, ratios):
  """Performance profiles of Sobolev training over functions and seeds.

  Args:
    path: PNG file to write.
    ratios: dict from the number of training points to log10 of how many times
      larger regular training's error is, `[seeds, functions]`.
  """
  limit = max(np.abs(logs).max() for logs in ratios.values())
  thresholds = np.linspace(-limit, limit, 201)
  figure, axes = panels(1, 1, 5.2, 3.6)
  axis = axes[0, 0]
  for style, (size, logs) in zip(STYLES.values(), ratios.items(), strict=False):

    def profile(scores):
      return performance_profile(scores, thresholds)

    axis.plot(
      10**thresholds,
      profile(logs),
      color=style.colour,
      label=f"{size:,} points",
    )
    low, high = bootstrap_interval(profile, logs, repetitions=500)
    axis.fill_between(
      10**thresholds, low, high, color=style.colour, alpha=0.15, linewidth=0
    )
  axis.axvline(1, color="black", linewidth=0.8)
  axis.set_xscale("log")
  axis.yaxis.set_major_formatter(PercentFormatter(xmax=1))
  axis.set_ylim(0, 1)
  axis.set_xlabel("τ")
  axis.set_ylabel("runs with an MSE ratio above τ")
  axis.legend()
  count, functions = next(iter(ratios.values())).shape
  save(
    figure,
    path,
    "MSE ratio: the test MSE of regular training over that of Sobolev\n"
    f"training; {functions} function{'s' * (functions > 1)}, {count} seeds "
    "each. Right of 1 Sobolev\ntraining is better. Band: 95 % bootstrap "
    "interval.",
  )


def _decades(errors, functions):
  """How many decades a panel has to span."""
  return max(np.ptp(_logs_of(errors, name)) for name in functions) + 1.2


def _logs_of(errors, function):
  return np.log10(
    np.concatenate([v for key, v in errors.items() if key[0] == function])
  )


def _set_decades(axis, errors, function, decades):
  logs = _logs_of(errors, function)
  middle = (logs.min() + logs.max()) / 2 + 0.25  # room above, for the claims
  axis.set_yscale("log")
  axis.set_ylim(10 ** (middle - decades / 2), 10 ** (middle + decades / 2))
  axis.yaxis.set_major_locator(LogLocator(numticks=12))
  axis.yaxis.set_minor_formatter(NullFormatter())


def _plot_errors(axis, errors, function, sizes, method, shift):
  style = STYLES[method]
  for position, size in enumerate(sizes):
    if (function, size, method) not in errors:
      continue
    values = np.asarray(errors[function, size, method])
    logs = np.log(values)
    mean, spread = (
      np.exp(logs.mean()),
      np.exp(logs.std(ddof=min(len(logs) - 1, 1))),
    )
    at = position + shift
    # Bars on a logarithm have no natural foot, so the spread is drawn instead.
    axis.errorbar(
      at,
      mean,
      yerr=[[mean - mean / spread], [mean * spread - mean]],
      fmt=style.marker,
      capsize=4,
      color=style.colour,
      label=style.name if position == 0 else None,
    )
    axis.scatter(
      np.full(len(values), at + 0.16),
      values,
      s=7,
      marker=style.marker,
      color=style.colour,
    )


def _mark_claims(axis, function, sizes, claims):
  across = axis.get_xaxis_transform()  # a share of the height
  axis.set_xlim(-0.6, len(sizes) - 0.4)
  for position, size in enumerate(sizes):
    method, verdict = claims.get((function, size), (None, ""))
    if method is None:
      axis.text(position, 0.92, "–", transform=across, ha="center", va="center")
      continue
    style = STYLES[method]
    axis.plot(
      position - 0.12, 0.92, style.marker, ms=8, mfc="none",
      mec=style.colour, mew=1.5, transform=across,
    )  # fmt: skip
    axis.text(
      position + 0.12, 0.92, _MARKS.get(verdict, ""), transform=across,
      ha="center", va="center", family="DejaVu Sans",
    )  # fmt: skip


def _explain(empty, drawn):
  empty.legend(
    *drawn.get_legend_handles_labels(),
    loc="center",
    fontsize=12,
  )
