"""Which trials a search makes next: a grid, then where its best ones point.

Every method gets as many trials. They start as a grid of two settings, at a
part of the final number of updates. What is left of the trials goes where the
best ones point: beyond the grid, for as long as a best one lies at its edge,
and then between the best one and its neighbours. The better share of all trials
is then made again, longer (successive halving, Jamieson and Talwalkar 2016).

"Best" is meant twice, by KL and by error, for both are chosen by.
"""

import itertools
import math
import typing

KL, ERROR = 1, 0  # places in a trial's measures
_TO_ZERO = 100.0  # what the gap between 0 and its neighbour counts as


class TrialPlan(typing.NamedTuple):
  """The search of one method.

  Attributes:
    axes: dict from a setting's name to the values of the first grid,
      ascending, none negative.
    num_trials: how many are made at the first length, the grid's included.
    lengths: numbers of updates, ascending; the last one is the final runs'.
    kept: share of the trials that go on to the next length.
  """

  axes: dict
  num_trials: int
  lengths: tuple
  kept: float

  def next_trials(self, measured):
    """What is to be made next, for all that has been measured.

    Args:
      measured: dict from (number of updates, values of the axes) to (error,
        KL), or to None for a trial whose loss was not finite.

    Returns:
      List of such keys; it is empty at the end of the search.
    """
    first = self.lengths[0]
    tried = _at(measured, first)
    grid = list(itertools.product(*self.axes.values()))
    if missing := [values for values in grid if values not in tried]:
      return [(first, values) for values in missing]
    if len(tried) < self.num_trials:
      values = _beyond(tried) or _between(tried)
      if values:
        return [(first, values)]
    for shorter, longer in itertools.pairwise(self.lengths):
      known = _at(measured, longer)
      best = self._best(_at(measured, shorter))
      if missing := [values for values in best if values not in known]:
        return [(longer, values) for values in missing]
    return []

  def _best(self, tried):
    """The better share by KL and by error in turns, the best by KL first."""
    orders = [_ranked(tried, measure) for measure in (KL, ERROR)]
    mixed = dict.fromkeys(itertools.chain(*zip(*orders, strict=True)))
    return list(mixed)[: math.ceil(self.kept * len(tried))]


def _at(measured, length):
  """dict from the values of the trials of one length to their measures."""
  return {
    values: measures
    for (number, values), measures in measured.items()
    if number == length
  }


def _ranked(tried, measure):
  """Values of the finished trials, the best first."""
  finished = {values: m for values, m in tried.items() if m}
  return sorted(finished, key=lambda values: finished[values][measure])


def _beyond(tried):
  """Values one step beyond an edge that a best trial lies at, or None.

  Zero is the natural end of an axis and no edge.
  """
  for measure in (KL, ERROR):
    for best in _ranked(tried, measure)[:1]:
      for place in range(len(best)):
        axis = _axis(tried, place)
        if len(axis) < 2:
          continue
        value = None
        if best[place] == axis[-1]:
          value = axis[-1] * _ratio(axis[-2:])
        elif best[place] == axis[0] > 0:
          value = axis[0] / _ratio(axis[:2])
        if value is not None:
          return _replaced(best, place, value)
  return None


def _between(tried):
  """Values in the widest gap between a best trial and a neighbour, or None."""
  gaps = []
  for measure in (KL, ERROR):
    for best in _ranked(tried, measure)[:1]:
      for place, value in enumerate(best):
        axis = _axis(tried, place)
        at = axis.index(value)
        for low, high in itertools.pairwise(axis[max(at - 1, 0) : at + 2]):
          low = low or high / _TO_ZERO
          values = _replaced(best, place, math.sqrt(low * high))
          gaps += [(high / low, values)] * (values not in tried)
  return max(gaps, key=lambda gap: gap[0])[1] if gaps else None


def _axis(tried, place):
  """All values that were tried of one setting, ascending."""
  return sorted({values[place] for values in tried})


def _ratio(pair):
  """By which factor an axis goes on beyond two of its values."""
  low, high = pair
  return high / low if low else math.sqrt(_TO_ZERO)


def _replaced(values, place, value):
  """The same but for one value, in two digits as in a person's grid."""
  return (*values[:place], float(f"{value:.2g}"), *values[place + 1 :])
