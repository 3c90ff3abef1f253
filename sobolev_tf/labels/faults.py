"""Plain words for what is wrong with a derivative label."""

import numpy as np

_NAMED = 3
# A cause is named if it leaves less than this part of the truth, in squares.
_EXPLAINED = 0.1


def describe_faults(claimed, found, errors, wrong, shape, source):
  """Describes wrong components, the worst first.

  Args:
    claimed: the labels `[B, O, M]`, NaN where unknown.
    found: what they should be, estimated, in the same shape.
    errors: relative errors `[O, M]`.
    wrong: flat indices into `[O, M]`.
    shape: dy's shape without the batch axis, which names the components.
    source: what the labels disagree with.

  Returns:
    One or two sentences.
  """
  count = len(claimed)
  claimed, found = claimed.reshape(count, -1), found.reshape(count, -1)
  errors = errors.reshape(-1)
  parts = []
  for index in wrong[:_NAMED]:
    cause = _cause(claimed, found, index, shape)
    parts.append(
      f"{component_name(index, shape)} disagrees with {source}: error "
      f"{100 * errors[index]:.0f} %{cause}"
    )
  message = "; ".join(parts)
  if len(wrong) > _NAMED:
    message += f". {len(wrong) - _NAMED} more component(s) are wrong too"
  return message + "."


def component_name(index, shape):
  """`dy[:, 0, 1]` for a flat index into `shape`."""
  if not shape:
    return "dy"
  return f"dy[:, {', '.join(str(i) for i in np.unravel_index(index, shape))}]"


def _cause(claimed, found, index, shape):
  label, truth = claimed[:, index], found[:, index]
  known = np.isfinite(label) & np.isfinite(truth)
  label, truth = label[known], truth[known]
  if not label.any():
    return ", as if it had never been filled in"
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
  return (
    f", as if it had to be multiplied by {ratio:.3g} (wrong units or scale)"
  )


def _misfit(a, b):
  """The part of b, in squares, that a leaves unexplained."""
  both = np.isfinite(a) & np.isfinite(b)
  size = np.sum(b[both] ** 2)
  return np.sum((a[both] - b[both]) ** 2) / size if size > 0 else np.inf
