"""The methods of `fit_full_batch`: each advances a model by an epoch."""

import typing

import keras
import numpy as np
import tensorflow as tf

from sobolev_tf.derivatives.compiled import compiled
from sobolev_tf.training import lbfgs, levenberg_marquardt
from sobolev_tf.training.keras_internals import has_schedule
from sobolev_tf.training.resident_loss import ResidentLoss
from sobolev_tf.training.twins import in_double_precision
from sobolev_tf.training.updates import make_updates, sources

# More rows than this are vectorised without XLA and a loop with it, see
# `derivatives`.
_ROWS_FOR_XLA = 8
# XLA needs one to three seconds more than TensorFlow to compile, which fewer
# updates of a small network do not win back.
_UPDATES_FOR_XLA = 5000
_TOLERANCE = 1e-7


class Minimiser:
  """What the methods share.

  Attributes:
    failure: None, or why training cannot go on, in one sentence.
    uses_xla: whether the updates are compiled with XLA.
  """

  def __init__(
    self,
    model: keras.Model,
    x: np.ndarray,
    y: dict,
    *,
    sample_weight: typing.Any,
    l2: float,
    batch_size: int | None,
    updates: int,
    updates_per_epoch: int,
    jit_compile: bool | None,
  ):
    """Takes what `fit_full_batch` was given, with x and y as arrays."""
    self.failure = None
    self._model = model
    self._trained = self._trained_model(model)
    self._loss = ResidentLoss(self._trained, x, y, sample_weight, l2)
    self._batch_size = batch_size
    self._updates, self._per_epoch = updates, updates_per_epoch
    self.uses_xla = _should_use_xla(model, updates, jit_compile)
    self._done = 0

  def begin(self, epoch: int) -> None:
    """Starts from the model's weights, at the first update of an epoch."""
    self._done = epoch * self._per_epoch

  def advance(self) -> bool:
    """Makes an epoch's updates and shows them in the model's variables.

    Returns:
      Whether there is anything left to do.
    """
    raise NotImplementedError

  def logs(self) -> dict:
    """Dict of scalars about the training examples as the model is now."""
    return {**self._loss.measure(), **self._model.balance_logs()}

  def _trained_model(self, model):
    return model

  def _left(self):
    return min(self._per_epoch, self._updates - self._done)

  def _fail(self, update):
    self.failure = (
      f"the loss or its gradient is not finite at update {update}; the weights "
      "are those before it. Look for infinities in the labels, scale the data "
      '(scaling="standard"), or lower the learning rate.'
    )
    return False


