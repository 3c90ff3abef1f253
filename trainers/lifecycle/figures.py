"""What all figures share: a style for each method, a canvas, lines, files."""

import io
import os
import textwrap
import typing

import matplotlib

matplotlib.use("Agg")  # no screen needed

import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

plt.rcParams.update(
  {
    "pdf.fonttype": 42,  # TrueType: printers refuse Type 3
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
  }
)
_MARKERS_PER_LINE = 6
_NOTE_CHARACTERS = 17  # of a note, in an inch


class Style(typing.NamedTuple):
  """How a method is drawn, in every figure.

  Attributes:
    name: the paper's.
    colour: of Okabe and Ito's palette, which the colour-blind tell apart.
    marker: no other method has it, so grey copies are readable too.
  """

  name: str
  colour: str
  marker: str


STYLES = {
  "regular": Style("regular", "#D55E00", "s"),
  "sobolev": Style("Sobolev", "#0072B2", "o"),
  "noise": Style("noisy inputs", "#009E73", "^"),
  "attention": Style("attention transfer", "#CC79A7", "D"),
  "backprop": Style("Backprop", "#000000", "*"),
  "noprop": Style("Noprop", "#BBBBBB", "X"),
  "direct": Style("Direct SG", "#D55E00", "v"),
  "vfbn": Style("VFBN", "#E69F00", "<"),
  "critic": Style("Critic", "#009E73", ">"),
  "sobolev_labels": Style("Sobolev + label derivatives", "#56B4E9", "P"),
  "local": Style("Local losses", "#CC79A7", "p"),
}
_UNKNOWN = "#999999"


def style_of(method):
  """A method's `Style`; one without an entry is grey, with its own name."""
  return STYLES.get(method, Style(str(method), _UNKNOWN, "h"))


def panels(rows, columns, width, height, margin=0.0, **settings):
  """Makes a figure of panels.

  Args:
    rows: number of them.
    columns: number of them.
    width: of a panel, in inches.
    height: of a panel, in inches.
    margin: width beside all panels, for a legend.
    **settings: for `plt.subplots`.

  Returns:
    (figure, axes `[rows, columns]`).
  """
  return plt.subplots(
    rows,
    columns,
    figsize=(margin + width * columns, height * rows),
    squeeze=False,
    layout="constrained",
    **settings,
  )


def draw_bands(axis, lines, mean=np.mean):
  """Draws a line for each method: its mean and range over the seeds.

  Args:
    axis: to draw on.
    lines: dict from a method to (steps `[T]`, values `[seeds, T]`).
    mean: function of (values, axis) for the line.
  """
  for index, (method, (steps, values)) in enumerate(lines.items()):
    style = style_of(method)
    every = max(len(steps) // _MARKERS_PER_LINE, 1)
    axis.plot(
      steps,
      mean(values, axis=0),
      color=style.colour,
      marker=style.marker,
      markersize=5,
      markevery=(index % every, every),  # lines may lie on each other
      label=style.name,
    )
    # The range, not the deviation: three seeds are too few for a band.
    low, high = np.min(values, axis=0), np.max(values, axis=0)
    axis.fill_between(
      steps, low, high, color=style.colour, alpha=0.15, linewidth=0
    )


def describe_bands(lines):
  """Says what the lines and bands of `draw_bands` are, and of how many seeds.

  Args:
    lines: iterable of what `draw_bands` takes.
  """
  counts = {len(values) for one in lines for _, values in one.values()}
  if counts <= {1}:
    return "One seed."
  few, most = min(counts), max(counts)
  seeds = f"{most}" if few == most else f"{few} to {most}"
  return f"Line: mean of {seeds} seeds; band: lowest to highest seed."


def legend_of(figure, axes, **settings):
  """Puts one legend of all that the axes show beside the panels."""
  handles = {}
  for axis in np.ravel(axes):
    found, labels = axis.get_legend_handles_labels()
    handles.update(zip(labels, found, strict=True))
  if handles:
    place = {"loc": "outside right upper", **settings}
    figure.legend(handles.values(), handles.keys(), **place)


def add_note(figure, note):
  """Writes lines below the panels, none longer than the figure is wide."""
  width = round(_NOTE_CHARACTERS * figure.get_figwidth())
  lines = [textwrap.fill(line, width) for line in note.split("\n")]
  figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=8)


def save(figure, path, note=""):
  """Writes a PNG file and beside it a PDF file for print; forgets the figure.

  Args:
    figure: to write.
    path: of the PNG file, `NAME.png`.
    note: line below the panels: data set, seeds, what a band is.
  """
  if note:
    add_note(figure, note)
  drawn = io.BytesIO()
  figure.savefig(drawn, format="png", dpi=110)
  figure.set_layout_engine("none")  # it stands: both files look the same
  vector = f"{os.path.splitext(path)[0]}.pdf"
  # Without its date the file depends on the numbers alone.
  figure.savefig(vector, dpi=160, metadata={"CreationDate": None})
  plt.close(figure)
  write_png(Image.open(drawn), path)


def write_png(image, path):
  """Writes a picture with a palette of 256 colours, a third of the size."""
  picture = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
  picture.save(path, format="PNG", optimize=True)


def as_array(figure):
  """Draws a figure as uint8 `[H, W, 3]` and forgets it."""
  figure.canvas.draw()
  image = np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
  plt.close(figure)
  return image
