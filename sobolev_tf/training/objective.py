"""The training objective of `SobolevModel`: Eq. (1) or (2) in scaled units."""

import dataclasses
import typing

import numpy as np
import tensorflow as tf

from sobolev_tf.labels.kinds import KINDS
from sobolev_tf.labels.matching import label_name, match_labels, orders_of
from sobolev_tf.training import weight_schedules
from sobolev_tf.training.directional_terms import (
  directional_terms,
  scale_products,
)
from sobolev_tf.training.losses import (
  LOSSES,
  described,
  exact_cast,
  sobolev_loss,
)
from sobolev_tf.training.terms import (
  Comparison,
  draw_directions,
  full_terms,
  projected_terms,
)

# Measuring draws its directions at this step, so that two evaluations of the
# same weights agree; training never takes it.
_EVALUATION_STEP = -1


class Examples(typing.NamedTuple):
  """A batch in scaled units: what does not change from step to step.

  Attributes:
    x: `[B, *in]`.
    labels: `{"y": [B, *out], "dy": [B, *out, *in], ...}`, any of them, and
      `Products` by their kinds.
  """

  x: tf.Tensor
  labels: dict


@dataclasses.dataclass(frozen=True)
class Objective:
  """What training minimises, `l(y) + sum_j w_j l_j(Dj)` per example.

  It needs no Keras: `objective(f, x, labels, scaling, step)` works eagerly and
  in a `tf.function`, in float32 and float64. A loop over resident data makes
  `examples` once and calls `on_examples` at every step.

  Attributes:
    losses: one name of `sobolev_loss` per order, the value's first.
    weights: one per derivative order: number, array or callable of the step.
    num_projections: None compares full derivatives, Eq. (1); P compares P
      random projections of each, Eq. (2).
    seed: integer, of the random directions.
  """

  losses: tuple
  weights: tuple
  num_projections: int | None = None
  seed: int = 0

  @classmethod
  def of(
    cls,
    loss: str = "l2",
    derivative_losses: str | typing.Sequence = "l2",
    derivative_weights: typing.Any = 1.0,
    order: int = 1,
    num_projections: int | None = None,
    seed: int = 0,
  ) -> "Objective":
    """Makes an objective from what a user says.

    Args:
      loss: the value's, one of `LOSSES`.
      derivative_losses: one for all derivative orders, or one per order.
      derivative_weights: one for all derivative orders, or one per order;
        what a weight is, `weight_schedules.checked` says.
      order: how many derivative orders there are.
      num_projections: as the attribute.
      seed: as the attribute.

    Raises:
      ValueError: the wrong number of losses or weights, or one that is none.
    """
    losses = one_per_order("derivative_losses", derivative_losses, order)
    weights = one_per_order("derivative_weights", derivative_weights, order)
    return cls(
      losses=tuple(_checked_loss(name) for name in (loss, *losses)),
      weights=tuple(weight_schedules.checked(weight) for weight in weights),
      num_projections=num_projections,
      seed=seed,
    )

  @property
  def order(self) -> int:
    """The highest order of derivatives that labels may have."""
    return len(self.weights)

  @property
  def active_order(self) -> int:
    """The highest order of derivatives that training needs."""
    return weight_schedules.highest_active_order(self.weights)

  def __call__(
    self,
    f: typing.Callable,
    x: tf.Tensor,
    labels: typing.Any,
    scaling: typing.Any,
    step: typing.Any,
    *,
    sample_weight: typing.Any = None,
    training: bool = True,
    batch: tuple | None = None,
    dtype: typing.Any = None,
  ) -> tuple[tf.Tensor, Comparison]:
    """Evaluates the objective on a batch.

    Args:
      f: the network, from scaled x to scaled y.
      x: `[B, *in]` in the user's units.
      labels: as in `match_labels`, in the user's units.
      scaling: a built `Scaling`.
      step: integer, may be a tensor: of the directions and the schedules.
      sample_weight: None, or `[B]` or `[B, 1]`.
      training: False measures every order that has labels, along directions
        that are the same at every step.
      batch: what `global_batch(x)` says, where the caller knows it already.
      dtype: that f computes in; None means that of x.

    Returns:
      `(losses, comparison)`: the loss of every example, `[B]`, and a
      `Comparison`.

    Raises:
      ValueError: labels are missing, superfluous, or shaped wrongly.
    """
    batch = global_batch(x) if batch is None else batch
    examples = self.examples(x, labels, scaling, dtype)
    return self.on_examples(
      f,
      examples,
      scaling,
      step,
      sample_weight=sample_weight,
      training=training,
      batch=batch,
    )

  def examples(
    self,
    x: tf.Tensor,
    labels: typing.Any,
    scaling: typing.Any,
    dtype: typing.Any = None,
  ) -> Examples:
    """Brings a batch into scaled units: `Examples`; arguments as above."""
    x = tf.convert_to_tensor(x)
    dtype = x.dtype if dtype is None else dtype
    matched = match_labels(
      labels,
      x.shape[:1].concatenate(scaling.value_shape[1:]),
      x.shape,
      dtype,
      self.order,
    )
    scaled = {
      label_name(j): scaling.scale_label(matched[label_name(j)], j, dtype)
      for j in sorted(orders_of(matched))
    }
    scaled |= {
      name: scale_products(name, matched[name], scaling)
      for name in KINDS
      if name in matched
    }
    return Examples(scaling.scale_inputs(x, dtype), scaled)

  def on_examples(
    self,
    f: typing.Callable,
    examples: Examples,
    scaling: typing.Any,
    step: typing.Any,
    *,
    sample_weight: typing.Any = None,
    training: bool = True,
    batch: tuple | None = None,
  ) -> tuple[tf.Tensor, Comparison]:
    """As `__call__`, on `Examples`."""
    x, labels = examples
    batch = global_batch(x) if batch is None else batch
    order = self._order_to_compare(labels, training)
    products = {
      name: labels[name]
      for name in labels
      if name in KINDS and KINDS[name].order <= order
    }
    order = max((j for j in orders_of(labels) if j <= order), default=0)
    labels = {name: labels[name] for name in labels if name in _names(order)}
    value, terms = directional_terms(f, x, products, scaling)
    if self.num_projections is None or not order:
      comparison = full_terms(f, x, labels, scaling, order, value)
    else:
      directions = draw_directions(
        batch,
        self.num_projections,
        self._direction_seed(step, training),
        x.dtype,
      )
      comparison = projected_terms(f, x, labels, scaling, order, directions)
    comparison = comparison._replace(terms=(*comparison.terms, *terms))
    losses = tf.add_n(
      [self._loss(term, scaling, step) for term in comparison.terms]
    )
    return _weighed(losses, sample_weight), comparison

  def losses_by_order(
    self,
    comparison: Comparison,
    scaling: typing.Any,
    step: typing.Any,
    sample_weight: typing.Any = None,
  ) -> list:
    """The losses of each order of derivatives alone, without its weight.

    Args:
      comparison: of `on_examples`.
      scaling: a built `Scaling`.
      step: as in `__call__`.
      sample_weight: as in `__call__`.

    Returns:
      List of tensors `[B]`, the value's first, up to `order`; None for an order
      without labels.
    """
    plain = dataclasses.replace(self, weights=(1.0,) * self.order)
    by_order = []
    for order in range(self.order + 1):
      losses = [
        plain._loss(term, scaling, step)
        for term in comparison.terms
        if term.order == order
      ]
      by_order.append(
        _weighed(tf.add_n(losses), sample_weight) if losses else None
      )
    return by_order

  def residuals(
    self, comparison: Comparison, scaling: typing.Any, step: typing.Any
  ) -> list[tf.Tensor]:
    """What the losses are the squares of, where all of them are "l2".

    Args:
      comparison: of `on_examples`.
      scaling: a built `Scaling`.
      step: as in `__call__`.

    Returns:
      List of tensors `[B, ...]`, one per term; unknown components are zero.
      Their squares, summed per example, are the losses.
    """
    residuals = []
    for term in comparison.terms:
      weight = self._total_weight(term, scaling, step)
      known = tf.logical_not(tf.math.is_nan(term.target))
      error = tf.where(known, term.predicted - term.target, 0)
      if term.order:
        error = error / tf.cast(term.divisor, error.dtype)
      count = term.projections or 1
      if scaling.kind == "dml":
        count = int(np.prod(error.shape[1:]))
      weight = exact_cast(weight, error.dtype) / count
      residuals.append(error * tf.sqrt(weight))
    return residuals

  def _order_to_compare(self, labels, training):
    given = orders_of(labels)
    given |= {KINDS[name].order for name in labels if name in KINDS}
    if not training:
      return max(given)
    order = self.active_order
    if order and order not in given:
      missing = min(set(range(1, order + 1)) - given)
      raise ValueError(
        f"{label_name(missing)} is missing: training order {order} needs y to "
        f"be a tuple of {order + 1} arrays, but it holds {len(given)}; give "
        "the derivatives, or the weight 0 for them."
      )
    if not order and 0 not in given:
      raise ValueError(
        "y is missing, and all derivatives have the weight 0; give y, or "
        "derivative_weights above 0."
      )
    return order

  def _direction_seed(self, step, training):
    step = step if training else _EVALUATION_STEP
    return tf.stack([tf.cast(self.seed, tf.int64), tf.cast(step, tf.int64)])

  def _loss(self, term, scaling, step):
    """One term's share of the loss of every example, `[B]`."""
    predicted, target = term.predicted, term.target
    if term.order:
      divisor = tf.cast(term.divisor, predicted.dtype)
      predicted, target = predicted / divisor, target / divisor
    weight = self._total_weight(term, scaling, step)
    if term.projections is not None:
      # Eq. (2) is an expectation over directions: each is an example here.
      predicted, target = _unstacked(predicted), _unstacked(target)
    loss = sobolev_loss(
      (predicted,),
      (target,),
      (weight,),
      (self.losses[term.order],),
      reduction="mean" if scaling.kind == "dml" else "sum",
    ).loss
    if term.projections is not None:
      loss = tf.reduce_mean(tf.reshape(loss, [-1, term.projections]), axis=1)
    return loss

  def _total_weight(self, term, scaling, step):
    weight = scaling.order_weights()[min(term.order, 1)]
    return weight * self._weight(term, step) if term.order else weight

  def _weight(self, term, step):
    weight = weight_schedules.weight_at(
      self.weights[term.order - 1], step, term.predicted.dtype
    )
    if not weight.shape.rank:
      return weight
    if term.projections is not None:
      raise ValueError(
        "derivative_weights holds one weight per component, but with "
        "num_projections components are mixed; give numbers, or match full "
        "derivatives."
      )
    wanted = term.predicted.shape[1:]
    if weight.shape.rank == wanted.rank - 1 and wanted[0] == 1:
      return weight[tf.newaxis]  # one output, its axis left out
    return weight


