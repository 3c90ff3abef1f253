"""Curves of distillation runs in the form of Figure 4, drawn from arrays."""

import matplotlib

matplotlib.use("Agg")  # no screen needed

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

_COLOURS = {
  "regular": "tab:orange",
  "sobolev": "tab:blue",
  "noise": "tab:green",
  "attention": "tab:red",
}
_TITLES = {
  "test_error": "test action\nprediction error",
  "test_kl": "test KL",
}


def save_curves(path, panels):
  """Draws a column for each percentage, and for each game a row per measure.

  Args:
    path: PNG file to write.
    panels: dict from (game, measure, percentage) to a dict from a method to
      (steps `[T]`, values `[seeds, T]`).
  """
  rows = list(dict.fromkeys(key[:2] for key in panels))
  percentages = sorted({key[2] for key in panels})
  figure, axes = plt.subplots(
    len(rows),
    len(percentages),
    figsize=(1.6 + 2.9 * len(percentages), 2.3 * len(rows)),
    dpi=100,
    squeeze=False,
    sharex=True,
    sharey="row",
  )
  for i, (game, measure) in enumerate(rows):
    for j, percentage in enumerate(percentages):
      axis = axes[i, j]
      _draw(axis, panels.get((game, measure, percentage), {}))
      if measure.endswith("_kl"):
        axis.set_yscale("log")
      if i == 0:
        axis.set_title(f"{percentage:g} %")
      if i == len(rows) - 1:
        axis.set_xlabel("updates")
    title = game.replace("_", " ").title()
    axes[i, 0].set_ylabel(f"{title}\n{_TITLES[measure]}")
  handles = {}
  for axis in axes.flat:
    lines, labels = axis.get_legend_handles_labels()
    handles.update(zip(labels, lines, strict=True))
  axes[0, -1].legend(handles.values(), handles.keys(), loc="upper right")
  figure.tight_layout()
  figure.savefig(path)
  plt.close(figure)


def _draw(axis, lines):
  for method, (steps, found) in lines.items():
    colour = _COLOURS.get(method, "tab:gray")
    axis.plot(steps, np.mean(found, axis=0), color=colour, label=method)
    # The range, not the deviation: three seeds are too few for a band.
    axis.fill_between(
      steps,
      np.min(found, axis=0),
      np.max(found, axis=0),
      color=colour,
      alpha=0.15,
      linewidth=0,
    )
  axis.grid(alpha=0.3)
