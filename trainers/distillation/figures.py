"""Curves of distillation runs in the form of Figure 4, drawn from arrays."""

from matplotlib.ticker import PercentFormatter

from trainers.lifecycle.figures import (
  describe_bands,
  draw_bands,
  legend_of,
  panels,
  save,
)

_TITLES = {
  "test_error": "test action\nprediction error",
  "test_kl": "test KL (nats)",
}
_LEVELS = {
  "test_error": "always the most frequent action",
  "test_kl": "teacher's mean entropy",
}


def save_curves(path, lines, levels=None, note=""):
  """Draws a column for each percentage, and for each game a row per measure.

  Args:
    path: PNG file to write.
    lines: dict from (game, measure, percentage) to a dict from a method to
      (steps `[T]`, values `[seeds, T]`).
    levels: dict from such a key to a number to compare with: the error of
      always taking the most frequent action, or the teacher's entropy.
    note: what the networks learn from.
  """
  rows = list(dict.fromkeys(key[:2] for key in lines))
  percentages = sorted({key[2] for key in lines})
  figure, axes = panels(
    len(rows),
    len(percentages),
    2.6,
    2.1,
    margin=2.2,
    sharex=True,
    sharey="row",
  )
  for i, (game, measure) in enumerate(rows):
    for axis, percentage in zip(axes[i], percentages, strict=True):
      key = game, measure, percentage
      draw_bands(axis, lines.get(key, {}))
      _draw_level(axis, measure, (levels or {}).get(key))
      if measure.endswith("_kl"):
        axis.set_yscale("log")
      else:
        axis.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    title = game.replace("_", " ").title()
    axes[i, 0].set_ylabel(f"{title}\n{_TITLES[measure]}")
  for axis, percentage in zip(axes[0], percentages, strict=True):
    axis.set_title(f"{percentage:g} % of the frames")
  for axis in axes[-1]:
    axis.set_xlabel("updates")
  legend_of(figure, axes)
  save(figure, path, f"{note} {describe_bands(lines.values())}".strip())


def _draw_level(axis, measure, level):
  if level is not None:
    line = "--" if measure == "test_error" else ":"
    axis.axhline(level, color="black", ls=line, lw=1, label=_LEVELS[measure])
