"""Learning curves of the Atari teachers, drawn from arrays."""

import matplotlib

matplotlib.use("Agg")  # no screen needed

import matplotlib.pyplot as plt  # noqa: E402


def save_curves(path, panels):
  """Draws one panel per game: our score over the steps, and a reference.

  Args:
    path: PNG file to write.
    panels: dict from a panel's title to (steps, scores, reference), where
      `reference` is (steps, scores) or None; steps in millions.
  """
  figure, axes = plt.subplots(
    1,
    len(panels),
    figsize=(0.6 + 4.2 * len(panels), 3.6),
    dpi=100,
    squeeze=False,
  )
  for axis, (title, curves) in zip(axes.flat, panels.items(), strict=True):
    steps, scores, reference = curves
    axis.plot(steps, scores, color="tab:blue", label="ours")
    if reference is not None:
      axis.plot(*reference, "o--", color="tab:gray", label="reference")
    axis.set_title(title)
    axis.set_xlabel("million steps")
    axis.grid(alpha=0.3)
  axes[0, 0].set_ylabel("score of the games in training")
  axes[0, -1].legend()
  figure.tight_layout()
  figure.savefig(path)
  plt.close(figure)
