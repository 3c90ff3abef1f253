"""Drawings that are kept as files and drawn from those."""

import json

import numpy as np
import pytest

from trainers.lifecycle.command_line import CommandError
from trainers.theory import results


def kept(tmp_path):
  drawing, (left, right) = results.canvas("θ")
  left.plot(np.array([1.0, 2.0]), np.array([1 / 3, 1e-17]), "o", color="red")
  left.set(xlabel="x", ylim=(0, 1))
  right.errorbar(0, np.float64(2.0), yerr=0.5)
  right.set_yticks(range(1), ["a"])
  drawing.write(tmp_path / "x.json")
  return tmp_path / "x.json"


def test_a_drawing_keeps_the_numbers_of_every_call(tmp_path):
  title, (left, right) = json.loads(kept(tmp_path).read_text())
  assert title == "θ"
  assert left == [
    ["plot", [[1.0, 2.0], [0.333333, 1e-17], "o"], {"color": "red"}],
    ["set", [], {"xlabel": "x", "ylim": [0, 1]}],
  ]
  assert right[0] == ["errorbar", [0, 2.0], {"yerr": 0.5}]


def test_matplotlib_is_handed_what_was_kept(tmp_path, monkeypatch):
  lines = []

  def keep(figure, path):
    for axis in figure.axes:
      lines.extend(line.get_xydata().tolist() for line in axis.lines)

  monkeypatch.setattr(results, "save", keep)
  results.draw(kept(tmp_path), tmp_path / "x.png")
  assert lines[0] == [[1.0, 0.333333], [2.0, 1e-17]]


@pytest.mark.parametrize(
  "text",
  [
    "",
    "[1]",
    '["t", 1]',
    '["t", [[["plot", [[1], [1, 2]], {}]]]]',
    '["t", [[["figure.savefig", ["/x"], {}]]]]',
    '["t", [[["__init__", [], {}]]]]',
  ],
)
def test_a_damaged_drawing_is_one_sentence(tmp_path, text):
  (tmp_path / "x.json").write_text(text)
  with pytest.raises(CommandError, match="cannot be drawn"):
    results.draw(tmp_path / "x.json", tmp_path / "x.png")
  assert not (tmp_path / "x.png").exists()


def test_a_call_that_cannot_be_drawn_again_is_refused():
  _, panel = results.canvas("t", columns=1)
  with pytest.raises(AttributeError, match="no imshow"):
    panel.imshow([[1]])
