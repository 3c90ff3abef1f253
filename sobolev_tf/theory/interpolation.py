"""Proposition 1: a ReLU network with any given values and gradients (SM §1).

On a line the proof puts a bump over each point: flat or tilted on top, zero
beyond the neighbours, four ReLUs each. In d dimensions it turns the space
until no two points share a coordinate, and lets the bumps of each coordinate
carry one component of the gradient.
"""

import numpy as np
import sonnet as snt
import tensorflow as tf
from numpy.typing import ArrayLike

# A bump has its kinks at -2, -1, 1 and 2 half-widths from its point. Weighing
# the four ReLUs by _LEVEL gives the value 1 and the slope 0 on top, by _TILT
# the value 0 and the slope 1: the paper's p and q. Each list sums to zero, and
# so does its product with the kinks: that is why a bump ends.
_KINKS = (-2.0, -1.0, 1.0, 2.0)
_LEVEL = (1.0, -1.0, -1.0, 1.0)
_TILT = (-1.0, 2.0, -2.0, 1.0)

_NUM_DRAWS = 16  # random rotations to choose from
_RESOLUTION = 1e-13  # closest two coordinates may be, relative to the largest


class InterpolatingNetwork(snt.Module):
  """One hidden layer of ReLUs or leaky ReLUs after a change of coordinates.

  The unit j of the bump over point i computes `relu(u_i - kink_j)`, where
  `u_i = (<a, x> - centre_i) / width_i` measures x in half-widths of the bump,
  along the row a of A that the bump lies on.

  Sums of thousands of steep ReLUs lose the digits that cancel. Here the four
  units of a bump are summed before the bumps are: u is rounded once, the kinks
  are integers, and so the four terms cancel exactly wherever the bump is zero,
  in the backward pass too.
  """

  def __init__(
    self,
    basis: ArrayLike,
    axes: ArrayLike,
    levels: ArrayLike,
    tilts: ArrayLike,
    negative_slope: float,
    name: str | None = None,
  ):
    """Takes the weights as they are.

    Args:
      basis: A, `[d, d]`; one row per new coordinate.
      axes: `[N]`, the coordinate that carries the value of each point.
      levels: `(centres, widths, heights)`, each `[N]`.
      tilts: `(centres, widths, slopes)`, each `[d, N]`.
      negative_slope: of the leaky ReLU, 0 for the ReLU.
      name: module name.
    """
    super().__init__(name=name)
    self.basis = tf.Variable(basis, name="basis")
    self.axes = tf.constant(axes)
    self.levels = tuple(tf.Variable(array) for array in levels)
    self.tilts = tuple(tf.Variable(array) for array in tilts)
    self._negative_slope = negative_slope

  @property
  def num_units(self) -> int:
    """How many hidden units the network has: 4 N (d + 1)."""
    return len(_KINKS) * (
      self.levels[0].shape.num_elements() + self.tilts[0].shape.num_elements()
    )

  def __call__(self, x: ArrayLike) -> tf.Tensor:
    """Evaluates the network.

    Args:
      x: `[B, d]`, cast to float64. The hidden layer takes 8 B bytes for each
        of `num_units`, and a few times that with a gradient: for large
        networks batches of about 100 are quickest.

    Returns:
      float64 `[B]`.

    Raises:
      ValueError: x has another dimension than the points.
    """
    x = tf.convert_to_tensor(x)
    d = self.basis.shape[1]
    if x.shape.rank != 2 or x.shape[1] != d:
      raise ValueError(f"x must have shape [B, {d}], but it has {x.shape}.")
    z = tf.matmul(tf.cast(x, tf.float64), self.basis, transpose_b=True)  # [B,d]
    centres, widths, heights = self.levels
    u = (tf.gather(z, self.axes, axis=1) - centres) / widths  # [B, N]
    value = tf.reduce_sum(heights * self._bumps(u, _LEVEL), axis=1)
    centres, widths, slopes = self.tilts
    u = (z[:, :, tf.newaxis] - centres) / widths  # [B, d, N]
    tilt = tf.reduce_sum(slopes * widths * self._bumps(u, _TILT), axis=[1, 2])
    return value + tilt

  def _bumps(self, u, weights):
    """Sums the four units of each bump, elementwise in u."""
    slope = self._negative_slope
    units = [u - kink for kink in _KINKS]
    if not slope:
      units = [tf.nn.relu(unit) for unit in units]
    else:
      units = [tf.nn.leaky_relu(unit, slope) for unit in units]
    bumps = sum(w * unit for w, unit in zip(weights, units, strict=True))
    # leaky(z) = a z + (1 - a) relu(z), and the part a z cancels in a bump.
    return bumps / (1 - slope) if slope else bumps


