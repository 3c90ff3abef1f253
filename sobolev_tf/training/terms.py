"""What is compared: labels beside predictions, one term per kind of label.

A term knows its prediction, its target and their units; its loss and weight
are those of its order of derivatives. `full_terms` and `projected_terms` make
the terms of `y`, `dy`, `d2y`, ...; a further kind of label is one more function
that returns terms.
"""

import functools
import typing

import tensorflow as tf

from sobolev_tf.derivatives.directions import random_directions
from sobolev_tf.derivatives.nested_tapes import (
  derivatives,
  project,
  projected_derivatives,
)
from sobolev_tf.labels.matching import label_name


class Term(typing.NamedTuple):
  """One kind of label beside what the network predicts for it.

  Attributes:
    name: "value", "d1", "d2", ...; the metric is called `{name}_mse`.
    order: the order of derivatives whose loss and weight it takes.
    predicted: `[B, ...]` in scaled units.
    target: the same; NaN means unknown.
    units: the user's units per scaled unit; broadcasts to one example.
    divisor: what both are divided by in the loss, see `Scaling.divisor`.
    projections: P where axis 1 holds P random projections, of whose losses
      the mean counts; None where everything counts in full.
  """

  name: str
  order: int
  predicted: tf.Tensor
  target: tf.Tensor
  units: tf.Tensor
  divisor: tf.Tensor
  projections: int | None = None


class Comparison(typing.NamedTuple):
  """What metrics are made of.

  Attributes:
    value: the network's values `[B, *out]`, in scaled units.
    terms: tuple of `Term`.
  """

  value: tf.Tensor
  terms: tuple

  def errors(self) -> typing.Iterator[tuple]:
    """Per term: (name, errors `[M]` in the user's units, known `[M]`)."""
    for term in self.terms:
      known = tf.logical_not(tf.math.is_nan(term.target))
      difference = tf.where(known, term.predicted - term.target, 0)
      errors = difference * tf.cast(term.units, difference.dtype)
      yield term.name, tf.reshape(errors, [-1]), tf.reshape(known, [-1])


def full_terms(
  f: typing.Callable,
  x: tf.Tensor,
  labels: dict,
  scaling: typing.Any,
  order: int,
  value: tf.Tensor | None = None,
) -> Comparison:
  """Compares values and full derivatives up to `order`, Eq. (1).

  Args:
    f: the network, from scaled x to scaled y. A method `derivatives(x, order)`
      that it has is taken instead of nested tapes.
    x: `[B, *in]` in scaled units.
    labels: of `Examples`.
    scaling: a built `Scaling`.
    order: up to which order to differentiate.
    value: f(x) where it is known and order is 0.

  Returns:
    A `Comparison` with a term for each label.
  """
  size = tf.shape(x)[0]
  own = getattr(f, "derivatives", None)
  differentiate = own or functools.partial(derivatives, f)
  predicted = [value]
  if order or value is None:
    predicted = [term[:size] for term in differentiate(_never_empty(x), order)]
  terms = [
    Term(
      _term_name(j),
      j,
      predicted[j],
      labels[label_name(j)],
      scaling.units(j),
      scaling.divisor(j),
    )
    for j in range(order + 1)
    if label_name(j) in labels
  ]
  return Comparison(predicted[0], tuple(terms))


def projected_terms(
  f: typing.Callable,
  x: tf.Tensor,
  labels: dict,
  scaling: typing.Any,
  order: int,
  directions: typing.Callable,
) -> Comparison:
  """Compares values and projected derivatives, Eq. (2).

  Args:
    f: as in `full_terms`, and so are x, labels, scaling and order.
    x: see f.
    labels: see f.
    scaling: see f.
    order: see f.
    directions: function of order and shape that draws that order's directions.

  Returns:
    A `Comparison`.
  """
  size = tf.shape(x)[0]
  shapes = [scaling.value_shape[1:]] + [tuple(x.shape[1:])] * (order - 1)
  drawn = [directions(j, shape) for j, shape in enumerate(shapes, start=1)]
  predicted = projected_derivatives(
    f, _never_empty(x), [_never_empty(v) for v in drawn]
  )
  predicted = [term[:size] for term in predicted]
  targets = project(
    [_label_or_unknown(labels, j, scaling, x) for j in range(order + 1)], drawn
  )
  terms = [
    Term(
      _term_name(j),
      j,
      predicted[j],
      targets[j],
      scaling.units(j, projected=True),
      scaling.divisor(j, projected=True),
      drawn[0].shape[1] if j else None,
    )
    for j in range(order + 1)
    if label_name(j) in labels
  ]
  return Comparison(predicted[0], tuple(terms))


def draw_directions(
  batch: tuple, num_projections: int, seed: typing.Any, dtype: tf.DType | str
) -> typing.Callable:
  """Makes the `directions` function of `projected_terms`.

  Row i of the global batch gets the same directions however the batch is split
  over replicas.

  Args:
    batch: `(size, start, global size)` of `global_batch`.
    num_projections: P.
    seed: two integers as one tensor, such as (seed, step).
    dtype: floating dtype.

  Returns:
    Function of (order, shape without batch axis) to `[B, P, *shape]`; every
    `[i, p]` is a vector of length 1.
  """
  size, start, total = batch

  def draw(order, shape):
    key = tf.random.experimental.stateless_fold_in(seed, order)
    flat = random_directions([total * num_projections, *shape], key, dtype)
    flat = flat[start * num_projections : (start + size) * num_projections]
    stacked = tf.reshape(flat, [size, num_projections, *shape])
    return tf.ensure_shape(stacked, [None, num_projections, *shape])

  return draw


def _term_name(order):
  return f"d{order}" if order else "value"


def _label_or_unknown(labels, order, scaling, x):
  if label_name(order) in labels:
    return labels[label_name(order)]
  shape = [*scaling.value_shape[1:], *list(x.shape[1:]) * order]
  return tf.fill([tf.shape(x)[0], *shape], tf.cast(float("nan"), x.dtype))


def _never_empty(batch):
  """Adds a row of zeros to an empty batch; only a strategy makes such a batch.

  The last batch may leave a replica without examples, of which there is no
  Jacobian to take. What comes of the row is cut off again.
  """
  if tf.distribute.get_strategy().num_replicas_in_sync == 1:
    return batch
  missing = tf.cast(tf.equal(tf.shape(batch)[0], 0), tf.int32)
  paddings = [[0, missing]] + [[0, 0]] * (batch.shape.rank - 1)
  return tf.ensure_shape(tf.pad(batch, paddings), [None, *batch.shape[1:]])
