"""From measured errors of derivative labels to a verdict and a sentence."""

import dataclasses
import typing

import numpy as np

from sobolev_tf.labels.faults import component_name, describe_faults
from sobolev_tf.labels.noise import noisy_components, root_mean_square


@dataclasses.dataclass(frozen=True)
class DerivativeCheck:
  """What `check_derivatives` found. True in a condition if the labels passed.

  Attributes:
    passed: whether the verdict is "right" or "noisy".
    verdict: `"right"`; `"noisy"`, off by at most 20 % and by chance, which
      trains as well; `"wrong"`; or `"cannot tell"`.
    wrong_components: indices into the axes of dy after the batch axis, the
      worst first; of a dict of labels `(name, *indices)`.
    errors: root-mean-square error of each component divided by that of its
      label, `dy.shape[1:]`; of a dict of labels one such array by name. NaN =
      not measured.
    message: one or two sentences.
  """

  passed: bool
  verdict: str
  wrong_components: tuple
  errors: np.ndarray | dict
  message: str

  def __bool__(self):
    return self.passed


class Measured(typing.NamedTuple):
  """Labels beside what was found in their place.

  Attributes:
    points: `[B, M]`.
    values: `[B, O]`.
    claimed: labels `[B, O, M]`.
    found: what they should be.
    doubt: by how much that may be off.
    floor: the least size of a component, as part of the largest.
    rows: where the points are in the user's x, `[B]`.
  """

  points: np.ndarray
  values: np.ndarray
  claimed: np.ndarray
  found: np.ndarray
  doubt: np.ndarray
  floor: float
  rows: np.ndarray


def judge(
  measured: Measured,
  dy: np.ndarray,
  tolerance: float,
  source: str,
  *,
  may_be_noisy: bool = False,
  certainty: float = 1,
  rough: float = 0,
) -> DerivativeCheck:
  """Compares claimed and found derivatives.

  Left undecided are errors between `tolerance` and `certainty` times that, and
  errors that are no more than twice `rough`.
  """
  points, values, claimed, found, doubt, floor, rows = measured
  known = np.isfinite(claimed) & np.isfinite(found) & np.isfinite(doubt)
  claimed, found, doubt = (
    np.where(known, a, np.nan) for a in (claimed, found, doubt)
  )
  sizes, truths = root_mean_square(claimed), root_mean_square(found)  # [O, M]
  # A component that is zero in truth needs a size to be measured against: the
  # part `floor` of what the largest one does over the range of x.
  ranges = root_mean_square(points)
  ranges = np.where(ranges > 0, ranges, 1)
  floor = floor * np.nanmax(
    np.maximum(sizes, truths) * ranges, axis=1, keepdims=True, initial=0
  )
  sizes = np.maximum(np.maximum(sizes, floor / ranges), 1e-300)
  errors = root_mean_square(found - claimed) / sizes
  doubts = root_mean_square(doubt) / sizes
  seen = np.isfinite(errors)
  if not seen.any():
    message = (
      "cannot tell whether dy is right: no point has enough neighbours or "
      "known labels to measure its derivative."
    )
    return result_of("cannot tell", dy, errors, message)
  off = seen & (errors > tolerance)
  least = np.maximum(2 * np.maximum(doubts, rough), certainty * tolerance)
  wrong = off & (errors > least)
  if may_be_noisy and wrong.any():
    noisy = wrong & noisy_components(points, claimed, found, errors)
    wrong &= ~noisy
    if noisy.any() and not (off & ~noisy).any():
      return result_of("noisy", dy, errors, _noise_message(errors, noisy, dy))
  if wrong.any():
    order = np.argsort(np.where(wrong, -errors, 0), axis=None, kind="stable")
    order = order[: wrong.sum()]
    shape = dy.shape[1:]
    message = describe_faults(
      claimed, found, errors, order, shape, source, points, values, rows
    )
    return result_of("wrong", dy, errors, message, indices_of(order, shape))
  unsure = certainty > 1 and (doubts[seen] > certainty * tolerance).any()
  if off.any() or unsure:
    message = (
      f"cannot tell whether dy is right: {source} would allow an error of "
      f"{100 * np.nanmax(errors):.0f} %; the points are too few, too far "
      "apart or too noisy."
    )
    return result_of("cannot tell", dy, errors, message)
  message = (
    f"dy agrees with {source}: no component is off by more than "
    f"{100 * np.nanmax(errors):.2g} %."
  )
  return result_of("right", dy, errors, message)


def _noise_message(errors, noisy, dy):
  index = int(np.argmax(np.where(noisy, errors, 0)))
  name = component_name(index, dy.shape[1:])
  return (
    f"dy is noisy, about {100 * errors.flat[index]:.2g} % ({name}), by chance "
    "and by no rule; labels like these can be trained on."
  )


def result_of(
  verdict: str,
  dy: np.ndarray,
  errors: np.ndarray | None,
  message: str,
  components: tuple = (),
) -> DerivativeCheck:
  """A verdict on labels dy; errors None stands for none measured."""
  shape = dy.shape[1:]
  if errors is None:
    errors = np.full(shape, np.nan)
  return DerivativeCheck(
    verdict in ("right", "noisy"),
    verdict,
    components,
    np.array(errors, np.float64).reshape(shape),
    message,
  )


def indices_of(flat: np.ndarray, shape: tuple) -> tuple:
  """Indices into axes of `shape` from places in the flat array."""
  return tuple(
    tuple(int(i) for i in np.unravel_index(index, shape)) for index in flat
  )
