"""Weights of derivative losses that follow from the gradients themselves.

With g_0 the gradient of the value's loss and g_j that of derivative order j
with respect to the parameters, an update takes `g_0 + sum_j w_j g_j`:

- "balanced": `w_j = |g_0| / |g_j|`, both norms as exponential averages, so that
  no order outweighs the value, whatever units and losses it has.
- "conflict_free": with unit vectors u_i = g_i / |g_i|, the direction v of
  `u_i . v = 1` for all i, which makes equal cosines with all gradients, and as
  length the sum of the gradients' projections on it. Opposing gradients no
  longer undo each other (ConFIG: Liu, Chu & Thuerey, arXiv 2408.11104).

Both need the gradients' inner products alone.
"""

import typing
import warnings

import keras
import tensorflow as tf

METHODS = ("balanced", "conflict_free")

_DECAY = 0.99
# Unit gradients that oppose each other exactly have no common direction.
_RIDGE = 1e-6
_OPPOSED, _LONG = -0.5, 100


class GradientBalance(keras.layers.Layer):
  """The state of a balance, which is saved with the model.

  Attributes:
    method: one of `METHODS`.
    weights_now: `[J]`, the weights of the last update, 1 before the first.
    cosines_now: `[J]`, between g_0 and each g_j, at the last update.
  """

  def __init__(self, method: str, order: int, **kwargs: typing.Any) -> None:
    """Takes one of `METHODS` and J, the highest order of derivatives."""
    super().__init__(**kwargs)
    self.method = method
    self.weights_now = self._state("weights", order, "ones")
    self.cosines_now = self._state("cosines", order, "zeros")
    self._norms = self._state("norms", order + 1, "zeros")
    self._mean_cosines = self._state("mean_cosines", order, "zeros")
    self._updates = self._state("updates", 1, "zeros")
    self._has_warned = False
    self.built = True

  def _state(self, name, size, initial):
    return self.add_weight(
      name=name,
      shape=(size,),
      initializer=initial,
      trainable=False,
      autocast=False,
      aggregation="only_first_replica",  # All replicas have the same.
    )

  def readers(self) -> list:
    """One weight per order in the form of a schedule: it reads the variable."""
    size = self.weights_now.shape[0]
    return [lambda step, j=j: self.weights_now.value[j] for j in range(size)]

  def combine(self, gradients: typing.Sequence) -> list:
    """One gradient from those of the value and of each order.

    Args:
      gradients: lists of tensors, one per variable, those of the value first;
        None where a loss does not depend on a variable.

    Returns:
      List of tensors, or None where all are None.
    """
    products = inner_products(gradients)
    norms = tf.sqrt(tf.linalg.diag_part(products))
    averages = _averaged(self._norms.value, norms)
    if self.method == "balanced":
      weights = tf.math.divide_no_nan(averages[0], averages[1:])
      shares = tf.concat([tf.ones_like(weights[:1]), weights], axis=0)
    else:
      shares = conflict_free_shares(products)
      weights = tf.math.divide_no_nan(shares[1:], shares[0])
    lengths = norms[0] * norms[1:]
    cosines = tf.math.divide_no_nan(products[0, 1:], lengths)
    self._remember(averages, weights, cosines)
    return [
      _weighed_sum(shares, parts) for parts in zip(*gradients, strict=True)
    ]

  def logs(self) -> dict:
    """Scalars of the last update: weight and cosine of each order."""
    logs = {}
    for j in range(self.weights_now.shape[0]):
      suffix = f"_d{j + 1}" if j else ""
      logs[f"derivative_weight{suffix}"] = self.weights_now.value[j]
      logs[f"gradient_cosine{suffix}"] = self.cosines_now.value[j]
    return logs

  def warn_of_conflict(self) -> None:
    """Says once if gradients have opposed each other for a hundred updates."""
    if self._has_warned or float(self._updates.numpy()[0]) < _LONG:
      return
    unbiased = 1 - _DECAY ** float(self._updates.numpy()[0])
    for j, mean in enumerate(self._mean_cosines.numpy() / unbiased, start=1):
      if mean < _OPPOSED:
        self._has_warned = True
        warnings.warn(
          f"for some hundred updates the gradients of the value and of the "
          f"derivatives of order {j} have opposed each other (mean cosine "
          f"{mean:.2f}): these labels contradict the values; look at them with "
          "check_derivatives.",
          stacklevel=2,
        )

  def _remember(self, norms, weights, cosines):
    """Keeps what is finite; an update that is not will not be made."""
    finite = tf.reduce_all(tf.math.is_finite(tf.concat([norms, weights], 0)))
    means = _averaged(self._mean_cosines.value, cosines)
    for variable, value in (
      (self._norms, norms),
      (self.weights_now, weights),
      (self.cosines_now, cosines),
      (self._mean_cosines, means),
      (self._updates, self._updates.value + 1),
    ):
      value = tf.cast(value, variable.dtype)
      variable.assign(tf.where(finite, value, variable.value))


def inner_products(gradients: typing.Sequence) -> tf.Tensor:
  """`[J + 1, J + 1]` of gradients that are lists of tensors or None."""
  zero = next(g for parts in gradients for g in parts if g is not None)
  zero = tf.zeros([], zero.dtype)

  def product(first, second):
    terms = [
      tf.reduce_sum(a * b)
      for a, b in zip(first, second, strict=True)
      if a is not None and b is not None
    ]
    return tf.add_n([zero, *terms])

  return tf.stack([[product(a, b) for b in gradients] for a in gradients])


def conflict_free_shares(products: tf.Tensor) -> tf.Tensor:
  """What each gradient counts in the conflict-free one, from `[I, I]` products.

  A gradient of zero takes no part.
  """
  norms = tf.sqrt(tf.linalg.diag_part(products))
  inverse = tf.math.divide_no_nan(tf.ones_like(norms), norms)
  unit = products * inverse[:, tf.newaxis] * inverse
  present = tf.cast(norms > 0, norms.dtype)
  # The i-th row says u_i . v = 1, with v a sum of the u_i; an absent one's
  # says that it counts nothing.
  size = tf.shape(norms)[0]
  ridge = tf.eye(size, dtype=norms.dtype) * _RIDGE
  system = unit + ridge + tf.linalg.diag(1 - present)
  counts = tf.linalg.solve(system, present[:, tf.newaxis])[:, 0]
  square = tf.einsum("i,ij,j->", counts, unit, counts)
  # v / |v| times the sum of g_i . v / |v|.
  along = tf.reduce_sum(tf.linalg.matvec(unit, counts) * norms)
  return tf.math.divide_no_nan(along, square) * counts * inverse


def _averaged(average, value):
  """Exponential average from zero; ratios of two need no correction."""
  return _DECAY * tf.cast(average, value.dtype) + (1 - _DECAY) * value


def _weighed_sum(shares, parts):
  terms = [shares[i] * g for i, g in enumerate(parts) if g is not None]
  return tf.add_n(terms) if terms else None