class Adam(Minimiser):
  """The model's own Adam; its rate falls to zero along half a cosine.

  A learning rate that is a schedule already is left as it is. Mini-batches
  are consecutive pieces of one permutation after the other, so that each
  example is met equally often; a batch is a function of (seed, update).
  """

  def __init__(self, model: keras.Model, *args, **kwargs):
    """Checks that the model's optimizer is an Adam."""
    if not isinstance(model.optimizer, keras.optimizers.Adam):
      raise ValueError(
        'method="adam" trains with the optimizer of compile, which must be '
        f"Adam or AdamW, but it is {type(model.optimizer).__name__}; compile "
        "with keras.optimizers.Adam, or use fit."
      )
    super().__init__(model, *args, **kwargs)
    size = self._loss.size
    if self._batch_size is not None and self._batch_size > size:
      self._batch_size = None
    self._schedule = not has_schedule(model.optimizer)
    self._compiled = compiled(self._make_updates, jit_compile=self.uses_xla)

  def advance(self) -> bool:
    """As in `Minimiser`."""
    optimizer, count = self._model.optimizer, self._left()
    peak = float(optimizer.learning_rate)
    rows = None
    if self._batch_size is not None:
      rows = tf.constant(self._rows(self._done, self._per_epoch))
    end, _ = self._compiled(
      tf.constant(self._done), tf.constant(count), rows, tf.constant(peak)
    )
    if self._schedule:
      optimizer.learning_rate = peak
    if int(end) < self._done + count:
      return self._fail(int(end))
    self._done += count
    return self._done < self._updates

  def _make_updates(self, first, count, rows, peak):
    optimizer = self._model.optimizer

    def set_rate(index):
      if self._schedule:
        part = tf.cast(index, tf.float32) / self._updates
        rate = peak * 0.5 * (1 + tf.cos(np.pi * part))
        optimizer.learning_rate = rate

    def batch_of(index):
      # Not a slice: XLA would compile anew for each position of it.
      batch = None if rows is None else tf.gather(rows, index - first)
      return optimizer.iterations, batch

    def loss(index):
      set_rate(index)
      return self._loss(*batch_of(index))

    def balanced(index):
      set_rate(index)
      with tf.GradientTape(persistent=True) as tape:
        last, parts, penalty = self._loss.parts(*batch_of(index))
      values = sources(self._loss.variables)
      return last, self._model.combined_gradients(tape, parts, penalty, values)

    return make_updates(
      loss,
      self._loss.variables,
      optimizer,
      first,
      count,
      balanced if self._model.balance else None,
    )

  def _rows(self, first, count):
    """The examples of `count` updates, `[count, batch size]`."""
    size, batch = self._loss.size, self._batch_size
    begin, end = first * batch, (first + count) * batch
    epochs = range(begin // size, -(-end // size))
    order = np.concatenate(
      [
        np.random.default_rng([self._model.seed, epoch]).permutation(size)
        for epoch in epochs
      ]
    )
    start = begin - epochs[0] * size
    order = order[start : start + count * batch]
    return order.astype(np.int32).reshape(count, batch)


class LBFGS(Minimiser):
  """L-BFGS in double precision; an update is an iteration."""

  def __init__(self, *args, tolerance: float = _TOLERANCE, **kwargs):
    """Takes the share of the loss below which an iteration is the last."""
    super().__init__(*args, **kwargs)
    self._tolerance = tolerance
    self._flat = FlatLoss(self._loss, int(self._model.optimizer.iterations))
    self._compiled = compiled(self._iterate, jit_compile=self.uses_xla)
    self._state = None

  def begin(self, epoch: int) -> None:
    """As in `Minimiser`."""
    super().begin(epoch)
    copy_weights(self._model, self._trained)
    self._state = lbfgs.start(self._flat.position())

  def advance(self) -> bool:
    """As in `Minimiser`."""
    count = self._left()
    self._state = self._compiled(self._state, tf.constant(count))
    self._flat.write(self._state.position)
    if not np.isfinite(self._state.loss):
      return self._fail(self._done)
    copy_weights(self._trained, self._model)
    self._done += count
    running = int(self._state.status) == lbfgs.RUNNING
    return running and self._done < self._updates

  def _trained_model(self, model):
    return in_double_precision(model)

  def _iterate(self, state, count):
    tolerance = tf.constant(self._tolerance, state.loss.dtype)
    return lbfgs.iterate(self._flat, state, count, tolerance)


class LevenbergMarquardt(Minimiser):
  """Levenberg-Marquardt in double precision, for few squared residuals."""

  def __init__(self, *args, **kwargs):
    """Checks that the loss is a sum of few enough squares."""
    super().__init__(*args, **kwargs)
    self._flat = FlatLoss(self._loss, int(self._model.optimizer.iterations))
    self._residuals = levenberg_marquardt.Residuals(self._loss, self._flat)
    self._state = None

  def begin(self, epoch: int) -> None:
    """As in `Minimiser`."""
    super().begin(epoch)
    copy_weights(self._model, self._trained)
    self._state = levenberg_marquardt.start(
      self._residuals, self._flat.position().numpy()
    )

  def advance(self) -> bool:
    """As in `Minimiser`."""
    count = self._left()
    self._state = levenberg_marquardt.iterate(
      self._residuals, self._state, count, _TOLERANCE
    )
    self._flat.write(tf.constant(self._state.position))
    if not np.isfinite(self._state.loss):
      return self._fail(self._done)
    copy_weights(self._trained, self._model)
    self._done += count
    return not self._state.finished and self._done < self._updates

  def _trained_model(self, model):
    return in_double_precision(model)


class FlatLoss:
  """A `ResidentLoss` as a function of all variables in one vector `[n]`."""

  def __init__(self, loss: ResidentLoss, step: int):
    """Takes the loss and the step that its random directions are of."""
    self._loss, self.step = loss, step
    self._sizes = [int(np.prod(v.shape)) for v in loss.variables]

  def __call__(self, position: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Loss and gradient `[n]` at `position` `[n]`, which it leaves there."""
    self.write(position)
    values = sources(self._loss.variables)
    with tf.GradientTape() as tape:
      loss = self._loss(self.step)
    gradients = tape.gradient(loss, values, unconnected_gradients="zero")
    return loss, _flatten(gradients)

  def position(self) -> tf.Tensor:
    """The variables as they are, `[n]`."""
    return _flatten([tf.convert_to_tensor(v) for v in self._loss.variables])

  def write(self, position: tf.Tensor) -> None:
    """Assigns the variables."""
    parts = tf.split(position, self._sizes)
    for variable, part in zip(self._loss.variables, parts, strict=True):
      variable.assign(tf.reshape(part, variable.shape))


def copy_weights(source: keras.Model, target: keras.Model) -> None:
  """Assigns one model's trainable variables to another's."""
  if source is target:
    return
  for old, new in zip(
    source.trainable_variables, target.trainable_variables, strict=True
  ):
    new.assign(tf.cast(tf.convert_to_tensor(old), new.dtype))


def _flatten(tensors):
  return tf.concat([tf.reshape(t, [-1]) for t in tensors], axis=0)


def _should_use_xla(model, updates, wanted):
  """What the user said, else whether it is safe and there is time to win."""
  if wanted is not None:
    return bool(wanted)
  if updates < _UPDATES_FOR_XLA:
    return False
  objective = model.objective
  if objective.num_projections is not None:
    return objective.num_projections <= _ROWS_FOR_XLA
  outputs = int(np.prod(model.scaling.value_shape[1:]))
  inputs = int(np.prod(model.scaling.input_shape[1:]))
  rows = outputs * inputs ** max(objective.active_order - 1, 0)
  return rows <= _ROWS_FOR_XLA
