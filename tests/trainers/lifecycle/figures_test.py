"""Styles that everybody tells apart, bands, and the files of a figure."""

import itertools

import numpy as np
import pytest
from PIL import Image

from trainers.lifecycle import figures

# Linear RGB as seen without cones for red or green (Machado et al. 2009).
_SIGHT = {
  "full": np.eye(3),
  "protanopia": [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  "deuteranopia": [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.011820, 0.042940, 0.968881],
  ],
}
_TOGETHER = (
  ("regular", "sobolev", "noise", "attention"),
  ("backprop", "noprop", "direct", "vfbn", "critic", "sobolev"),
  ("sobolev", "sobolev_labels"),
)


def lab(colour, sight):
  rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
  linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
  linear = np.clip(np.asarray(_SIGHT[sight]) @ linear, 0, 1)
  xyz = np.array(
    [
      [0.4124, 0.3576, 0.1805],
      [0.2126, 0.7152, 0.0722],
      [0.0193, 0.1192, 0.9505],
    ]
  ) @ linear / [0.9505, 1, 1.089]  # fmt: skip
  f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
  return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("sight", _SIGHT)
def test_methods_of_one_figure_are_told_apart_by_colour(sight):
  for methods in _TOGETHER:
    for pair in itertools.combinations(methods, 2):
      one, other = (lab(figures.STYLES[m].colour, sight) for m in pair)
      assert np.linalg.norm(one - other) > 15, (pair, sight)  # 2 is just seen


def test_every_method_has_a_marker_and_a_name_of_its_own():
  for field in ("marker", "name"):
    found = [getattr(style, field) for style in figures.STYLES.values()]
    assert len(set(found)) == len(found)
  assert figures.style_of("sobolev, kl=reverse").name == "sobolev, kl=reverse"


def test_a_band_is_the_range_and_a_line_the_mean():
  figure, axes = figures.panels(1, 1, 3, 3)
  lines = {"critic": ([1, 2], [[1.0, 2.0], [3.0, 7.0]])}
  figures.draw_bands(axes[0, 0], lines)
  (line,) = axes[0, 0].lines
  assert line.get_xydata().tolist() == [[1, 2], [2, 4.5]]
  assert line.get_label() == "Critic" and line.get_marker() == ">"
  corners = axes[0, 0].collections[0].get_paths()[0].vertices
  assert {tuple(corner) for corner in corners} >= {(1, 1), (1, 3), (2, 7)}
  figures.plt.close(figure)
  assert "mean of 2 seeds" in figures.describe_bands([lines])
  assert figures.describe_bands([{"a": ([1], [[1.0]])}]) == "One seed."


def test_a_figure_is_a_small_picture_and_the_same_vector_file_each_time(
  tmp_path,
):
  def save():
    figure, axes = figures.panels(1, 1, 3, 3)
    axes[0, 0].plot([0, 1], [0, 1])
    figures.save(figure, str(tmp_path / "a.png"), "digits, 3 seeds")
    return [(tmp_path / f"a.{kind}").read_bytes() for kind in ("png", "pdf")]

  png, pdf = save()
  assert pdf.startswith(b"%PDF") and b"/Subtype /Type3" not in pdf
  assert Image.open(tmp_path / "a.png").mode == "P" and len(png) < 20_000
  assert save() == [png, pdf]
