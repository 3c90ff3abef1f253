"""Estimators of the gradient at a border: Table 1 (§4.3) and a later one.

Every estimator is a module that is called with activations h and labels y and
answers with an `Estimate`; its `loss` compares that with a `Target`. All
quantities are those of each example's own loss, not divided by the batch.
"""

import math
import typing
from collections.abc import Callable

import sonnet as snt
import tensorflow as tf

from sobolev_tf.derivatives.moments import twice_differentiable
from sobolev_tf.synthetic_gradients import parts
from sobolev_tf.training.losses import sobolev_loss


class Estimate(typing.NamedTuple):
  """What an estimator answers; None where it has no answer.

  Attributes:
    value: predicted loss m(h, y), `[B]`.
    gradient: synthetic gradient, shaped as h.
    label_gradient: dm/dy, shaped as y.
  """

  value: tf.Tensor | None
  gradient: tf.Tensor
  label_gradient: tf.Tensor | None = None


class Target(typing.NamedTuple):
  """What the estimate should have been; None where that is not known.

  Attributes:
    value: the loss of each example, `[B]`.
    gradient: its gradient w.r.t. h, shaped as h.
    label_gradient: its gradient w.r.t. y, shaped as y.
  """

  value: tf.Tensor | None
  gradient: tf.Tensor | None
  label_gradient: tf.Tensor | None = None


class EstimatorLoss(typing.NamedTuple):
  """An estimator's training loss and its terms, each `[B]`.

  A term is computed wherever estimate and target both have it, whether it is
  trained on or not, so that it can be logged; None elsewhere.
  """

  loss: tf.Tensor
  value: tf.Tensor | None
  gradient: tf.Tensor | None
  label_gradient: tf.Tensor | None


class _ClassPredictor(snt.Module):
  """Predicts classes from activations, and so a loss and its gradient.

  `m(h, y) = L(p(h), y)` with the log loss L, and `SG(h, y) = dm/dh` (§4.3).
  """

  def __init__(self, predictor, name):
    super().__init__(name=name)
    self.predictor = predictor

  def make_variables(self, h: tf.Tensor, y: tf.Tensor) -> None:
    """Builds the predictor for activations like h; asks nothing."""
    del y
    self.predictor(h)

  def __call__(self, h: tf.Tensor, y: tf.Tensor) -> Estimate:
    """Predicts the loss and its derivatives.

    Args:
      h: activations `[B, ...]`.
      y: labels `[B, classes]`, one-hot or any weights of the classes.

    Returns:
      An `Estimate`; it can be differentiated again, w.r.t. parameters, h and y.

    Raises:
      ValueError: the predictor normalises over the batch, or does not fit.
    """
    # Training differentiates the gradient once more.
    predictor = twice_differentiable(self.predictor, h, 1)
    with tf.GradientTape() as tape:
      tape.watch(h)
      logits = predictor(h)
      _check_logits(logits, y)
      # Written out: in softmax_cross_entropy_with_logits the second-order
      # cross term w.r.t. the labels is silently zero.
      label_gradient = -tf.nn.log_softmax(logits)  # [B, classes]
      value = tf.reduce_sum(y * label_gradient, axis=-1)  # [B]
    # Examples are independent, so the gradient of the sum over the batch is
    # each example's own.
    gradient = tape.gradient(value, h)
    self._check_predictor(gradient)
    # m is linear in y, so dm/dy is known without differentiating.
    return Estimate(value, gradient, label_gradient)

  def _check_predictor(self, gradient):
    if gradient is None:
      raise ValueError(
        "the predictor's logits do not depend on h through differentiable "
        "operations, so there is no synthetic gradient."
      )
    for module in self._parts():
      if "batchnorm" in type(module).__name__.lower():
        raise ValueError(
          f"the predictor holds {module.name}, which couples the examples of a "
          "batch, but the gradient of each example is wanted; leave it out."
        )

  def _parts(self):
    modules = getattr(self.predictor, "submodules", ())
    layers = parts.keras_layers(self.predictor)
    return [*modules, *(part for layer in layers for part in _inside(layer))]


