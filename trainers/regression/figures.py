"""Figures 2, 3 and 5-11 of the paper, drawn from arrays."""

import dataclasses
import itertools
import typing

import matplotlib as mpl
import numpy as np
from matplotlib.ticker import (
  LogLocator,
  MaxNLocator,
  NullFormatter,
  PercentFormatter,
)
from scipy import stats

from data import benchmark_functions
from trainers.lifecycle.figures import (
  STYLES,
  add_note,
  as_array,
  describe_bands,
  draw_bands,
  legend_of,
  panels,
  plt,
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
# Bukin's function has a kink along this curve, which no square grid follows:
# one would draw a row of beads.
_VALLEYS = {"bukin": lambda x: 0.01 * x**2}
# Gradient arrows along each axis. Ackley's waves have period 1 on [-5, 5]:
# three arrows for each, fewer would show waves that are not there.
_ARROWS = {"ackley": 30}
_FEW_ARROWS = 14
_MOST_POINTS = 500  # training points: more would hide the surface
_COLOURS = mpl.colormaps["viridis"].with_extremes(over="#D55E00", under="black")
_MARKS = {"shown": "✓", "contradicted": "✗", "not settled": "?"}


@dataclasses.dataclass(frozen=True)
class Grid:
  """Points over a function's domain, for its surface and for its arrows.

  Attributes:
    points: `[size**2 + arrows**2, 2]`, row by row; those of the surface first.
    size: points of the surface along each axis.
    arrows: arrows along each axis.
  """

  points: np.ndarray
  size: int
  arrows: int

  @classmethod
  def over(cls, function, size=57):
    """Covers the domain of a `BenchmarkFunction`.

    Args:
      function: to draw.
      size: odd, so that a row can follow a valley.
    """
    (left, low), (right, high) = function.low, function.high
    x, y = np.meshgrid(
      np.linspace(left, right, size), np.linspace(low, high, size)
    )
    if function.name in _VALLEYS:
      y = _bend(_VALLEYS[function.name](x[0]), low, high, size)
    arrows = _ARROWS.get(function.name, _FEW_ARROWS)
    middles = (np.arange(arrows) + 0.5) / arrows
    feet = np.meshgrid(
      left + (right - left) * middles, low + (high - low) * middles
    )
    rows = [np.stack(pair, axis=-1).reshape(-1, 2) for pair in ([x, y], feet)]
    return cls(np.concatenate(rows), size, arrows)

  def square(self, values):
    """The surface's part of one number per point, as a square."""
    return np.asarray(values)[: self.size**2].reshape(self.size, self.size)

  @property
  def axes(self):
    """The x and y coordinates of the surface as squares."""
    return self.square(self.points[:, 0]), self.square(self.points[:, 1])

  @property
  def feet(self):
    """Where the arrows stand: `[arrows**2, 2]`."""
    return self.points[self.size**2 :]

  def at_feet(self, gradients):
    """The arrows' part of `[N, 1, 2]`, as `[arrows**2, 2]`."""
    return np.asarray(gradients)[self.size**2 :, 0]


def _bend(valley, low, high, size):
  """Rows from low to high, the middle one along a valley, `[size, size]`."""
  away = np.linspace(-1, 1, size)[:, np.newaxis]
  room = np.where(away < 0, valley - low, high - valley)
  return valley + np.sign(away) * away**2 * room  # denser near the kink


class Column(typing.NamedTuple):
  """A surface of a comparison.

  Attributes:
    title: text above.
    values: `[N, 1]` on a grid.
    gradients: `[N, 1, 2]` on it.
    points: the training points `[M, 2]`, or None.
  """

  title: str
  values: np.ndarray
  gradients: np.ndarray
  points: np.ndarray | None = None


def true_column(function, grid):
  """The `Column` of a `BenchmarkFunction` itself."""
  value, gradient = benchmark_functions.label(function, grid.points)
  # A grid can hit a kink, where the gradient is not a number; the arrow there
  # is left out.
  gradient = np.nan_to_num(gradient, posinf=0.0, neginf=0.0)
  return Column(TITLES[function.name], value, gradient)


def draw_comparison(grid, columns):
  """A function beside its models as an image, uint8 `[H, W, 3]`.

  Args:
    grid: a `Grid`.
    columns: list of `Column`, the true function first: all share its limits.
  """
  figure, note = _compare(grid, columns)
  add_note(figure, note)
  return as_array(figure)


def save_comparison(path, grid, columns):
  """A function beside its models, gradient fields beneath (Figures 3, 5-11).

  Args:
    path: PNG file to write.
    grid: a `Grid`.
    columns: as `draw_comparison` takes them.
  """
  figure, note = _compare(grid, columns)
  save(figure, path, note)


def _compare(grid, columns):
  """The figure of a comparison, and the note that explains it."""
  count = len(columns)
  figure = plt.figure(figsize=(2.9 * count + 0.8, 6.2), layout="constrained")
  low, high = np.min(columns[0].values), np.max(columns[0].values)
  margin = 0.05 * (high - low)
  limits = (float(low - margin), float(high + margin))
  lengths = np.linalg.norm(grid.at_feet(columns[0].gradients), axis=-1)
  longest = float(lengths.max())
  bottom = []
  for index, column in enumerate(columns, start=1):
    surface = figure.add_subplot(2, count, index, projection="3d")
    _plot_surface(surface, grid, column, limits)
    bottom.append(figure.add_subplot(2, count, count + index))
    filled = _plot_field(bottom[-1], grid, column, limits, longest)
  ticks = MaxNLocator(7).tick_values(*limits)
  ticks = ticks[(limits[0] <= ticks) & (ticks <= limits[1])]
  figure.colorbar(filled, ax=bottom, label="f(x)", extend="both", ticks=ticks)
  note = (
    "Below: level sets with gradients at the same scale in all panels, length "
    "in proportion to log(1 + |gradient|); the longest of the function has "
    f"|gradient| = {longest:.3g}, and longer ones end there.\n"
    "Models of one seed. Pink dots: training points. Orange: above the "
    "function's range, black: below it, where surfaces are cut off."
  )
  return figure, note


def _plot_surface(axis, grid, column, limits):
  values = grid.square(column.values)
  norm = mpl.colors.Normalize(*limits)
  axis.plot_surface(
    *grid.axes,
    np.clip(values, *limits),
    facecolors=_COLOURS(norm(values)),
    rcount=grid.size,
    ccount=grid.size,
    linewidth=0,
    antialiased=False,
    shade=False,
    rasterized=True,  # thousands of polygons otherwise
  )
  axis.set(zlim=limits, xlabel="x₁", ylabel="x₂", title=column.title)
  axis.tick_params(labelsize=6)


def _plot_field(axis, grid, column, limits, longest):
  levels = np.linspace(*limits, 21)
  filled = axis.contourf(
    *grid.axes,
    grid.square(column.values),
    levels=levels,
    cmap=_COLOURS,
    extend="both",
  )
  arrows = grid.at_feet(column.gradients)
  length = np.linalg.norm(arrows, axis=-1, keepdims=True)
  # Lengths span orders of magnitude; direction is what is seen.
  drawn = np.log1p(np.minimum(length, longest)) / np.log1p(longest)
  arrows = arrows / np.maximum(length, 1e-12) * drawn
  axis.quiver(
    *grid.feet.T,
    *arrows.T,
    scale=grid.arrows / 1.3,
    scale_units="width",
    pivot="middle",
    width=0.08 / grid.arrows,
    color="white",  # with a rim, for the bright end of the colours
    edgecolor="black",
    linewidth=4 / grid.arrows,
  )
  if column.points is not None and len(column.points) <= _MOST_POINTS:
    axis.scatter(
      *column.points.T,
      s=11,
      color="#F5A3CF",
      edgecolors="black",
      linewidths=0.5,
    )
  axis.set(xlabel="x₁", ylabel="x₂")
  axis.grid(False)
  axis.tick_params(labelsize=6)
  return filled


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
