"""Pictures of a fit, tested as the arrays they are drawn from."""

import numpy as np
import pytest

from sobolev_tf import plots


class _Plane:
  """A model of y = 2 x0 - x1 that knows its derivatives."""

  def predict_with_derivatives(self, x):
    x = np.asarray(x, float)
    slopes = np.tile([[[2.0, -1.0]]], [len(x), 1, 1])
    return x @ [[2.0], [-1.0]], slopes


_X = np.random.default_rng(0).uniform(-1, 1, [30, 2])


def test_goodness_of_fit_has_a_panel_per_component_and_leaves_out_nan():
  y = _X @ [2.0, -1.0] + 0.5
  dy = np.tile([2.0, -1.0], [30, 1])
  y[4] = np.nan
  figure = plots.goodness_of_fit(_Plane(), _X, (y, dy))
  axes = [axis for axis in figure.axes if axis.get_visible()]
  assert [a.get_title().split(":")[0] for a in axes] == [
    "y0",
    "dy0/dx0",
    "dy0/dx1",
  ]
  dots = axes[0].collections[0].get_offsets()
  assert len(dots) == 29
  np.testing.assert_allclose(dots[:, 0] - dots[:, 1], 0.5)


def test_sensitivity_profiles_carry_tangents_of_the_models_slopes():
  figure = plots.sensitivity_profiles(_Plane(), [0.1, 0.2], [(-1, 1), (0, 3)])
  for axis, slope in zip(figure.axes, (2.0, -1.0), strict=True):
    for line in axis.lines[:-1]:  # the last one marks x
      x, y = line.get_data()
      np.testing.assert_allclose(np.diff(y) / np.diff(x), slope)
  assert figure.axes[1].get_lines()[0].get_xdata().max() == 3


def test_surface_draws_the_gradient_field():
  figure = plots.surface(_Plane(), [(-1, 1), (-1, 1)], train_x=_X, arrows=5)
  arrows = figure.axes[0].collections[-2]
  assert len(arrows.U) == 25
  np.testing.assert_allclose(np.stack([arrows.U, arrows.V]).T, [[2, -1]] * 25)


def test_residuals_are_drawn_at_their_distance_to_the_training_points():
  train = np.array([[-1.0, -1.0], [1.0, 1.0]])
  figure = plots.residuals_by_distance(
    _Plane(), train, [[-1.0, -1.0], [1.0, 2.0]], [-1.0, 3.0]
  )
  dots = figure.axes[0].collections[0].get_offsets()
  np.testing.assert_allclose(dots, [[0.0, 0.0], [1.0, -3.0]])


@pytest.mark.parametrize("count", [1, 4])
def test_figures_can_be_written(count, tmp_path):
  figure, axes = plots._grid(count)
  assert len(axes) == count
  figure.savefig(tmp_path / "figure.png")