def interpolating_network(
  points: ArrayLike,
  values: ArrayLike,
  gradients: ArrayLike,
  negative_slope: float = 0.0,
  seed: int = 0,
  basis: ArrayLike | None = None,
) -> InterpolatingNetwork:
  """Builds a network with given values and gradients at given points.

  Proposition 1 of the paper: zero Sobolev training loss is always possible.
  The construction holds to rounding in float64; between the points the network
  is of no use.

  Args:
    points: `[N, d]`. Coordinates may coincide; a point given twice with the
      same labels counts once.
    values: `[N]`.
    gradients: `[N, d]`.
    negative_slope: of a leaky ReLU, in [0, 1); 0 is the ReLU.
    seed: fixes the random change of coordinates.
    basis: an invertible A `[d, d]` to use instead of a random rotation; no two
      points may share a coordinate of A x.

  Returns:
    `InterpolatingNetwork`, from `[B, d]` to `[B]`.

  Raises:
    ValueError: shapes do not fit, a number is not finite, a point is given
      with two different labels, or two points are too close for float64.
  """
  points, values, gradients = _checked(points, values, gradients)
  if not 0 <= negative_slope < 1:
    raise ValueError(
      f"negative_slope must lie in [0, 1), but it is {negative_slope}."
    )
  if basis is None:
    basis = _separating_rotation(points, seed)
  z = points @ np.asarray(basis, np.float64).T  # [N, d], no two alike
  spacings = np.stack([_isolation(column) for column in z.T])  # [d, N]
  if spacings.min() <= _RESOLUTION * np.abs(z).max():
    axis, index = np.unravel_index(np.argmin(spacings), spacings.shape)
    raise ValueError(
      f"point {points[index]} has a neighbour within {spacings[axis, index]} "
      "along a coordinate, too close to separate in float64; merge the two "
      "points or scale the data."
    )
  # The paper asks for a half-width below a fifth of the smallest spacing; each
  # bump may as well have its own, which keeps all but a few of them wide.
  widths = spacings / 5  # [d, N]
  # The paper gives each coordinate 1/d of the value. Any shares that sum to 1
  # will do: ours is the whole on the coordinate where the point is loneliest,
  # because a bump of height f and half-width w has sides as steep as f / w.
  axes = np.argmax(spacings, axis=0)  # [N]
  own = (axes, np.arange(len(points)))
  # h(x) = q(A x) has the gradient A^T q'(A x), so that q' must be A^{-T} g.
  # The supplement prints A^{-1} g, which is wrong unless A is symmetric.
  slopes = np.linalg.solve(np.transpose(basis), gradients.T)  # [d, N]
  # TensorFlow keeps a leaky ReLU's slope in single precision, whatever it
  # multiplies: the exact construction needs the number that it really uses.
  negative_slope = float(np.float32(negative_slope))
  return InterpolatingNetwork(
    basis,
    axes,
    (z.T[own], widths[own], values),
    (z.T, widths, slopes),
    negative_slope,
  )


def _checked(points, values, gradients):
  """Converts to float64, checks shapes and merges repeated points."""
  points, values, gradients = (
    np.asarray(array, np.float64) for array in (points, values, gradients)
  )
  if points.ndim != 2 or not points.size:
    raise ValueError(
      f"points must have shape [N, d] with N and d at least 1, but it has "
      f"shape {list(points.shape)}."
    )
  for name, array, wanted in (
    ("values", values, points.shape[:1]),
    ("gradients", gradients, points.shape),
  ):
    if array.shape != wanted:
      raise ValueError(
        f"{name} must have shape {list(wanted)} to go with points of shape "
        f"{list(points.shape)}, but it has shape {list(array.shape)}."
      )
  for name, array in zip(
    ("points", "values", "gradients"), (points, values, gradients), strict=True
  ):
    if not np.isfinite(array).all():
      raise ValueError(f"{name} must be finite, but it holds NaN or infinity.")
  labels = np.column_stack([values, gradients])
  distinct, first, group = np.unique(
    points, axis=0, return_index=True, return_inverse=True
  )
  clash = np.any(labels != labels[first][group.reshape(-1)], axis=1)
  if clash.any():
    index = np.argmax(clash)
    raise ValueError(
      f"point {points[index]} is given twice with different labels (rows "
      f"{first[group.reshape(-1)[index]]} and {index}); a function has one "
      "value and one gradient per point, so remove one of the rows."
    )
  return distinct, values[first], gradients[first]


def _separating_rotation(points, seed):
  """Draws rotations, keeps the one that holds coordinates furthest apart.

  Almost every matrix separates finitely many points (the ones that do not lie
  on finitely many surfaces). A rotation has the condition number 1, so that
  nothing is lost in A x or in A^{-T} g.
  """
  rng = np.random.default_rng(seed)
  rotations = [
    np.linalg.qr(rng.normal(size=2 * points.shape[1:]))[0]
    for _ in range(_NUM_DRAWS)
  ]
  return max(
    rotations,
    key=lambda a: min(_isolation(column).min() for column in (points @ a.T).T),
  )


def _isolation(coordinates):
  """Distance of each number of `[N]` to the nearest other one; 1 if alone."""
  if len(coordinates) == 1:
    return np.ones(1)
  order = np.argsort(coordinates)
  gaps = np.diff(coordinates[order])
  nearest = np.minimum(np.append(gaps, np.inf), np.append(np.inf, gaps))
  isolation = np.empty_like(coordinates)
  isolation[order] = nearest
  return isolation
