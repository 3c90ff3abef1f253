"""Compiling and training a `ScaledModel` on values and derivatives."""

import typing

import keras
import numpy as np
import tensorflow as tf

from sobolev_tf.labels import incoming
from sobolev_tf.labels.kinds import KINDS
from sobolev_tf.labels.matching import as_dict, known_rows
from sobolev_tf.training import (
  double_precision,
  keras_internals,
  network_checks,
  weight_schedules,
)
from sobolev_tf.training.balance import METHODS, GradientBalance
from sobolev_tf.training.known_metrics import KnownMeanSquaredError
from sobolev_tf.training.objective import Objective, global_batch
from sobolev_tf.training.scaled_model import ScaledModel


class ObjectiveModel(ScaledModel):
  """Makes the steps of training and measuring that Keras asks for.

  One batch at a time: its loss (an `Objective`), the update, and the metrics,
  in the user's units. `SobolevModel` tells what they mean.
  """

  def __init__(
    self,
    network: keras.layers.Layer | tf.Module,
    order: int,
    num_projections: int | None,
    scaling: str | None,
    seed: int,
    **kwargs,
  ):
    """Wraps a network; the arguments are those of `SobolevModel`."""
    super().__init__(network, order, scaling, **kwargs)
    self._num_projections = num_projections
    self._seed = seed
    self.objective = None
    self.balance = None
    self._error_metrics = [
      keras_internals.with_direction(KnownMeanSquaredError(name=name))
      for name in _error_names(order)
    ]
    self._network_is_checked = False

  @property
  def num_projections(self) -> int | None:
    """None or the number of projections, as it was constructed with."""
    return self._num_projections

  @property
  def seed(self) -> int:
    """The seed of the random directions, as it was constructed with."""
    return self._seed

  @property
  def derivative_weights(self) -> tuple | str | None:
    """The weights of the derivative orders that `compile` was given."""
    if not self.objective:
      return None
    return self.balance.method if self.balance else self.objective.weights

  @derivative_weights.setter
  def derivative_weights(self, value: typing.Any) -> None:
    raise AttributeError(
      "derivative_weights are compiled into the training step; call compile "
      "again, or give compile a schedule."
    )

  def compile(
    self,
    optimizer: typing.Any = "adam",
    loss: str = "l2",
    derivative_losses: str | typing.Sequence = "l2",
    derivative_weights: typing.Any = 1.0,
    **kwargs,
  ) -> None:
    """Chooses losses and weights; the rest is as in `keras.Model.compile`.

    Args:
      optimizer: a Keras optimizer.
      loss: the value's loss: "l1", "l2", "norm" or "huber" of `sobolev_loss`.
        Keras' "mse" is not among them: it averages over the outputs, where
        "l2" sums over them as the paper does.
      derivative_losses: the same for derivatives, one for all orders or a
        sequence with one per order.
      derivative_weights: one weight for all derivative orders, or a sequence
        with one per order. A weight is a number, a NumPy array `[*out, *in,
        ...]` with one for each component (full derivatives only), or a
        schedule of the optimizer step: a keras.optimizers.schedules
        `LearningRateSchedule` or any callable of TensorFlow operations; the
        step is a float32 scalar. Or "balanced", which sets each order's
        weight so that its gradient is as long as the value's, or
        "conflict_free", whose updates have equal angles with all gradients (see
        `balance`); `fit` then reports `derivative_weight` and
        `gradient_cosine`, and warns where the two oppose each other for long.
      **kwargs: of `keras.Model.compile`, except `loss_weights`; `jit_compile`
        is False unless it is True, also on GPUs (see `derivatives`).

    Raises:
      ValueError: a loss or a weight is not one.
    """
    if kwargs.get("loss_weights") is not None:
      raise ValueError(
        "SobolevModel has no loss_weights; use derivative_weights to weigh "
        "the derivatives against the value."
      )
    balance = None
    if isinstance(derivative_weights, str):
      balance = self._balance(derivative_weights)
      derivative_weights = balance.readers()
    objective = Objective.of(
      loss,
      derivative_losses,
      derivative_weights,
      self.order,
      self.num_projections,
      self.seed,
    )
    # Keras' "auto" would compile where there is a GPU.
    kwargs["jit_compile"] = kwargs.get("jit_compile", False) is True
    super().compile(optimizer, **kwargs)
    self.objective = objective
    if balance is not None or self.balance is not None:
      with keras_internals.taking_new_layers(self):
        self.balance = balance
    self.loss = objective.losses[0]  # Where others look for what is minimised.
    self._network_is_checked = False

  def get_compile_config(self) -> dict:
    """As in Keras: what `compile_from_config` takes."""
    config = super().get_compile_config()
    if config:
      config.pop("loss_weights", None)
      config.update(
        loss=self.objective.losses[0],
        derivative_losses=list(self.objective.losses[1:]),
        derivative_weights=self.balance.method
        if self.balance
        else weight_schedules.serialize_weights(self.objective.weights),
      )
    return config

  def compile_from_config(self, config: dict) -> None:
    """As in Keras: compiles a model that is being loaded."""
    self.compile(**keras.saving.deserialize_keras_object(config))
    if self.optimizer is not None and self.built:
      self.optimizer.build(self.trainable_variables)

  def get_config(self) -> dict:
    """As in Keras; a Sonnet network has no config and raises."""
    return {
      **super().get_config(),
      "num_projections": self.num_projections,
      "seed": self.seed,
    }

  def train_step(self, data: typing.Any) -> dict:
    """One optimizer step on a batch; returns the metrics."""
    x, y, sample_weight = self._unpack(data)
    if self.objective.active_order:
      self.refuse_coupled_examples()
    batch = global_batch(x)
    is_balanced = self.balance is not None
    with tf.GradientTape(persistent=is_balanced) as tape:
      losses, comparison = self.objective(
        lambda z: self.evaluate_network(z, True),
        x,
        y,
        self.scaling,
        self.optimizer.iterations,
        sample_weight=sample_weight,
        batch=batch,
        dtype=self.compute_dtype,
      )
      additional = self._regularisation(losses.dtype)
      replicas = self.distribute_strategy.num_replicas_in_sync
      count = tf.cast(batch[2], losses.dtype)
      if is_balanced:
        by_order = self.objective.losses_by_order(
          comparison, self.scaling, self.optimizer.iterations, sample_weight
        )
        parts = [
          None if part is None else tf.reduce_sum(part) / count
          for part in by_order
        ]
      else:
        loss = tf.reduce_sum(losses) / count + additional / replicas
        loss = self.optimizer.scale_loss(loss)
    variables = self.trainable_weights
    if is_balanced:
      gradients = self.combined_gradients(
        tape, parts, additional / replicas, variables
      )
    else:
      gradients = tape.gradient(loss, variables)
    self.optimizer.apply(gradients, variables)
    logs = self._update_metrics(
      x, y, sample_weight, comparison, losses + additional
    )
    return {**logs, **self.balance_logs()}

  def combined_gradients(
    self,
    tape: tf.GradientTape,
    parts: typing.Sequence,
    additional: tf.Tensor,
    variables: typing.Sequence,
  ) -> list:
    """What an update with balanced weights applies.

    Args:
      tape: persistent, on which the losses were computed.
      parts: scalars, the losses of the value and of each order, without their
        weights and as this replica's share; None for one without labels.
      additional: scalar, what is added to the loss whatever the weights are.
      variables: of the network.

    Returns:
      List of tensors or None, one per variable; the replicas' sum counts.
    """
    scale = self.optimizer.scale_loss(tf.ones([], self.compute_dtype))
    gradients = [
      [None] * len(variables)
      if part is None
      else tape.gradient(part, variables)
      for part in parts
    ]
    extra = tape.gradient(additional, variables)
    replicas = self.distribute_strategy.num_replicas_in_sync
    if replicas > 1:
      context = tf.distribute.get_replica_context()
      gradients = _summed(context, gradients)
    combined = self.balance.combine(gradients)
    sums = []
    for gradient, more in zip(combined, extra, strict=True):
      terms = [] if gradient is None else [gradient / replicas]
      terms += [] if more is None else [more]
      sums.append(scale * tf.add_n(terms) if terms else None)
    return sums

  def balance_logs(self) -> dict:
    """Weights and cosines of the last update, where weights are balanced."""
    return self.balance.logs() if self.balance else {}

  def warn_of_conflict(self) -> None:
    """Says once if value and derivatives oppose each other for long."""
    if self.balance:
      self.balance.warn_of_conflict()

  def _balance(self, method):
    """A new `GradientBalance`.

    Raises:
      ValueError: there is no such method.
    """
    if method not in METHODS:
      raise ValueError(
        f"derivative_weights must be numbers, arrays, schedules or one of "
        f"{', '.join(map(repr, METHODS))}, but it is {method!r}."
      )
    return GradientBalance(
      method, self.order, dtype=self.variable_dtype, name="balance"
    )

  def test_step(self, data: typing.Any) -> dict:
    """Measures a batch; returns the metrics."""
    x, y, sample_weight = self._unpack(data)
    losses, comparison = self.objective(
      lambda z: self.evaluate_network(z, False),
      x,
      y,
      self.scaling,
      self.optimizer.iterations,
      sample_weight=sample_weight,
      training=False,
      dtype=self.compute_dtype,
    )
    additional = self._regularisation(losses.dtype)
    return self._update_metrics(
      x, y, sample_weight, comparison, losses + additional
    )

  def compute_metrics(
    self,
    x: typing.Any,
    y: typing.Any,
    y_pred: tf.Tensor,
    sample_weight: typing.Any = None,
  ) -> dict:
    """As in Keras; metrics given to `compile` see the values alone."""
    compiled = keras_internals.compiled_metrics(self)
    labels = as_dict(y, self.order)
    if "y" not in labels:
      if compiled is not None:
        raise ValueError("metrics given to compile need y, which is missing.")
      return self.get_metrics_result()
    y = tf.convert_to_tensor(labels["y"])
    sample_weight = _one_of(sample_weight)
    if y.shape.rank != y_pred.shape.rank:
      y = tf.reshape(y, tf.shape(y_pred))  # One output, its axis left out.
    if compiled is not None and not self.jit_compile:
      y, y_pred, sample_weight = known_rows(y, y_pred, sample_weight)
    return super().compute_metrics(x, y, y_pred, sample_weight)

  def _regularisation(self, dtype):
    return sum(
      (tf.cast(tf.reduce_sum(loss), dtype) for loss in self.losses),
      tf.zeros([], dtype),
    )

  def _update_metrics(self, x, y, sample_weight, comparison, losses):
    """Updates all metrics; returns those that this batch has labels of."""
    keras_internals.loss_tracker(self).update_state(losses)
    metrics = {metric.name: metric for metric in self._error_metrics}
    for name, errors, known in comparison.errors():
      metrics.pop(f"{name}_mse").update_state(
        tf.zeros_like(errors)[:, tf.newaxis],
        errors[:, tf.newaxis],
        sample_weight=known,
      )
    value = self.scaling.unscale((comparison.value,))[0]
    logs = self.compute_metrics(x, y, value, sample_weight)
    return {name: logs[name] for name in logs if name not in metrics}

  def _get_metrics_result_or_logs(self, logs):
    # Keras takes a step's logs, those of one replica, where they do not name
    # all metrics; results are those of all replicas.
    results = self.get_metrics_result()
    return {name: results.get(name, logs[name]) for name in logs}

  def _check_network(self, x):
    """Refuses a network that cannot learn derivatives, once per compile."""
    order = self.objective.active_order
    if self._network_is_checked or not order or None in self._x_shape[1:]:
      return
    self.refuse_coupled_examples()
    if hasattr(x, "shape"):
      x = tf.convert_to_tensor(x[:8])
    else:
      x = tf.random.stateless_normal(
        [8, *self._x_shape[1:]], [0, 0], dtype=self.compute_dtype
      )
    with self.distribute_strategy.scope():
      z = self.scaling.scale_inputs(x, self.compute_dtype)
      if z.shape[0] > 1:
        network_checks.refuse_coupled_examples(
          lambda z: self.evaluate_network(z, True), z, self.network_variables
        )
      network_checks.refuse_vanishing_derivatives(
        lambda z: self.evaluate_network(z, False),
        z,
        self.trainable_variables,
        order,
        self.network,
      )
    self._network_is_checked = True

  def _unpack(self, data):
    """A batch as tensors `(x, labels, sample_weight)`."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    x, y = double_precision.unpack(x), double_precision.unpack(y)
    self._build_for(x)
    x = self._in_rank(tf.convert_to_tensor(x))
    x = tf.ensure_shape(x, self._x_shape)
    sample_weight = _one_of(sample_weight)
    incoming.check_sample_weight({"sample_weight": sample_weight})
    return x, y, sample_weight


def _error_names(order):
  kinds = [name for name in KINDS if KINDS[name].order <= order]
  orders = [f"d{j}" for j in range(1, order + 1)]
  return [f"{name}_mse" for name in ("value", *orders, *kinds)]


def _summed(context, gradients):
  """Sums lists of gradients over the replicas, as one vector; None stays."""
  known = [g for parts in gradients for g in parts if g is not None]
  flat = tf.concat([tf.reshape(g, [-1]) for g in known], axis=0)
  flat = context.all_reduce(tf.distribute.ReduceOp.SUM, flat)
  pieces = iter(tf.split(flat, [int(np.prod(g.shape)) for g in known]))
  return [
    [None if g is None else tf.reshape(next(pieces), g.shape) for g in parts]
    for parts in gradients
  ]


def _one_of(sample_weight):
  """Keras repeats the one sample weight for each label."""
  if isinstance(sample_weight, (list, tuple, dict)):
    return keras.tree.flatten(sample_weight)[0]
  return sample_weight
