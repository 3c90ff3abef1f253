"""Figures 2, 3 and 5-11 of the paper, drawn from arrays."""

import dataclasses

import numpy as np

from trainers.lifecycle.figures import panels, plt, save

COLOURS = {"regular": "tab:orange", "sobolev": "tab:blue"}
_ARROWS = 14  # gradient arrows along each axis


@dataclasses.dataclass(frozen=True)
class Grid:
  """A square grid over a function's domain; `points` is `[size**2, 2]`."""

  points: np.ndarray
  size: int

  @classmethod
  def over(cls, function, size=56):
    """Covers the domain of a `BenchmarkFunction`."""
    x = np.linspace(function.low[0], function.high[0], size)
    y = np.linspace(function.low[1], function.high[1], size)
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    return cls(points, size)

  def square(self, values):
    """Arranges one number per point as a square."""
    return np.asarray(values).reshape(self.size, self.size)

  @property
  def axes(self):
    """The x and y coordinates as squares."""
    return self.square(self.points[:, 0]), self.square(self.points[:, 1])


def draw_surface(grid, values, gradients, title):
  """One surface with its gradient field, as an image.

  Args:
    grid: a `Grid`.
    values: `[N, 1]` on the grid.
    gradients: `[N, 1, 2]` on the grid.
    title: text above.

  Returns:
    uint8 array `[H, W, 3]`.
  """
  figure = plt.figure(figsize=(4, 7), dpi=90)
  limits = (np.min(values), np.max(values))
  _plot_column(figure, grid, values, gradients, title, limits, 1, 1)
  figure.canvas.draw()
  image = np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
  plt.close(figure)
  return image


def save_comparison(path, grid, columns):
  """A function beside its models, gradient fields beneath (Figures 3, 5-11).

  Args:
    path: PNG file to write.
    grid: a `Grid`.
    columns: list of (title, values `[N, 1]`, gradients `[N, 1, 2]`), the true
      function first; all surfaces share its vertical axis.
  """
  figure = plt.figure(figsize=(3.4 * len(columns), 6.4), dpi=100)
  low, high = np.min(columns[0][1]), np.max(columns[0][1])
  margin = 0.05 * (high - low)
  limits = (low - margin, high + margin)
  for index, (title, values, gradients) in enumerate(columns, start=1):
    _plot_column(
      figure, grid, values, gradients, title, limits, len(columns), index
    )
  save(figure, path)


def _plot_column(figure, grid, values, gradients, title, limits, count, index):
  x, y = grid.axes
  # A model may leave the true function's range: clip what is drawn, so that
  # every surface stays comparable with the function.
  height = np.clip(grid.square(values), *limits)
  surface = figure.add_subplot(2, count, index, projection="3d")
  surface.plot_surface(
    x, y, height, cmap="viridis", vmin=limits[0], vmax=limits[1], linewidth=0
  )
  surface.set_zlim(*limits)
  surface.set_title(title)
  surface.tick_params(labelsize=6)

  field = figure.add_subplot(2, count, count + index)
  levels = np.linspace(*limits, 21)
  field.contourf(x, y, height, levels=levels, cmap="viridis", alpha=0.6)
  skip = slice(None, None, max(grid.size // _ARROWS, 1))
  arrows = np.asarray(gradients).reshape(grid.size, grid.size, 2)[skip, skip]
  # The lengths of arrows span orders of magnitude; direction is what is seen.
  length = np.linalg.norm(arrows, axis=-1, keepdims=True)
  arrows = arrows / np.maximum(length, 1e-12) * np.log1p(length)
  field.quiver(
    x[skip, skip], y[skip, skip], arrows[..., 0], arrows[..., 1], width=0.006
  )
  field.set_aspect("auto")
  field.tick_params(labelsize=6)


def save_figure2(path, errors):
  """Log test error against the number of training points (Figure 2, right).

  Args:
    path: PNG file to write.
    errors: dict from (function, num_train, method) to the test MSE of each
      seed.
  """
  functions = list(dict.fromkeys(function for function, _, _ in errors))
  sizes = sorted({size for _, size, _ in errors})
  methods = [m for m in COLOURS if any(m == method for *_, method in errors)]
  rows = (len(functions) + 3) // 4
  figure, axes = panels(rows, 4, 3.5, 3.4)
  for axis, function in zip(axes.flat, functions, strict=False):
    for shift, method in enumerate(methods):
      _plot_errors(axis, errors, function, sizes, method, shift, len(methods))
    axis.set_title(function.replace("_", " "))
    axis.set_xticks(range(len(sizes)), [f"{size:,}" for size in sizes])
    axis.set_xlabel("training points")
    axis.set_ylabel("log10 test MSE")
  for axis in axes.flat[len(functions) :]:
    axis.axis("off")
  handles, labels = axes.flat[0].get_legend_handles_labels()
  axes.flat[-1].legend(handles, labels, loc="center", fontsize=12)
  save(figure, path)


def _plot_errors(axis, errors, function, sizes, method, shift, count):
  width = 0.8 / count
  for position, size in enumerate(sizes):
    if (function, size, method) not in errors:
      continue
    logs = np.log10(errors[function, size, method])
    at = position + (shift - (count - 1) / 2) * width
    # Bars on a logarithm have no natural foot, so the spread is drawn instead.
    axis.errorbar(
      at,
      logs.mean(),
      yerr=logs.std(),
      fmt="o",
      capsize=4,
      color=COLOURS[method],
      label=f"{method} (mean ± std over seeds)" if position == 0 else None,
    )
    axis.scatter(
      np.full(len(logs), at + width / 4), logs, s=8, color=COLOURS[method]
    )