class LossCritic(_ClassPredictor):
  """Predicts the loss, and its gradient by differentiating the prediction.

  `m(h, y) = L(p(h), y)` with the log loss L, and `SG(h, y) = dm/dh` (§4.3).
  Which derivatives are supervised makes the method:

  | match_value | match_gradient | |
  |---|---|---|
  | yes | yes | Sobolev |
  | yes | no | critic |
  | no | yes | VFBN |

  `match_labels` adds `dm/dy = -log p(h)` against `dL/dy = -log p_h` (SM §4.1),
  which the authors had to leave out of their large experiments: a sum over all
  classes of numbers without a bound, whose gradient is many times that of the
  other terms (`benchmarks.label_supervision`).
  """

  def __init__(
    self,
    predictor: Callable,
    match_value: bool = True,
    match_gradient: bool = True,
    match_labels: bool = False,
    loss: str = "l1",
    weights: tuple[float, float, float] = (1.0, 1.0, 1.0),
    balance: bool = False,
    name: str | None = None,
  ):
    """Wraps a class predictor.

    Args:
      predictor: Sonnet module or Keras layer that maps h to logits
        `[B, classes]`, each example on its own: without BatchNorm.
      match_value: supervise the predicted loss.
      match_gradient: supervise its gradient w.r.t. h.
      match_labels: supervise its gradient w.r.t. the labels.
      loss: "l1" (SM §4.2) or "l2", sums over the components (the paper's
        norms).
      weights: of the terms of value, gradient and labels (the paper: 1 each),
        numbers, or scalar variables that are not trainable.
      balance: whether each term is first made as large, in the mean over the
        batch, as the first one that is supervised, so that weights are shares
        whatever the terms' units (ours).
      name: module name.

    Raises:
      ValueError: nothing is supervised, the loss is unknown, or a weight is
        not a positive number.
    """
    super().__init__(predictor, name)
    if not (match_value or match_gradient or match_labels):
      raise ValueError(
        "a LossCritic that matches neither value, gradient nor labels cannot "
        "be trained; switch one of them on."
      )
    _check_loss(loss)
    if len(weights) != 3 or not all(0 < w < math.inf for w in weights):
      raise ValueError(
        "weights must be three positive numbers, of value, gradient and "
        f"labels, but they are {weights}; match_... switches a term off."
      )
    if any(getattr(w, "trainable", False) for w in weights):
      raise ValueError(
        "weights must not be trained with the estimator; give variables "
        "trainable=False."
      )
    self.match_value = match_value
    self.match_gradient = match_gradient
    self.match_labels = match_labels
    self.weights = tuple(weights)
    self.balance = balance
    self._loss = loss

  @property
  def needs_gradient(self) -> bool:
    """Whether training needs the true gradient w.r.t. h."""
    return self.match_gradient

  def loss(self, estimate: Estimate, target: Target) -> EstimatorLoss:
    """Compares an estimate with its target: `EstimatorLoss`."""
    value = _term(estimate.value, target.value, self._loss)
    gradient = _term(estimate.gradient, target.gradient, self._loss)
    labels = _term(estimate.label_gradient, target.label_gradient, self._loss)
    terms = []
    for name, wanted, term, weight in zip(
      ("value", "gradient", "label_gradient"),
      (self.match_value, self.match_gradient, self.match_labels),
      (value, gradient, labels),
      self.weights,
      strict=True,
    ):
      if wanted and term is None:
        raise ValueError(
          f"this LossCritic is trained on the target's {name}, but it is None."
        )
      if wanted:
        terms.append((weight, term))
    return EstimatorLoss(self._sum(terms), value, gradient, labels)

  def _sum(self, terms):
    """Adds pairs of a weight and a term, `[B]`."""
    first = tf.reduce_mean(terms[0][1])
    total = terms[0][0] * terms[0][1]
    for weight, term in terms[1:]:
      if self.balance:
        # A constant: no gradient is to shrink one term by growing another.
        term *= tf.stop_gradient(
          tf.math.divide_no_nan(first, tf.reduce_mean(term))
        )
      total += weight * term
    return total


