"""Plain words for what is wrong with a derivative label."""

import numpy as np

from sobolev_tf.labels.noise import outlying

_NAMED = 3
# A cause is named if it leaves less than this part of the truth, in squares.
_EXPLAINED = 0.1
# Factors this close are taken for one and the same.
_SAME = 0.1
# A factor this close to a whole number, or to one over it, is no unit's.
_WHOLE = 0.02


def describe_faults(
  claimed: np.ndarray,
  found: np.ndarray,
  errors: np.ndarray,
  wrong: np.ndarray,
  shape: tuple,
  source: str,
  x: np.ndarray,
  y: np.ndarray,
  rows: np.ndarray,
) -> str:
  """Describes wrong components, the worst first, or what is wrong with all.

  Args:
    claimed: the labels `[B, O, M]`, NaN where unknown.
    found: what they should be, estimated, in the same shape.
    errors: relative errors `[O, M]`.
    wrong: flat indices into `[O, M]`.
    shape: dy's shape without the batch axis, which names the components.
    source: what the labels disagree with.
    x: the points `[B, M]`.
    y: the values `[B, O]`.
    rows: where the points are in the user's x, `[B]`.

  Returns:
    One or two sentences.
  """
  common = describe_common_fault(claimed, found, errors, source, x, y)
  if common:
    return common
  count = len(claimed)
  claimed, found = claimed.reshape(count, -1), found.reshape(count, -1)
  errors = errors.reshape(-1)
  parts = []
  for index in wrong[:_NAMED]:
    cause = _cause(claimed, found, index, shape, rows)
    parts.append(
      f"{component_name(index, shape)} disagrees with {source}: error "
      f"{100 * errors[index]:.0f} %{cause}"
    )
  message = "; ".join(parts)
  if len(wrong) > _NAMED:
    message += f". {len(wrong) - _NAMED} more component(s) are wrong too"
  return message + "."


def component_name(index: int, shape: tuple) -> str:
  """`dy[:, 0, 1]` for a flat index into `shape`."""
  if not shape:
    return "dy"
  return f"dy[:, {', '.join(str(i) for i in np.unravel_index(index, shape))}]"


def _cause(claimed, found, index, shape, points):
  label, truth = claimed[:, index], found[:, index]
  known = np.isfinite(label) & np.isfinite(truth)
  label, truth = label[known], truth[known]
  if not label.any():
    return ", as if it had never been filled in"
  rows = outlying(truth - label)
  if rows.size:
    rows = np.sort(points[known][rows])
    listed = ", ".join(str(row) for row in rows[:_NAMED])
    return f", nearly all of it at {rows.size} of the points (row {listed})"
  ratio = np.sum(label * truth) / np.sum(label**2)
  scaled = _misfit(ratio * label, truth)
  misfits = [
    np.inf if other == index else _misfit(label, found[known, other])
    for other in range(claimed.shape[1])
  ]
  swapped = int(np.argmin(misfits))
  if min(scaled, misfits[swapped]) > _EXPLAINED:
    return ""
  if misfits[swapped] < scaled:
    return f", as if it were swapped with {component_name(swapped, shape)}"
  if abs(ratio + 1) < 0.15:
    return ", as if its sign were flipped"
  if abs(ratio - 1) < _SAME:
    return ""
  return (
    f", as if it had to be multiplied by {ratio:.3g} (wrong units or scale)"
  )


def describe_common_fault(
  claimed: np.ndarray,
  found: np.ndarray,
  errors: np.ndarray,
  source: str,
  x: np.ndarray,
  y: np.ndarray,
) -> str:
  """One sentence on what is wrong with every component alike, if anything.

  Args:
    claimed: as in `describe_faults`, and so are the others.
    found: what the labels should be.
    errors: relative errors.
    source: what the labels disagree with.
    x: the points.
    y: the values.

  Returns:
    The sentence, or an empty string.
  """
  ratio = _ratios(claimed, found, x)
  if ratio is None or np.nanmax(abs(ratio - 1)) < _SAME:
    return ""
  cause = _cause_of(ratio, x, y)
  if not cause:
    return ""
  largest = 100 * np.nanmax(errors)
  return f"dy disagrees with {source}: error {largest:.0f} %, as if {cause}."


def _cause_of(ratio, x, y):
  factor = np.nanmedian(ratio)
  uniform = np.nanmax(abs(ratio / factor - 1)) < _SAME
  several = np.isfinite(ratio).sum() > 1
  if uniform and abs(factor + 1) < _SAME:
    return "the sign of every component were flipped" if several else ""
  whole = max(abs(factor), 1 / max(abs(factor), 1e-300))
  if not uniform or abs(whole / max(round(whole), 1) - 1) > _WHOLE:
    off, name = min(
      (np.nanmax(abs(ratio / factor - 1)), name)
      for name, factor in _unit_factors(x, y)
    )
    # A single component is close to some factor by chance.
    if off < (_SAME if several else _SAME / 4):
      return (
        f"it were in scaled units already ({name}): give dy in the units of "
        "the x and y that it stands beside"
      )
  if uniform and several:
    return f"every component had to be multiplied by {factor:.3g}"
  return ""


def _ratios(claimed, found, x):
  """Factors `[O, M]` that make the labels right, or None if none does.

  NaN for components that hardly matter.
  """
  known = np.isfinite(claimed) & np.isfinite(found)
  label, truth = np.where(known, claimed, 0), np.where(known, found, 0)
  power, size = np.sum(label**2, axis=0), np.sum(truth**2, axis=0)
  ratio = np.sum(label * truth, axis=0) / np.where(power > 0, power, np.nan)
  left = np.sum((ratio * label - truth) ** 2, axis=0)
  reach = np.sqrt(size) * x.std(axis=0)
  matters = reach > 0.01 * reach.max()
  if not matters.any() or not (left <= _EXPLAINED * size)[matters].all():
    return None
  return np.where(matters, ratio, np.nan)


def _unit_factors(x, y):
  """Pairs of a scaling that users apply and the factor `[O, M]` to undo it."""
  by_y = {"": np.ones(y.shape[1])} | _scales("y", y)
  by_x = {"": np.ones(x.shape[1])} | _scales("x", x)
  for name_y, scale_y in by_y.items():
    for name_x, scale_x in by_x.items():
      if name_y or name_x:
        name = " and ".join(filter(None, [name_x, name_y]))
        yield name, scale_y[:, np.newaxis] / scale_x


def _scales(name, values):
  known = np.where(np.isfinite(values), values, np.nan)
  spread = np.nanmax(known, axis=0) - np.nanmin(known, axis=0)
  spread = np.where(spread > 0, spread, 1)
  deviation = np.nanstd(known, axis=0)
  return {
    f"{name} by its standard deviation": np.where(deviation > 0, deviation, 1),
    f"{name} by its range": spread,
    f"{name} by half its range": spread / 2,
  }


def _misfit(a, b):
  """The part of b, in squares, that a leaves unexplained."""
  both = np.isfinite(a) & np.isfinite(b)
  size = np.sum(b[both] ** 2)
  return np.sum((a[both] - b[both]) ** 2) / size if size > 0 else np.inf
