"""Pictures of a fit: `pip install matplotlib`.

Every function returns a `matplotlib.figure.Figure`; `figure.savefig("x.png")`
writes it. None of them touches pyplot's state.
"""

import typing

import numpy as np

if typing.TYPE_CHECKING:
  from matplotlib.figure import Figure

  from sobolev_tf.model import SobolevModel

_DOT = {"s": 12, "alpha": 0.6, "linewidths": 0}


def goodness_of_fit(
  model: "SobolevModel", x: np.ndarray, y: typing.Any
) -> "Figure":
  """Predictions against labels, of the value and of each partial.

  Args:
    model: a `SobolevModel` of inputs `[N, d]`.
    x: `[N, d]`, points that the model was not trained on.
    y: labels y, `(y, dy)` or `(y, dy, d2y)` at x; NaN is left out.

  Returns:
    A figure with one square for each component; its title is R2.
  """
  labels = y if isinstance(y, (list, tuple)) else (y,)
  predicted = model.predict_with_derivatives(x)
  panels = []
  for order, (ours, true) in enumerate(zip(predicted, labels, strict=False)):
    true = np.asarray(true).reshape(ours.shape)
    for place in np.ndindex(ours.shape[1:]):
      column = (slice(None), *place)
      panels.append((_name(order, place), true[column], ours[column]))
  figure, axes = _grid(len(panels))
  for axis, (name, true, ours) in zip(axes, panels, strict=True):
    known = ~np.isnan(true)
    true, ours = true[known], ours[known]
    axis.scatter(true, ours, **_DOT)
    ends = [min(true.min(), ours.min()), max(true.max(), ours.max())]
    axis.plot(ends, ends, color="black", linewidth=0.8)
    axis.set_title(f"{name}: R2 {_r2(ours, true):.4f}")
    axis.set_xlabel("label")
    axis.set_ylabel("predicted")
  return figure


def sensitivity_profiles(
  model: "SobolevModel",
  x: np.ndarray,
  limits: typing.Sequence,
  points: int = 60,
  slopes: int = 7,
) -> "Figure":
  """The value along each input, the others held at x, with its slopes.

  Args:
    model: a `SobolevModel` of inputs `[N, d]` and one output.
    x: `[d]`, where the profiles cross.
    limits: d pairs (low, high).
    points: how many make a line.
    slopes: how many short tangents each line carries.
  """
  x = np.asarray(x, float)
  figure, axes = _grid(len(x))
  for i, axis in enumerate(axes):
    low, high = limits[i]
    line = np.tile(x, [points, 1])
    line[:, i] = np.linspace(low, high, points)
    value, gradient = model.predict_with_derivatives(line)[:2]
    value, slope = value.reshape(points), gradient.reshape(points, -1)[:, i]
    axis.plot(line[:, i], value)
    reach = 0.04 * (high - low)
    for k in np.linspace(0, points - 1, slopes).round().astype(int):
      ends = np.array([-reach, reach])
      axis.plot(
        line[k, i] + ends, value[k] + slope[k] * ends, color="C1", linewidth=2
      )
    axis.axvline(x[i], color="black", linewidth=0.6, linestyle=":")
    axis.set_xlabel(f"x{i}")
    axis.set_ylabel("y")
  return figure


def surface(
  model: "SobolevModel",
  limits: typing.Sequence,
  train_x: np.ndarray | None = None,
  points: int = 60,
  arrows: int = 15,
) -> "Figure":
  """The value as colours and its gradient as arrows, for two inputs.

  Args:
    model: a `SobolevModel` of inputs `[N, 2]` and one output.
    limits: two pairs (low, high).
    train_x: None, or `[N, 2]` to mark.
    points: colours along one side.
    arrows: arrows along one side.
  """
  figure, (axis,) = _grid(1)
  fine, sides = _mesh(limits, points)
  value = model.predict_with_derivatives(fine)[0].reshape(points, points)
  drawn = axis.contourf(*sides, value, levels=20)
  figure.colorbar(drawn, ax=axis)
  coarse, _ = _mesh(limits, arrows)
  gradient = model.predict_with_derivatives(coarse)[1].reshape(-1, 2)
  axis.quiver(*coarse.T, *gradient.T, color="white", width=0.003)
  if train_x is not None:
    axis.scatter(*np.asarray(train_x).T, color="black", s=10)
  axis.set_xlabel("x0")
  axis.set_ylabel("x1")
  return figure


def residuals_by_distance(
  model: "SobolevModel", train_x: np.ndarray, x: np.ndarray, y: typing.Any
) -> "Figure":
  """Errors of values against the distance to the nearest training point.

  Args:
    model: a `SobolevModel` of inputs `[N, d]` and one output.
    train_x: `[M, d]`.
    x: `[N, d]`, other points.
    y: `[N]` or `[N, 1]`, their values.
  """
  train_x, x = np.asarray(train_x, float), np.asarray(x, float)
  scale = np.where(train_x.std(axis=0) > 0, train_x.std(axis=0), 1.0)
  # Row by row: all distances at once would not fit for many points.
  distance = [
    np.min(((train_x - p) / scale) ** 2 @ np.ones(x.shape[1])) for p in x
  ]
  predicted = model.predict_with_derivatives(x)[0].reshape(-1)
  figure, (axis,) = _grid(1)
  axis.scatter(np.sqrt(distance), predicted - np.reshape(y, -1), **_DOT)
  axis.axhline(0, color="black", linewidth=0.8)
  axis.set_xlabel("standardised distance to training points")
  axis.set_ylabel("predicted - label")
  return figure


def _grid(count):
  """A figure of `count` panels: (figure, list of axes)."""
  from matplotlib.figure import Figure

  columns = min(count, 3)
  rows = -(-count // columns)
  figure = Figure(figsize=(4 * columns, 3.6 * rows), layout="constrained")
  axes = figure.subplots(rows, columns, squeeze=False).ravel()
  for axis in axes[count:]:
    axis.set_visible(False)
  return figure, list(axes[:count])


def _mesh(limits, count):
  sides = [np.linspace(low, high, count) for low, high in limits]
  return np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 2), sides


def _name(order, place):
  output, *inputs = place
  power = "" if order < 2 else str(order)
  if not order:
    return f"y{output}"
  return f"d{power}y{output}/" + "".join(f"dx{i}" for i in inputs)


def _r2(predicted, labels):
  spread = np.mean((labels - labels.mean()) ** 2)
  return 1 - np.mean((predicted - labels) ** 2) / spread if spread else np.nan
