"""The training objective of `SobolevModel`: Eq. (1) or (2) in scaled units."""

import math
import typing

import tensorflow as tf

from sobolev_tf.derivatives.directions import random_directions
from sobolev_tf.derivatives.nested_tapes import (
  derivatives,
  project,
  projected_derivatives,
)
from sobolev_tf.labels.matching import label_name, match_labels
from sobolev_tf.training.losses import LOSSES, sobolev_loss


class Comparison(typing.NamedTuple):
  """Values and derivatives beside their labels, in scaled units.

  Both tuples are shaped as `derivatives` returns them, or have derivatives
  `[B, P, *in]` where `projected`.
  """

  predicted: tuple
  target: tuple
  projected: bool


def losses_per_order(loss, derivative_losses, order):
  """Brings names of losses into one form.

  Args:
    loss: the value's, one of `LOSSES`.
    derivative_losses: one for all derivative orders, or a sequence.
    order: how many derivative orders there are.

  Returns:
    Tuple of `order` + 1 names, the value's first.

  Raises:
    ValueError: the wrong number of names, or one that is no loss.
  """
  if isinstance(derivative_losses, str):
    derivative_losses = [derivative_losses] * order
  losses = (loss, *derivative_losses)
  if len(losses) != order + 1:
    raise ValueError(
      f"derivative_losses has {len(losses) - 1} entries for order {order}; "
      "give one name for all orders, or one per order."
    )
  for name in losses:
    if name not in LOSSES:
      raise ValueError(
        f"losses must be among {', '.join(LOSSES)}, but one is {name!r}."
      )
  return losses


def compare(f, x, labels, scaling, order, max_order, value_shape, directions):
  """Differentiates a network and brings its labels into the same form.

  Args:
    f: the network, from scaled x to scaled y.
    x: `[B, *in]` in the user's units.
    labels: y, or a tuple `(y, dy, ...)`, in the user's units.
    scaling: a built `Scaling`.
    order: up to which order to differentiate.
    max_order: how many derivatives the labels may hold.
    value_shape: `[None, *out]`.
    directions: None for full derivatives, or a function of order and shape
      that draws the directions of that order.

  Returns:
    A `Comparison`.

  Raises:
    ValueError: labels are missing, superfluous, or shaped wrongly.
  """
  matched = match_labels(
    labels,
    x.shape[:1].concatenate(value_shape[1:]),
    x.shape,
    x.dtype,
    max_order,
  )
  if len(matched) < order + 1:
    raise ValueError(
      f"{label_name(len(matched))} is missing: training order {order} needs "
      f"y to be a tuple of {order + 1} arrays, but it holds {len(matched)}; "
      "give the derivatives, or the weight 0 for them."
    )
  target = scaling.scale_labels(matched[: order + 1])
  z = _never_empty(scaling.scale_inputs(x))
  size = tf.shape(x)[0]
  if directions is None or order == 0:
    predicted, projected = derivatives(f, z, order), False
  else:
    shapes = [value_shape] + [z.shape] * (order - 1)
    drawn = [
      directions(j, shape[1:]) for j, shape in enumerate(shapes, start=1)
    ]
    target, projected = project(target, drawn), True
    drawn = [_never_empty(v) for v in drawn]
    predicted = projected_derivatives(f, z, drawn)
  return Comparison(tuple(t[:size] for t in predicted), target, projected)


def draw_directions(batch, num_projections, seed, dtype):
  """Makes the `directions` function of `compare`.

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


def global_batch(x):
  """This replica's share of a batch: (size, start, size of the whole batch).

  Keras averages over each replica's share by itself; a last batch that does
  not divide evenly would then weigh its examples unequally.
  """
  size = tf.shape(x)[0]
  context = tf.distribute.get_replica_context()
  if context is None or context.num_replicas_in_sync == 1:
    return size, 0, size
  replicas = context.num_replicas_in_sync
  here = tf.equal(tf.range(replicas), context.replica_id_in_sync_group)
  sizes = tf.where(here, tf.cast(size, tf.float32), 0.0)
  sizes = context.all_reduce(tf.distribute.ReduceOp.SUM, sizes)
  sizes = tf.cast(sizes, tf.int32)  # [replicas]
  before = tf.range(replicas) < context.replica_id_in_sync_group
  return size, tf.reduce_sum(tf.where(before, sizes, 0)), tf.reduce_sum(sizes)


def example_losses(comparison, scaling, losses, weights, sample_weight=None):
  """The loss of every example, `[B]`.

  Args:
    comparison: a `Comparison`.
    scaling: the `Scaling` that its units are of.
    losses: one name of `sobolev_loss` per order, the value first; more than
      the comparison has are ignored.
    weights: the user's weights of the derivative orders, numbers or
      `[*out, *in, ...]`.
    sample_weight: None, or `[B]` or `[B, 1]`.
  """
  predicted, target, projected = comparison
  orders = len(predicted)
  of_value, of_derivatives = scaling.order_weights()
  combined = [of_value]
  for order, (loss, weight) in enumerate(
    zip(losses[1:orders], weights, strict=False), start=1
  ):
    weight = _by_component(weight, predicted[order], projected)
    if projected and scaling.kind != "dml":
      # `sobolev_loss` sums over the axis of projections; Eq. (2) is an
      # expectation over them. ("dml" takes means over all axes already.)
      count = predicted[1].shape[1]
      weight = weight / (math.sqrt(count) if loss == "norm" else count)
    combined.append(weight * of_derivatives)
  if isinstance(sample_weight, (list, tuple)):
    sample_weight = sample_weight[0]  # Keras repeats it for each label.
  if sample_weight is not None:
    sample_weight = tf.cast(sample_weight, predicted[0].dtype)
    if sample_weight.shape.rank == 2 and sample_weight.shape[1] == 1:
      sample_weight = tf.squeeze(sample_weight, axis=1)
  return sobolev_loss(
    scaling.balance(predicted, projected),
    scaling.balance(target, projected),
    combined,
    losses[:orders],
    example_weights=sample_weight,
    reduction="mean" if scaling.kind == "dml" else "sum",
  ).loss


def _by_component(weight, predicted, projected):
  """Brings a weight per component into the shape of a derivative."""
  weight = tf.convert_to_tensor(weight, dtype_hint=predicted.dtype)
  if not weight.shape.rank:
    return weight
  if projected:
    raise ValueError(
      "derivative_weights holds one weight per component, but with "
      "num_projections components are mixed; give numbers, or match full "
      "derivatives."
    )
  wanted = predicted.shape[1:]
  if weight.shape.rank == wanted.rank - 1 and wanted[0] == 1:
    return weight[tf.newaxis]  # one output, its axis left out
  return weight


def known_errors(comparison, scaling):
  """Per order: (errors `[M, 1]` in the user's units, known or not `[M]`)."""
  results = []
  pairs = zip(comparison.predicted, comparison.target, strict=True)
  for order, (predicted, target) in enumerate(pairs):
    known = tf.logical_not(tf.math.is_nan(target))
    difference = tf.where(known, predicted - target, tf.zeros_like(target))
    units = scaling.units(order, comparison.projected)
    errors = difference * tf.cast(units, difference.dtype)
    results.append((tf.reshape(errors, [-1, 1]), tf.reshape(known, [-1])))
  return results


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
