"""Learning curves of the Atari teachers, drawn from arrays."""

from trainers.lifecycle.figures import STYLES, legend_of, panels, save

_OURS, _REFERENCE = STYLES["sobolev"], STYLES["regular"]


def save_curves(path, curves, ours, reference, note=""):
  """Draws one panel per game: our score over the steps, and a reference.

  Args:
    path: PNG file to write.
    curves: dict from a panel's title to (steps, scores, reference), where
      `reference` is (steps, scores) or None; steps in millions.
    ours: what our line is, for the legend.
    reference: what the reference is and its schedule, for the legend.
    note: what the steps and scores are.
  """
  figure, axes = panels(1, len(curves), 3.8, 3.4)
  for axis, (title, curve) in zip(axes.flat, curves.items(), strict=True):
    steps, scores, known = curve
    axis.plot(steps, scores, color=_OURS.colour, label=ours)
    if known is not None:
      axis.plot(
        *known,
        "--",
        marker=_REFERENCE.marker,
        color=_REFERENCE.colour,
        label=reference,
      )
    axis.set_title(title.replace("_", " ").title())
    axis.set_xlabel("million steps")
  axes[0, 0].set_ylabel("score of the games in training")
  legend_of(figure, axes, loc="outside lower center")
  save(figure, path, note)
