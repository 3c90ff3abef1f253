"""Curves of the synthetic-gradient runs, drawn from arrays."""

from matplotlib.ticker import PercentFormatter

from trainers.lifecycle.figures import (
  describe_bands,
  draw_bands,
  legend_of,
  panels,
  save,
)


def save_curves(path, lines, ylabel, note="", scale="linear", num_columns=1):
  """Draws one line per method in each panel, mean and range over seeds.

  Args:
    path: PNG file to write.
    lines: dict from a panel's title to a dict from a method to (steps `[T]`,
      values `[seeds, T]`).
    ylabel: text beside the vertical axes, which the panels share.
    note: which data set and network.
    scale: of the vertical axes: "linear", "log" or "percent".
    num_columns: panels beside each other.
  """
  rows = -(-len(lines) // num_columns)
  figure, axes = panels(rows, num_columns, 4.0, 3.6, margin=1.8, sharey=True)
  for axis, (title, own) in zip(axes.flat, lines.items(), strict=False):
    draw_bands(axis, own)
    axis.set_title(title)
    axis.set_xlabel("updates of the main network")
    if scale == "log":
      axis.set_yscale("log")
    if scale == "percent":
      axis.yaxis.set_major_formatter(PercentFormatter(xmax=1))
  for axis in axes[:, 0]:
    axis.set_ylabel(ylabel)
  legend_of(figure, axes)
  save(figure, path, f"{note} {describe_bands(lines.values())}".strip())
