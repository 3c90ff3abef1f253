"""What the theory's statements share: a measured number and a canvas."""

import dataclasses
import typing

import matplotlib

matplotlib.use("Agg")  # no screen needed

import matplotlib.pyplot as plt  # noqa: E402

REGULAR, SOBOLEV, THIRD = "tab:orange", "tab:blue", "tab:green"


@dataclasses.dataclass(frozen=True)
class Measurement:
  """One number that a statement bounds: `measured` must be below or above."""

  quantity: str
  measured: float
  bound: float
  above: bool = False

  @property
  def holds(self):
    """Whether the measured number keeps the bound."""
    if self.above:
      return bool(self.measured >= self.bound)
    return bool(self.measured <= self.bound)


class Result(typing.NamedTuple):
  """What a statement's function returns."""

  figure: plt.Figure
  measurements: list


def canvas(title, columns=2):
  """Makes a titled figure; returns it with its axes."""
  figure, axes = plt.subplots(
    1,
    columns,
    figsize=(3.6 + 3.6 * columns, 4.4),
    dpi=110,
    layout="constrained",
  )
  figure.suptitle(title, fontsize=12)
  return figure, axes
