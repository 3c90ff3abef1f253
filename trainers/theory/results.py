"""What the theory's statements share: a measured number and a drawing."""

import dataclasses
import json
import typing

import numpy as np

from trainers.lifecycle import files
from trainers.lifecycle.command_line import CommandError
from trainers.lifecycle.figures import STYLES, plt, save

# What learns from values, from derivatives as well, and from yet more.
REGULAR, SOBOLEV, THIRD = (
  STYLES[method].colour for method in ("regular", "sobolev", "noise")
)
MARKERS = {
  STYLES[method].colour: STYLES[method].marker
  for method in ("regular", "sobolev", "noise")
}
# Methods of a matplotlib axis that a drawing may call.
_CALLS = (
  "axhline",
  "errorbar",
  "legend",
  "loglog",
  "minorticks_off",
  "plot",
  "set",
  "set_xticks",
  "set_yticks",
)


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


class Panel:
  """Remembers what matplotlib is to draw on one axis."""

  def __init__(self):
    self.calls = []  # [name, arguments, named arguments]

  def __getattr__(self, name):
    if name not in _CALLS:
      raise AttributeError(f"a drawing has no {name}.")
    return lambda *args, **named: self.calls.append([name, args, named])


class Drawing(typing.NamedTuple):
  """A figure as a list of calls for each panel, kept beside its picture."""

  title: str
  panels: list

  def write(self, path):
    """Writes it as JSON, with six digits of every number."""
    content = [self.title, [panel.calls for panel in self.panels]]
    with open(path, "w", encoding="utf-8") as file:
      json.dump(_plain(content), file, ensure_ascii=False)
      file.write("\n")


def _plain(value):
  if isinstance(value, dict):
    return {name: _plain(item) for name, item in value.items()}
  if isinstance(value, str | bool | int | None):
    return value
  if isinstance(value, list | tuple | range):
    return [_plain(item) for item in value]
  array = np.asarray(value)
  return _plain(array.tolist()) if array.ndim else float(f"{float(array):.6g}")


def draw(path, picture):
  """Draws what `Drawing.write` wrote into a PNG file.

  Raises:
    CommandError: the file is damaged.
  """
  try:
    with open(path, encoding="utf-8", opener=files.regular) as file:
      title, panels = json.load(file)
    figure, axes = plt.subplots(
      1,
      len(panels),
      figsize=(2.6 + 3.2 * len(panels), 4.0),
      layout="constrained",
      squeeze=False,
    )
    figure.suptitle(title, fontsize=10)
    for axis, calls in zip(axes.flat, panels, strict=True):
      for name, args, named in calls:
        getattr(axis, _CALLS[_CALLS.index(name)])(*args, **named)
  except (OSError, ValueError, TypeError, AttributeError) as error:
    raise CommandError(
      f"{path} cannot be drawn ({error}); measure the figure anew."
    ) from error
  save(figure, picture)


class Result(typing.NamedTuple):
  """What a statement's function returns."""

  figure: Drawing
  measurements: list


def canvas(title, columns=2):
  """Begins a titled drawing; returns it with its panel, or a list of them."""
  panels = [Panel() for _ in range(columns)]
  return Drawing(title, panels), panels if columns > 1 else panels[0]
