"""Figures 3 and 5-11: a function and its models as surfaces and slopes."""

import dataclasses
import typing

import matplotlib as mpl
import numpy as np
from matplotlib.ticker import (
  MaxNLocator,
)

from data import benchmark_functions
from trainers.lifecycle.figures import (
  add_note,
  as_array,
  plt,
  save,
)
from trainers.regression.figures import TITLES

# Bukin's function has a kink along this curve, which no square grid follows:
# one would draw a row of beads.
_VALLEYS = {"bukin": lambda x: 0.01 * x**2}
# Gradient arrows along each axis. Ackley's waves have period 1 on [-5, 5]:
# three arrows for each, fewer would show waves that are not there.
_ARROWS = {"ackley": 30}
_FEW_ARROWS = 14
_MOST_POINTS = 500  # training points: more would hide the surface
_COLOURS = mpl.colormaps["viridis"].with_extremes(over="#D55E00", under="black")


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