def one_per_order(name: str, given: typing.Any, order: int) -> tuple:
  """One entry for each derivative order, from one for all or one for each.

  Args:
    name: of the argument, for the message.
    given: one entry for all orders, or a list or tuple, the first order first.
    order: how many derivative orders there are.

  Returns:
    Tuple of `order` entries.

  Raises:
    ValueError: the wrong number of entries.
  """
  if not isinstance(given, (list, tuple)):
    return (given,) * order
  if len(given) != order:
    raise ValueError(
      f"{name} has {len(given)} entries for order {order}; give one for all "
      "orders, or one per derivative order."
    )
  return tuple(given)


def global_batch(x: tf.Tensor) -> tuple:
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


def _checked_loss(name):
  if not isinstance(name, str) or name not in LOSSES:
    raise ValueError(
      f"losses must be among {', '.join(LOSSES)}, but one is {described(name)}."
    )
  return name


def _names(order):
  return {label_name(j) for j in range(order + 1)}


def _unstacked(stacked):
  """`[B, P, ...]` as `[B * P, ...]`."""
  return tf.reshape(stacked, [-1, *stacked.shape[2:]])


def _weighed(losses, sample_weight):
  if isinstance(sample_weight, (list, tuple, dict)):
    # Keras repeats it for each label.
    sample_weight = tf.nest.flatten(sample_weight)[0]
  if sample_weight is None:
    return losses
  sample_weight = tf.cast(sample_weight, losses.dtype)
  if sample_weight.shape.rank == 2 and sample_weight.shape[1] == 1:
    sample_weight = tf.squeeze(sample_weight, axis=1)
  if not sample_weight.shape.is_compatible_with(losses.shape):
    raise ValueError(
      f"sample_weight must have shape {losses.shape}, one weight per example, "
      f"but it has shape {sample_weight.shape}."
    )
  return sample_weight * losses
