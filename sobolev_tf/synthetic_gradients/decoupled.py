"""A network that is cut into segments, each trained on its own (§4.3)."""

import typing
from collections.abc import Sequence

import sonnet as snt
import tensorflow as tf

from sobolev_tf.synthetic_gradients import parts
from sobolev_tf.synthetic_gradients.estimators import (
  Estimate,
  Target,
  ZeroEstimator,
)

TARGETS = ("true", "bootstrapped")
MEASURES = ("cosine", "relative_error", "value_loss", "gradient_loss")


class StepGradients(typing.NamedTuple):
  """What one batch gives.

  Attributes:
    main: gradients of `main_variables`, averaged over the batch, with the L2
      term.
    estimators: gradients of `estimator_variables`, averaged over the batch.
    loss: mean log loss of the batch, without the L2 term.
    measures: dict of scalars, `NAME_K` for estimator K counted from below,
      with the names of `MEASURES`. Synthetic and true gradient are compared as
      one vector over the whole batch. Only what was known is in it.
  """

  main: list
  estimators: list
  loss: tf.Tensor
  measures: dict


class _Record(typing.NamedTuple):
  """What is kept of a segment's forward pass until the way down.

  Attributes:
    tape: from source to output; None once it is not needed any more.
    source: activations below the segment.
    output: activations above it; at the top the losses.
    estimate: what the estimator at the output answered; None at the top.
    estimator_tape: what recorded it.
    sums: gradients of the segment's variables, if they are known already.
    carried: synthetic gradient carried through to the source, likewise.
  """

  tape: tf.GradientTape | None
  source: tf.Tensor
  output: tf.Tensor
  estimate: Estimate | None = None
  estimator_tape: tf.GradientTape | None = None
  sums: list | None = None
  carried: tf.Tensor | None = None


