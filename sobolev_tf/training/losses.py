"""The Sobolev losses, Eq. (1) and (2) of the paper."""

import typing

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


def sobolev_loss(
  predicted,
  target,
  weights=None,
  loss="l2",
  *,
  output_weights=None,
  example_weights=None,
  reduction="sum",
  huber_delta=1.0,
):
  """Compares two tuples of a value and its derivatives, order by order.

  Per example: `l(m, f) + sum_j w_j l_j(D^j m, D^j f)`, Eq. (1); with projected
  derivatives in both tuples it is Eq. (2). Nothing is averaged over the batch.

  A NaN in the target means "unknown": that component contributes neither loss
  nor gradient, in values and derivatives alike.

  Args:
    predicted: tuple `(m(x), D^1 m, ..., D^K m)` as `derivatives` or
      `projected_derivatives` returns it.
    target: tuple of the same length and exactly the same shapes.
    weights: one weight per order, the value first; None means 1 for each. A
      weight is a number (a scalar tensor works too), or an array in the shape
      of that order's term without its batch axis, which then weighs its
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
    huber_delta: positive, where Huber's loss turns linear.

  Returns:
    `SobolevLoss(loss, terms)`.

  Raises:
    ValueError: the tuples differ in length or in a shape, or a weight does
      not fit.
  """
  predicted, target = _as_pairs(predicted, target)
  orders = len(predicted)
  weights = _one_per_order("weights", weights, 1.0, orders)
  losses = _one_per_order("loss", loss, loss, orders)
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
    example_weights = exact_cast(example_weights, total.dtype)
    if not example_weights.shape.is_compatible_with(total.shape):
      raise ValueError(
        f"example_weights must have shape {total.shape}, one weight per "
        f"example, but it has shape {example_weights.shape}."
      )
    total = example_weights * total
  return SobolevLoss(total, tuple(terms))


def _as_pairs(predicted, target):
  """Both tuples as lists of tensors, each pair of one dtype."""
  predicted, target = list(predicted), list(target)
  if len(predicted) != len(target):
    raise ValueError(
      f"predicted holds {len(predicted)} term(s) and target {len(target)}; "
      "give the value and the same derivatives in both."
    )
  predicted = [tf.convert_to_tensor(term) for term in predicted]
  return predicted, [
    tf.convert_to_tensor(term, dtype=like.dtype)
    for term, like in zip(target, predicted, strict=True)
  ]


def _one_per_order(name, given, default, orders):
  """A list of what is given, of the default for None or for a single name."""
  if given is None or isinstance(given, str):
    return [default] * orders
  given = list(given)
  if len(given) != orders:
    raise ValueError(
      f"{name} has {len(given)} entries for {orders} term(s); give one per "
      "order, the value first."
    )
  return given


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
  elif loss == "huber":
    delta = exact_cast(delta, difference.dtype)
    elements = tf.where(
      magnitude <= delta,
      0.5 * tf.square(difference),
      delta * (magnitude - 0.5 * delta),
    )
  else:
    raise ValueError(
      f"loss must be one of {', '.join(LOSSES)}, but it is {loss!r}."
    )
  if weights is not None:
    elements = elements * weights
  axes = list(range(1, elements.shape.rank))
  reduce = tf.reduce_sum if reduction == "sum" else tf.reduce_mean
  reduced = reduce(elements, axis=axes)  # [B]
  return safe_sqrt(reduced) if loss == "norm" else reduced


def safe_sqrt(x):
  """Square root whose gradient at 0 is 0 instead of infinite."""
  positive = x > 0
  return tf.where(positive, tf.sqrt(tf.where(positive, x, 1)), 0)


def exact_cast(value, dtype):
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
    output_weights = exact_cast(output_weights, term.dtype)
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
