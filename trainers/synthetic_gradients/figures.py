"""Curves of the synthetic-gradient runs, drawn from arrays."""

from trainers.lifecycle.figures import draw_bands, panels, save

COLOURS = {
  "backprop": "black",
  "noprop": "tab:gray",
  "direct": "tab:red",
  "vfbn": "tab:orange",
  "critic": "tab:green",
  "sobolev": "tab:blue",
  "sobolev_labels": "tab:purple",
}


def save_curves(path, lines, ylabel, num_columns=1):
  """Draws one line per method in each panel, mean and range over seeds.

  Args:
    path: PNG file to write.
    lines: dict from a panel's title to a dict from a method to (steps `[T]`,
      values `[seeds, T]`).
    ylabel: text beside the vertical axes, which the panels share.
    num_columns: panels beside each other.
  """
  rows = -(-len(lines) // num_columns)
  figure, axes = panels(rows, num_columns, 4.4, 3.8, margin=1.6, sharey=True)
  for axis, (title, own) in zip(axes.flat, lines.items(), strict=False):
    draw_bands(axis, own, COLOURS, lambda method: method.replace("_", " + "))
    axis.set_title(title)
    axis.set_xlabel("updates")
  for axis in axes[:, 0]:
    axis.set_ylabel(ylabel)
  axes[0, -1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
  save(figure, path)
