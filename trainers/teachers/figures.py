"""Learning curves of the Atari teachers, drawn from arrays."""

from trainers.lifecycle.figures import panels, save


def save_curves(path, curves):
  """Draws one panel per game: our score over the steps, and a reference.

  Args:
    path: PNG file to write.
    curves: dict from a panel's title to (steps, scores, reference), where
      `reference` is (steps, scores) or None; steps in millions.
  """
  figure, axes = panels(1, len(curves), 4.2, 3.6, margin=0.6)
  for axis, (title, curve) in zip(axes.flat, curves.items(), strict=True):
    steps, scores, reference = curve
    axis.plot(steps, scores, color="tab:blue", label="ours")
    if reference is not None:
      axis.plot(*reference, "o--", color="tab:gray", label="reference")
    axis.set_title(title)
    axis.set_xlabel("million steps")
    axis.grid(alpha=0.3)
  axes[0, 0].set_ylabel("score of the games in training")
  axes[0, -1].legend()
  save(figure, path)
