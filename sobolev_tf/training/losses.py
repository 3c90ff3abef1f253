"""The Sobolev losses, Eq. (1) and (2) of the paper."""

import numbers
import typing
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

LOSSES = ("l1", "l2", "norm", "huber")


class SobolevLoss(typing.NamedTuple):
  """A per-example loss `[B]` and its terms, one `[B]` per order.

  The terms carry neither the number that weighs their order nor example
  weights, so that they can be logged as they are; weights of components are
  inside.
  """

  loss: tf.Tensor
  terms: tuple


# No control flow here depends on a tensor, and conversion takes a second.
@tf.autograph.experimental.do_not_convert
def sobolev_loss(
  predicted: Sequence[typing.Any],
  target: Sequence[typing.Any],
  weights: typing.Any = None,
  loss: str | Sequence[str] = "l2",
  *,
  output_weights: typing.Any = None,
  example_weights: typing.Any = None,
  reduction: str = "sum",
  huber_delta: typing.Any = 1.0,
) -> SobolevLoss:
  """Compares two tuples of a value and its derivatives, order by order.

  Per example: `l(m, f) + sum_j w_j l_j(D^j m, D^j f)`, Eq. (1); with projected
  derivatives in both tuples it is Eq. (2). Nothing is averaged over the batch.

  A NaN in the target means "unknown": that component contributes neither loss
  nor gradient, in values and derivatives alike.

  Args:
    predicted: tuple `(m(x), D^1 m, ..., D^K m)` as `derivatives` or
      `projected_derivatives` returns it; floating.
    target: tuple of the same length and exactly the same shapes; any real
      dtype, converted to that of the prediction.
    weights: a number, the weight of every derivative beside a value that
      weighs 1, as `derivative_weights=number` in `SobolevModel.compile`; or a
      list or tuple with one weight per term, the value first, so that
      `(1, *w)` is `derivative_weights=w`; None means 1. A weight is a number
      of at least 0 (a scalar tensor works too), or an array in the shape of
      that order's term without its batch axis, which then weighs its
      components one by one.
    loss: what l is, one name for all orders or one per order: `"l1"` the sum
      of absolute differences, `"l2"` the sum of their squares (no half: the
      paper writes the squared norm), `"norm"` the Euclidean norm, not squared,
      `"huber"` quadratic within `huber_delta` and linear beyond.
    output_weights: `[*out]`, weighs the components of f in the value and in
      all full derivatives.
    example_weights: `[B]`.
    reduction: `"sum"` over the components of an order (the paper's norms), or
      `"mean"`. Missing components count in the mean's denominator.
    huber_delta: where Huber's loss turns linear, a positive number or a scalar
      tensor.

  Returns:
    `SobolevLoss(loss, terms)`.

  Raises:
    ValueError: the terms are no tuples, or differ in number, shape or kind,
      or another argument is out of its range.
  """
  predicted, target = _as_pairs(predicted, target)
  orders = len(predicted)
  weights = _weight_per_term(weights, orders)
  losses = _loss_per_term(loss, orders)
  _check_delta(huber_delta)
  if reduction not in ("sum", "mean"):
    raise ValueError(
      f'reduction must be "sum" or "mean", but it is {reduction!r}.'
    )

  terms = []
  for order in range(orders):
    target[order] = _in_shape(target[order], predicted[order], order)
    components = _component_weights(
      predicted[0], predicted[order], weights[order], output_weights, order
    )
    terms.append(
      _term(
        predicted[order],
        target[order],
        losses[order],
        components,
        reduction,
        huber_delta,
      )
    )
  total = tf.add_n(
    [
      term if _rank(weight) else exact_cast(weight, term.dtype) * term
      for weight, term in zip(weights, terms, strict=True)
    ]
  )
  if example_weights is not None:
    example_weights = real_tensor(
      "example_weights", example_weights, total.dtype
    )
    if not example_weights.shape.is_compatible_with(total.shape):
      raise ValueError(
        f"example_weights must have shape {total.shape}, one weight per "
        f"example, but it has shape {example_weights.shape}."
      )
    total = example_weights * total
  return SobolevLoss(total, tuple(terms))


