"""What the figures of all experiments share: a canvas, lines with bands."""

import matplotlib

matplotlib.use("Agg")  # no screen needed

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402


def panels(rows, columns, width, height, margin=0.0, **settings):
  """Makes a figure of panels.

  Args:
    rows: number of them.
    columns: number of them.
    width: of a panel, in inches.
    height: of a panel, in inches.
    margin: width beside all panels, for a legend.
    **settings: for `plt.subplots`.

  Returns:
    (figure, axes `[rows, columns]`).
  """
  return plt.subplots(
    rows,
    columns,
    figsize=(margin + width * columns, height * rows),
    dpi=100,
    squeeze=False,
    **settings,
  )


def draw_bands(axis, lines, colours, label=str):
  """Draws a line for each method: its mean and range over the seeds.

  Args:
    axis: to draw on.
    lines: dict from a method to (steps `[T]`, values `[seeds, T]`).
    colours: dict from a method to its colour; others are grey.
    label: function from a method to its name in the legend.
  """
  for method, (steps, values) in lines.items():
    colour = colours.get(method, "tab:gray")
    mean = np.mean(values, axis=0)
    axis.plot(steps, mean, color=colour, label=label(method))
    # The range, not the deviation: three seeds are too few for a band.
    low, high = np.min(values, axis=0), np.max(values, axis=0)
    axis.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
  axis.grid(alpha=0.3)


def save(figure, path):
  """Writes a PNG file and forgets the figure."""
  figure.tight_layout()
  figure.savefig(path)
  plt.close(figure)
