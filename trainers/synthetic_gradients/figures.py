"""Curves of the synthetic-gradient runs, drawn from arrays."""

import matplotlib

matplotlib.use("Agg")  # no screen needed

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

COLOURS = {
  "backprop": "black",
  "noprop": "tab:gray",
  "direct": "tab:red",
  "vfbn": "tab:orange",
  "critic": "tab:green",
  "sobolev": "tab:blue",
  "sobolev_labels": "tab:purple",
}


def save_curves(path, panels, ylabel, num_columns=1):
  """Draws one line per method in each panel, mean and range over seeds.

  Args:
    path: PNG file to write.
    panels: dict from a panel's title to a dict from a method to (steps `[T]`,
      values `[seeds, T]`).
    ylabel: text beside the vertical axes, which the panels share.
    num_columns: panels beside each other.
  """
  rows = -(-len(panels) // num_columns)
  figure, axes = plt.subplots(
    rows,
    num_columns,
    figsize=(1.6 + 4.4 * num_columns, 3.8 * rows),
    dpi=100,
    squeeze=False,
    sharey=True,
  )
  for axis, (title, lines) in zip(axes.flat, panels.items(), strict=False):
    for method, (steps, values) in lines.items():
      colour = COLOURS[method]
      mean = np.mean(values, axis=0)
      label = method.replace("_", " + ")
      axis.plot(steps, mean, color=colour, label=label)
      # The range, not the deviation: three seeds are too few for a band.
      axis.fill_between(
        steps,
        np.min(values, axis=0),
        np.max(values, axis=0),
        color=colour,
        alpha=0.15,
        linewidth=0,
      )
    axis.set_title(title)
    axis.set_xlabel("updates")
    axis.grid(alpha=0.3)
  for axis in axes[:, 0]:
    axis.set_ylabel(ylabel)
  for axis in axes.flat[len(panels) :]:
    axis.axis("off")
  axes[0, -1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
  figure.tight_layout()
  figure.savefig(path)
  plt.close(figure)