def _as_pairs(predicted, target):
  """Both tuples as lists of tensors, each pair of one dtype."""
  for name, terms in (("predicted", predicted), ("target", target)):
    if not isinstance(terms, (list, tuple)):
      raise ValueError(
        f"{name} must be a tuple (value, first derivative, ...), but it is a "
        f"{type(terms).__name__}; write ({name},) for a value alone."
      )
  if len(predicted) != len(target) or not predicted:
    raise ValueError(
      f"predicted holds {len(predicted)} term(s) and target {len(target)}; "
      "give the value and the same derivatives in both."
    )
  predicted = [
    real_tensor(f"predicted[{i}]", term) for i, term in enumerate(predicted)
  ]
  for order, term in enumerate(predicted):
    if not term.dtype.is_floating:
      raise ValueError(
        f"predicted[{order}] must be floating, but its dtype is "
        f"{term.dtype.name}; convert it to float32 or float64."
      )
    if term.shape.rank == 0:
      raise ValueError(
        f"predicted[{order}] must have a batch axis, [B, ...], but it is one "
        "number."
      )
  return predicted, [
    real_tensor(f"target[{i}]", term, like.dtype)
    for i, (term, like) in enumerate(zip(target, predicted, strict=True))
  ]


def real_tensor(
  name: str, value: typing.Any, dtype: tf.DType | None = None
) -> tf.Tensor:
  """Converts an argument to a tensor of real numbers.

  Args:
    name: what an error calls it.
    value: numbers, integers and booleans too.
    dtype: floating dtype of the result; None keeps the value's own.

  Raises:
    ValueError: value is no array of real numbers.
  """
  # A list of floats has no dtype of its own; an array must keep its own, or
  # the imaginary part of a complex one would go without a word.
  hint = dtype if isinstance(value, (int, float, list, tuple)) else None
  try:
    tensor = tf.convert_to_tensor(value, dtype_hint=hint)
  except (TypeError, ValueError) as error:
    raise ValueError(
      f"{name} must be an array of numbers, but it is {described(value)}, "
      "which cannot be converted to one."
    ) from error
  known = tensor.dtype.is_floating or tensor.dtype.is_integer
  if not (known or tensor.dtype.is_bool):
    raise ValueError(
      f"{name} must hold real numbers, but its dtype is {tensor.dtype.name}."
    )
  return tensor if dtype is None else tf.cast(tensor, dtype)


def _weight_per_term(weights, orders):
  """A list with one checked weight per term, the value first."""
  if weights is None:
    weights = 1.0
  if not isinstance(weights, (list, tuple)):
    if isinstance(weights, str) or _is_array(weights):
      raise ValueError(
        "weights must be one number for all derivatives, or a list or tuple "
        "with one weight per term, the value first, but it is "
        f"{described(weights)}."
      )
    weights = [1.0] + [weights] * (orders - 1)
  if len(weights) != orders:
    raise ValueError(
      f"weights has {len(weights)} entries for {orders} term(s); give one per "
      "term, the value first."
    )
  for order, weight in enumerate(weights):
    _check_weight(f"weights[{order}]", weight)
  return list(weights)


def _check_weight(name, weight):
  """Refuses what is no weight; the value of a tensor is not looked at."""
  if tf.is_tensor(weight) or isinstance(weight, tf.Variable):
    return
  try:
    array = np.asarray(weight)
    usable = array.dtype.kind in "biuf"
    usable = usable and bool(np.isfinite(array).all() and (array >= 0).all())
  except (TypeError, ValueError):
    usable = False
  if not usable:
    raise ValueError(
      f"{name} must be a finite number of at least 0, or an array of them, "
      f"but it is {described(weight)}."
    )


def _loss_per_term(loss, orders):
  """A list with one checked name per term."""
  names = [loss] * orders if isinstance(loss, str) else loss
  if not isinstance(names, (list, tuple)):
    raise ValueError(
      f"loss must be among {', '.join(LOSSES)}, one name for all terms or one "
      f"per term, but it is {described(loss)}."
    )
  if len(names) != orders:
    raise ValueError(
      f"loss has {len(names)} entries for {orders} term(s); give one per "
      "term, the value first."
    )
  for name in names:
    if not isinstance(name, str) or name not in LOSSES:
      raise ValueError(
        f"loss must be among {', '.join(LOSSES)}, but one is {described(name)}."
      )
  return list(names)