class DecoupledNetwork(snt.Module):
  """Segments of a classifier with an estimator at each border.

  A segment is updated with the synthetic gradient of the estimator above it;
  no gradient crosses a border. The top segment has the true loss. With one
  segment and no estimator this is backpropagation.

  One forward pass over all segments and one backward pass per segment serve
  main network and estimators together. With true targets (the paper's formula)
  the true gradient travels down beside the synthetic one, which costs the
  passage through each segment's activations once more; it travels only as far
  as an estimator is trained on it. Bootstrapped targets (the earlier
  synthetic-gradient paper) are the answers of the estimator above, carried
  through the segment between, and cost nothing.

  A segment through which no true gradient has to pass is differentiated right
  after its forward pass, and the next segment waits for it: its activations
  are free by then. The lowest segment is always one of these, and with critics
  or bootstrapped targets most of them are.
  """

  def __init__(
    self,
    segments: Sequence,
    estimators: Sequence,
    targets: str = "true",
    l2: float = 0.0,
    name: str | None = None,
  ):
    """Joins the parts.

    Args:
      segments: from below, Keras layers or modules called as
        `segment(x, is_training)`; the last one returns logits
        `[B, classes]`.
      estimators: one `LossCritic`, `LocalLoss`, ... per border.
      targets: "true" or "bootstrapped".
      l2: weight of half the sum of squares of each segment's weights (its
        variables of two axes and more: neither biases nor BatchNorm), added to
        the gradient of that segment alone. The paper gives the number and
        neither the half nor the variables.
      name: module name.

    Raises:
      ValueError: the counts do not fit or targets is unknown.
    """
    super().__init__(name=name)
    if len(estimators) != len(segments) - 1:
      raise ValueError(
        f"{len(segments)} segment(s) have {len(segments) - 1} border(s), but "
        f"there are {len(estimators)} estimator(s); give one per border."
      )
    if targets not in TARGETS:
      raise ValueError(
        f"targets must be one of {', '.join(TARGETS)}, but it is {targets!r}."
      )
    self.segments = list(segments)
    self.estimators = list(estimators)
    self._targets = targets
    self._l2 = l2

  @property
  def main_variables(self) -> list:
    """Trainable variables of all segments, from below."""
    return [v for s in self.segments for v in parts.trainable_variables(s)]

  @property
  def estimator_variables(self) -> list:
    """Trainable variables of all estimators, from below."""
    return [v for e in self.estimators for v in parts.trainable_variables(e)]

  def __call__(self, x: tf.Tensor, is_training: bool = False) -> tf.Tensor:
    """Logits `[B, classes]`; the plain network, no estimator asked."""
    return self.activations(x, is_training)[-1]

  def activations(
    self, x: tf.Tensor, is_training: bool = False
  ) -> list[tf.Tensor]:
    """Every segment's output, from below; the logits last."""
    outputs = []
    for segment in self.segments:
      x = parts.call(segment, x, is_training)
      outputs.append(x)
    return outputs

  def gradients(
    self, x: tf.Tensor, y: tf.Tensor, measure: bool = True
  ) -> StepGradients:
    """Computes the gradients of main network and estimators on one batch.

    BatchNorm makes the loss of one example depend on the others; the gradient
    at a border is that of the sum of all losses w.r.t. each example's
    activations.

    Args:
      x: inputs `[B, ...]`.
      y: labels `[B, classes]`, one-hot or any weights of the classes.
      measure: whether the true gradient is to travel down to every border even
        where no estimator is trained on it, so that all measures are known.

    Returns:
      A `StepGradients`.

    Raises:
      ValueError: y has another shape than the logits.
    """
    y = tf.convert_to_tensor(y)
    if not y.dtype.is_floating:
      y = tf.cast(y, x.dtype if x.dtype.is_floating else tf.float32)
    lowest = 0 if measure else self._lowest_border_with_truth()
    records, losses, label_gradient = self._forward(x, y, lowest)
    truth = Target(losses, None, label_gradient)
    main, trained, measures = [], [], {}
    # What comes down to a segment's output: the true gradient, and with
    # bootstrapped targets what the estimator above answers.
    true, boot = None, None
    for index in reversed(range(len(self.segments))):
      border = index - 1  # the one below
      record = records.pop()  # its tape is let go
      sums, carried, true = self._descend(index, record, true, border >= lowest)
      main = self._average(index, sums, tf.shape(losses)[0]) + main
      if border < 0:
        break
      truth = truth._replace(gradient=true)
      if boot is not None:
        boot = boot._replace(gradient=carried)
      gradients, seen = self._train_estimator(
        border, records[-1], boot or truth, truth
      )
      trained = gradients + trained
      measures.update(seen)
      if self._targets == "bootstrapped":
        estimate = records[-1].estimate
        boot = Target(estimate.value, None, estimate.label_gradient)
    return StepGradients(main, trained, tf.reduce_mean(losses), measures)

  def _forward(self, x, y, lowest):
    """Runs every segment under a tape of its own; the loss is in the last."""
    records = []
    for index, segment in enumerate(self.segments):
      # Persistent, because synthetic and true gradient go down separately.
      with tf.GradientTape(persistent=True) as tape:
        if records:
          tape.watch(x)
        output = parts.call(segment, x, True)
      record = _Record(tape, x, output)
      if index < len(self.estimators):
        record = self._ask(index, record, y)
        if index - 1 < lowest:
          sums, carried = self._differentiate(index, record, False)
          record = record._replace(tape=None, sums=sums, carried=carried)
          output = _after([*sums, carried], output)
      records.append(record)
      x = output
    _check_labels(y, x)
    with records[-1].tape:
      # Written out, because log p_h is wanted as well.
      label_gradient = -tf.nn.log_softmax(x)  # [B, classes], dL/dy
      losses = tf.reduce_sum(y * label_gradient, axis=-1)  # [B]
    records[-1] = records[-1]._replace(output=losses)
    return records, losses, label_gradient

  def _ask(self, border, record, y):
    """Asks the estimator at a segment's output."""
    with tf.GradientTape() as tape:
      estimate = self.estimators[border](record.output, y)
    return record._replace(estimate=estimate, estimator_tape=tape)

  def _lowest_border_with_truth(self):
    """The lowest border whose estimator is trained on the true gradient."""
    borders = range(len(self.estimators))
    if self._targets == "bootstrapped":
      borders = borders[-1:]  # the others learn from the estimator above
    needy = [b for b in borders if self.estimators[b].needs_gradient]
    return min(needy, default=len(self.segments))

  def _descend(self, index, record, true, want_true):
    """Takes one segment on the way down.

    Args:
      index: which segment.
      record: its `_Record`.
      true: the true gradient at its output; None at the top, or if unknown.
      want_true: whether the true gradient is wanted at its input.

    Returns:
      gradients of its variables, summed over the batch, and at its input the
      synthetic gradient carried through and the true one (None if unwanted).
    """
    if record.sums is not None:
      return record.sums, record.carried, None
    sums, carried = self._differentiate(index, record, want_true)
    if record.estimate is None:  # at the top, where nothing is synthetic
      return sums, carried, carried
    if want_true:
      true = record.tape.gradient(
        record.output, record.source, output_gradients=true
      )
    return sums, carried, true if want_true else None

  def _differentiate(self, index, record, want_true):
    """Differentiates one segment by what its variables learn from.

    Returns:
      gradients of its variables, summed over the batch, and the gradient at
      its input if that is wanted, of the loss at the top and elsewhere the
      synthetic one.
    """
    variables = parts.trainable_variables(self.segments[index])
    is_top = record.estimate is None
    if not is_top and isinstance(self.estimators[index], ZeroEstimator):
      # Zero gradients need no backward pass to become zero.
      sums = [tf.zeros(v.shape, v.dtype) for v in variables]
      return sums, tf.zeros_like(record.source)
    want_carried = want_true if is_top else self._boots(index - 1)
    found = record.tape.gradient(
      record.output,
      [*variables, record.source] if want_carried else variables,
      # Nothing but 1 at the loss itself.
      output_gradients=None if is_top else record.estimate.gradient,
    )
    carried = found[-1] if want_carried else None
    return found[: len(variables)], carried

  def _boots(self, border):
    """Whether a border's target is carried down from the estimator above."""
    return (
      self._targets == "bootstrapped" and 0 <= border < len(self.estimators) - 1
    )

  def _average(self, index, sums, batch_size):
    """One segment's gradients: averaged over the batch, and L2 added."""
    gradients = []
    for variable, total in zip(
      parts.trainable_variables(self.segments[index]), sums, strict=True
    ):
      if total is None:
        raise ValueError(
          f"segment {index} does not use its variable {variable.name} of shape "
          f"{variable.shape}, so it has no gradient; remove it."
        )
      gradient = total / tf.cast(batch_size, total.dtype)
      if self._l2 and is_decayed(variable):
        gradient += self._l2 * variable
      gradients.append(gradient)
    return gradients

  def _train_estimator(self, border, record, target, truth):
    """Differentiates the loss of one estimator.

    Returns:
      gradients of its variables, and its measures.
    """
    estimator = self.estimators[border]
    with record.estimator_tape as tape:
      losses = estimator.loss(record.estimate, target)
      mean = tf.reduce_mean(losses.loss)
    variables = parts.trainable_variables(estimator)
    gradients = tape.gradient(mean, variables) if variables else []
    seen = _measures(record.estimate, losses, truth.gradient)
    return gradients, {
      f"{name}_{border + 1}": value for name, value in seen.items()
    }