class LocalLoss(_ClassPredictor):
  """A head at the border that learns the labels: decoupled greedy learning.

  The segment below learns from the head's own log loss and asks nothing of the
  segments above: `m(h, y) = L(p(h), y)` as for a `LossCritic`, but p is trained
  to predict y, where a critic trains it to predict the loss above (Belilovsky
  et al. 2020, "Decoupled Greedy Learning of CNNs"; local classifiers after
  Nøkland and Eidnes 2019). The head is the user's; theirs is a small network.
  """

  needs_gradient = False

  def __init__(self, predictor: Callable, name: str | None = None):
    """Wraps a class predictor.

    Args:
      predictor: Sonnet module or Keras layer that maps h to logits
        `[B, classes]`, each example on its own: without BatchNorm.
      name: module name.
    """
    super().__init__(predictor, name)

  def loss(self, estimate: Estimate, target: Target) -> EstimatorLoss:
    """The head's own log loss; the terms, L1, are for logging alone."""
    return EstimatorLoss(
      estimate.value,
      _term(estimate.value, target.value, "l1"),
      _term(estimate.gradient, target.gradient, "l1"),
      _term(estimate.label_gradient, target.label_gradient, "l1"),
    )


class DirectEstimator(snt.Module):
  """A plain network that maps activations and label to the gradient.

  It predicts no loss, and its output is in general no gradient of anything:
  its Jacobian is not symmetric (Proposition 4).
  """

  needs_gradient = True

  def __init__(
    self, network: Callable, loss: str = "l1", name: str | None = None
  ):
    """Wraps `network(h, y)`, which returns a tensor shaped as h.

    Args:
      network: module.
      loss: "l1", which the paper found better, or "l2".
      name: module name.
    """
    super().__init__(name=name)
    _check_loss(loss)
    self.network = network
    self._loss = loss

  def make_variables(self, h: tf.Tensor, y: tf.Tensor) -> None:
    """Builds the network for activations like h and labels like y."""
    self.network(h, y)

  def __call__(self, h: tf.Tensor, y: tf.Tensor) -> Estimate:
    """Answers with the synthetic gradient alone: an `Estimate`."""
    gradient = self.network(h, y)
    if not gradient.shape.is_compatible_with(h.shape):
      raise ValueError(
        f"the network must return the shape of h, {h.shape}, but it returned "
        f"{gradient.shape}."
      )
    return Estimate(None, gradient)

  def loss(self, estimate: Estimate, target: Target) -> EstimatorLoss:
    """Compares an estimate with its target: `EstimatorLoss`."""
    term = _term(estimate.gradient, target.gradient, self._loss)
    if term is None:
      raise ValueError(
        "a DirectEstimator is trained on the target's gradient, but it is None."
      )
    return EstimatorLoss(term, None, term, None)


@snt.allow_empty_variables
class ZeroEstimator(snt.Module):
  """Answers zero: the segments below it do not learn (Noprop)."""

  needs_gradient = False

  def make_variables(self, h: tf.Tensor, y: tf.Tensor) -> None:
    """Builds nothing."""

  def __call__(self, h: tf.Tensor, y: tf.Tensor) -> Estimate:
    """Answers with zeros: an `Estimate`."""
    del y
    return Estimate(None, tf.zeros_like(h))

  def loss(self, estimate: Estimate, target: Target) -> EstimatorLoss:
    """There is nothing to train; the gradient's L1 error, for logging."""
    term = _term(estimate.gradient, target.gradient, "l1")
    zeros = tf.zeros(tf.shape(estimate.gradient)[:1], estimate.gradient.dtype)
    return EstimatorLoss(zeros, None, term, None)


def _inside(layer):
  """A Keras layer and all that it is made of."""
  found = [layer]
  for inner in getattr(layer, "layers", ()):
    found += _inside(inner)
  return found


def _term(estimate, target, loss):
  if estimate is None or target is None:
    return None
  return sobolev_loss((estimate,), (target,), loss=loss).loss


def _check_loss(loss):
  if loss not in ("l1", "l2"):
    raise ValueError(f'loss must be "l1" or "l2", but it is {loss!r}.')


def _check_logits(logits, y):
  if logits.shape.rank != 2 or not logits.shape.is_compatible_with(y.shape):
    raise ValueError(
      f"the predictor must return logits in the shape of y, {y.shape}, but it "
      f"returned {logits.shape}."
    )