def _check_delta(delta):
  if tf.is_tensor(delta) or isinstance(delta, tf.Variable):
    return
  is_number = isinstance(delta, numbers.Real) and not isinstance(delta, bool)
  if not (is_number and 0 < delta < float("inf")):
    raise ValueError(
      f"huber_delta must be a positive finite number, but it is "
      f"{described(delta)}."
    )


def described(value: typing.Any) -> str:
  """A value as an error names it: short ones in full, arrays by shape."""
  if _is_array(value):
    return f"an array of shape {tuple(value.shape)}"
  text = repr(value)
  return text if len(text) <= 60 else f"a {type(value).__name__}"


def _is_array(value):
  return tf.TensorShape(getattr(value, "shape", ())).rank != 0


def _term(predicted, target, loss, weights, reduction, delta):
  """One order's loss per example, `[B]`."""
  known = tf.logical_not(tf.math.is_nan(target))
  # `where` on both sides: a NaN must not even enter the unused branch, since
  # its zero gradient times NaN would be NaN.
  difference = tf.where(
    known, predicted - tf.where(known, target, tf.zeros_like(target)), 0
  )
  magnitude = tf.abs(difference)
  if loss == "l1":
    elements = magnitude
  elif loss in ("l2", "norm"):
    elements = tf.square(difference)
  else:  # "huber"
    delta = exact_cast(delta, difference.dtype)
    elements = tf.where(
      magnitude <= delta,
      0.5 * tf.square(difference),
      delta * (magnitude - 0.5 * delta),
    )
  if weights is not None:
    elements = elements * weights
  axes = list(range(1, elements.shape.rank))
  reduce = tf.reduce_sum if reduction == "sum" else tf.reduce_mean
  reduced = reduce(elements, axis=axes)  # [B]
  return safe_sqrt(reduced) if loss == "norm" else reduced


def safe_sqrt(x: tf.Tensor) -> tf.Tensor:
  """Square root whose gradient at 0 is 0 instead of infinite."""
  positive = x > 0
  return tf.where(positive, tf.sqrt(tf.where(positive, x, 1)), 0)


def exact_cast(value: typing.Any, dtype: tf.DType) -> tf.Tensor:
  """As `tf.cast`, but 0.1 in float64 is 0.1.

  `tf.cast` takes a Python number through float32, which makes it 0.100000001.
  """
  return tf.cast(tf.convert_to_tensor(value, dtype_hint=dtype), dtype)


def _rank(weight):
  return tf.convert_to_tensor(weight).shape.rank


def _component_weights(value, term, weight, output_weights, order):
  """Combines array weights into one that broadcasts to `term`, or None."""
  combined = None
  if _rank(weight):
    combined = exact_cast(weight, term.dtype)
    if not combined.shape.is_compatible_with(term.shape[1:]):
      raise ValueError(
        f"weights[{order}] must be a number or have shape {term.shape[1:]}, "
        f"but it has shape {combined.shape}."
      )
  if output_weights is not None:
    output_weights = real_tensor("output_weights", output_weights, term.dtype)
    out = value.shape[1:]
    if not output_weights.shape.is_compatible_with(out):
      raise ValueError(
        f"output_weights must have shape {out}, one weight per output, but "
        f"it has shape {output_weights.shape}."
      )
    rank = out.rank
    if not term.shape[1 : 1 + rank].is_compatible_with(out):
      raise ValueError(
        f"output_weights of shape {out} do not apply to term {order} of shape "
        f"{term.shape}, whose outputs are projected away; weigh the "
        "directions instead."
      )
    extra = term.shape.rank - 1 - rank
    output_weights = tf.reshape(output_weights, out.as_list() + [1] * extra)
    combined = output_weights if combined is None else combined * output_weights
  return combined


def _in_shape(target, predicted, order):
  # Never broadcast: [B] against [B, 1] would silently compare all pairs.
  if not predicted.shape.is_compatible_with(target.shape):
    name = "value" if order == 0 else f"derivative of order {order}"
    raise ValueError(
      f"the {name} is predicted with shape {predicted.shape}, but its target "
      f"has shape {target.shape}; they must match exactly."
    )
  if predicted.shape.is_fully_defined() and target.shape.is_fully_defined():
    return target
  # What is not known yet has to match when it is.
  equal = tf.debugging.assert_equal(tf.shape(predicted), tf.shape(target))
  with tf.control_dependencies([equal] if equal is not None else []):
    return tf.ensure_shape(target, predicted.shape)