def _after(done, x):
  """x, but in a graph not before the tensors of `done` are there."""
  with tf.control_dependencies([z for z in done if z is not None]):
    return tf.identity(x)


def is_decayed(variable: tf.Variable) -> bool:
  """Whether the L2 term counts a variable: weights, not biases or BatchNorm."""
  return len(variable.shape) > 1


def _measures(estimate, losses, true):
  """Scalars about one estimator; those that need nothing unknown."""
  seen = {}
  if losses.value is not None:
    seen["value_loss"] = tf.reduce_mean(losses.value)
  if losses.gradient is not None:
    seen["gradient_loss"] = tf.reduce_mean(losses.gradient)
  if true is not None:
    length, true_length = tf.norm(estimate.gradient), tf.norm(true)
    # A zero vector (Noprop's) has no direction; its cosine counts as 0.
    seen["cosine"] = tf.math.divide_no_nan(
      tf.reduce_sum(estimate.gradient * true), length * true_length
    )
    seen["relative_error"] = tf.math.divide_no_nan(
      tf.norm(estimate.gradient - true), true_length
    )
  return seen


def _check_labels(y, logits):
  if y.shape.rank != 2 or not y.shape.is_compatible_with(logits.shape):
    raise ValueError(
      f"y must have the shape of the logits, {logits.shape}, but it has shape "
      f"{y.shape}; make class numbers one-hot with tf.one_hot."
    )
