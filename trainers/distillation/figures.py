"""Curves of distillation runs in the form of Figure 4, drawn from arrays."""

from trainers.lifecycle.figures import draw_bands, panels, save

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


def save_curves(path, lines):
  """Draws a column for each percentage, and for each game a row per measure.

  Args:
    path: PNG file to write.
    lines: dict from (game, measure, percentage) to a dict from a method to
      (steps `[T]`, values `[seeds, T]`).
  """
  rows = list(dict.fromkeys(key[:2] for key in lines))
  percentages = sorted({key[2] for key in lines})
  figure, axes = panels(
    len(rows),
    len(percentages),
    2.9,
    2.3,
    margin=1.6,
    sharex=True,
    sharey="row",
  )
  for i, (game, measure) in enumerate(rows):
    for axis, percentage in zip(axes[i], percentages, strict=True):
      draw_bands(axis, lines.get((game, measure, percentage), {}), _COLOURS)
      if measure.endswith("_kl"):
        axis.set_yscale("log")
    title = game.replace("_", " ").title()
    axes[i, 0].set_ylabel(f"{title}\n{_TITLES[measure]}")
  for axis, percentage in zip(axes[0], percentages, strict=True):
    axis.set_title(f"{percentage:g} %")
  for axis in axes[-1]:
    axis.set_xlabel("updates")
  handles = {}
  for axis in axes.flat:
    found, labels = axis.get_legend_handles_labels()
    handles.update(zip(labels, found, strict=True))
  axes[0, -1].legend(handles.values(), handles.keys(), loc="upper right")
  save(figure, path)
