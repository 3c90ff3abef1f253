"""`SobolevModel`, the Keras way into Sobolev training."""

import inspect
import numbers
import typing
import warnings

import keras
import numpy as np
import tensorflow as tf

from sobolev_tf.derivatives.nested_tapes import derivatives
from sobolev_tf.labels import incoming
from sobolev_tf.labels.kinds import KINDS
from sobolev_tf.labels.matching import (
  as_dict,
  known_rows,
  label_name,
  match_arrays,
  match_labels,
  orders_of,
)
from sobolev_tf.training import (
  double_precision,
  full_batch,
  keras_internals,
  network_checks,
  weight_schedules,
)
from sobolev_tf.training.known_metrics import (
  EveryOrderHasLabels,
  KnownMeanSquaredError,
)
from sobolev_tf.training.network_model import NetworkModel
from sobolev_tf.training.objective import Objective, global_batch
from sobolev_tf.training.scaling import Scaling, warn_of_rounding


@keras.saving.register_keras_serializable(package="sobolev_tf")
class SobolevModel(NetworkModel):
  """Fits a network to values and derivatives (Eq. 1 and 2 of the paper).

  A `keras.Model` around a network of your own. It has compile, fit, evaluate,
  predict, callbacks, `tf.data` and strategies as every Keras model has; labels
  are `(y, dy)` or `(y, dy, d2y)`, or a dict of any of them, `{"dy": dy}`:

  ```python
  x = np.random.uniform(-1, 1, [200, 2])  # [N, *in]
  y = np.sin(3 * x[:, 0]) * x[:, 1]  # [N] or [N, *out]
  dy = np.stack(  # [N, *in] or [N, *out, *in]
    [3 * np.cos(3 * x[:, 0]) * x[:, 1], np.sin(3 * x[:, 0])], axis=1
  )
  dense = keras.layers.Dense
  network = keras.Sequential([dense(64, "tanh"), dense(64, "tanh"), dense(1)])
  model = sobolev_tf.SobolevModel(network, scaling="standard")
  model.compile(keras.optimizers.Adam(3e-3), derivative_weights=1.0)
  model.fit(x, (y, dy), epochs=100, verbose=0)
  y_new, dy_new = model.predict_with_derivatives([[0.5, 0.5]])
  ```

  The loss of an example is `l(y) + sum_j w_j l_j(Dj)`, with `sobolev_loss` for
  each term, in scaled units (see `Scaling`); a batch's loss is the mean over
  its examples (the paper leaves this open), over the global batch under a
  strategy. NaN in a label means "unknown". `sample_weight` `[N]` multiplies
  each example's loss; the mean still divides by the number of examples, as
  Keras does. Regularisation losses of a Keras network are added.

  Metrics: `loss` is what is minimised, in scaled units, with `sample_weight`
  and regularisation. `value_mse`, `d1_mse`, `d2_mse`, ... are in the user's
  units and without NaN labels: means over examples and components, not
  weighted by `sample_weight`; NaN where no label was known. With projections,
  `dj_mse` is estimated from them (exact for one output at order 1, unbiased
  where all components have one scale). Callbacks know that less of them is
  better. Metrics given to `compile` see the values only, of the examples whose
  y is known throughout (of all with `jit_compile=True`, where NaN makes them
  NaN).

  A derivative weight that is the plain number 0 switches that order off:
  training neither differentiates the network nor wants labels for it, and
  reports no `dj_mse` for it. `evaluate` measures every order it has labels of,
  and its loss counts these: of `evaluate(x, y)` the value alone.

  Examples must be independent of each other: a network that normalises with
  batch statistics is refused as soon as derivatives are trained, and so is an
  order of derivatives that is zero whatever the weights (order 2 of a ReLU
  network). A Sonnet module is called with x alone.

  `model.network` is the network as it was given: it works in scaled units and
  knows nothing of the scaling. Call the model for the user's units.

  Saving: with a Keras network everything, `model.save("x.keras")` and
  `keras.models.load_model` included. With a Sonnet network use
  `save_weights("x.weights.h5")` or `tf.train.Checkpoint(model=model)`.

  Precision: with scaling, means are subtracted from float64 data in float64, so
  that x and y may have offsets that float32 could not hold; where it could not,
  `predict` and `predict_with_derivatives` answer in float64. `model(x)` and
  exported models answer in the model's own dtype. A network that computes in
  float64 gets float64 arrays as they are, whatever `keras.config.floatx()`
  says.
  """

  def __init__(
    self,
    network: keras.layers.Layer | tf.Module,
    order: int = 1,
    num_projections: int | None = None,
    scaling: str | None = None,
    seed: int = 0,
    **kwargs,
  ):
    """Wraps a network.

    Args:
      network: maps `[B, *in]` to `[B, *out]`: a Keras layer or model, or a
        Sonnet module, built or not yet built.
      order: highest order of derivatives to match.
      num_projections: None matches full derivatives, Eq. (1). A number P
        matches P random projections per example instead, Eq. (2), the mean of
        their losses; directions are drawn in scaled units and are a function
        of (seed, optimizer step); XLA (`jit_compile=True`) draws other ones,
        as repeatably.
      scaling: None, "standard" or "dml", see `Scaling`. It is fitted by
        `adapt`, or to the training data by the first `fit`.
      seed: integer, of the random directions.
      **kwargs: `name`, `dtype`, `trainable`, as of any Keras model; `dtype`
        defaults to the network's.

    Raises:
      ValueError: an argument is out of its range, or the network computes in
        half precision, in which derivatives and their units overflow.
    """
    for name, count in (("order", order), ("num_projections", num_projections)):
      if not (name == "num_projections" and count is None):
        _check_count(name, count)
    if not isinstance(seed, numbers.Integral):
      raise ValueError(f"seed must be a whole number, but it is {seed!r}.")
    super().__init__(network, **kwargs)
    self._order = int(order)
    self._num_projections = num_projections
    self._seed = seed
    self.scaling = Scaling(scaling, order, dtype=self.dtype, name="scaling")
    self.objective = None
    self._error_metrics = [
      keras_internals.with_direction(KnownMeanSquaredError(name=name))
      for name in _error_names(order)
    ]
    self._x_shape = None
    self._network_is_checked = False
    self._predict_terms = None
    # float64 numbers reach the scaling as they are; it rounds the rest.
    self.autocast = False
    self._carries_double, self._value_dtype = False, None

  @property
  def order(self) -> int:
    """The highest order of derivatives, as it was constructed with."""
    return self._order

  @property
  def num_projections(self) -> int | None:
    """None or the number of projections, as it was constructed with."""
    return self._num_projections

  @property
  def seed(self) -> int:
    """The seed of the random directions, as it was constructed with."""
    return self._seed

  @property
  def derivative_weights(self) -> tuple | None:
    """The weights of the derivative orders that `compile` was given."""
    return self.objective.weights if self.objective else None

  @derivative_weights.setter
  def derivative_weights(self, value: typing.Any) -> None:
    raise AttributeError(
      "derivative_weights are compiled into the training step; call compile "
      "again, or give compile a schedule."
    )

  def build(self, input_shape: typing.Sequence) -> None:
    """Builds the network and the scaling for x of `input_shape`."""
    if any(isinstance(size, (list, tuple)) for size in input_shape):
      incoming.check_inputs(list(input_shape))  # several inputs, refused
    input_shape = (None, *input_shape[1:])
    value_shape = self.build_network(input_shape)
    self._x_shape = input_shape
    self.scaling.dtype_policy = self.dtype_policy
    self.scaling.build(input_shape, value_shape)

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
        step is a float32 scalar.
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
        derivative_weights=weight_schedules.serialize_weights(
          self.objective.weights
        ),
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
      "order": self.order,
      "num_projections": self.num_projections,
      "scaling": self.scaling.kind,
      "seed": self.seed,
    }

  def adapt(
    self, x: typing.Any, y: typing.Any = None, steps: int | None = None
  ) -> None:
    """Fits the scaling to training data; `fit` does so if you have not.

    Args:
      x: array `[N, *in]`, or a `tf.data.Dataset` or `keras.utils.PyDataset` of
        `(x, labels)` batches.
      y: labels as in `fit`, where x is an array; NaN labels are ignored.
      steps: how many batches to use of a data set; None means all.

    Raises:
      ValueError: there is no scaling to fit, or the data is unsuitable: NaN in
        x, infinite labels, labels that are missing, shapes that do not fit.
    """
    if self.scaling.kind is None:
      raise ValueError(
        "this model has scaling=None, so there is nothing to adapt; construct "
        'it with scaling="standard" or "dml".'
      )
    if y is None and not incoming.is_data_set(x):
      raise ValueError("adapt needs labels as well: adapt(x, (y, dy)).")
    x, y = self.receive(x, y)
    self.scaling.adapt(self._matched_batches(x, y, steps))

  def fit(
    self, x: typing.Any = None, y: typing.Any = None, *args, **kwargs
  ) -> keras.callbacks.History:
    """As `keras.Model.fit`; fits the scaling first unless that is done.

    Labels are y, `(y, dy)`, `(y, dy, d2y)` or a dict `{"y": y, "dy": dy}` with
    any of these names, and with products along directions of your own,
    `[N, *in]` or `[N, P, *in]` for P at once: "jvp": (u, J u), "vjp": (v, v^T
    J), "hvp": (u, H u) of a single output, "vhvp": (v, u, v^T H u). Their loss
    is summed over the directions, whose lengths weigh them.

    `validation_data=(x, y)` measures values alone. The part that
    `validation_split` sets aside takes no part in the scaling.

    Raises:
      ValueError: data or labels cannot be used, or an order that takes part
        in training has no known label.
    """
    arguments = self._arguments("fit", x, y, *args, **kwargs)
    arguments["x"], arguments["y"] = self._receive_labelled(x, y)
    arguments = self._with_validation_data(incoming.hold_out(arguments))
    self.prepare(
      arguments["x"], arguments["y"], arguments.get("steps_per_epoch")
    )
    guard = EveryOrderHasLabels(metric.name for metric in self._error_metrics)
    arguments["callbacks"] = guard.before(arguments.get("callbacks"))
    return super().fit(**self._for_keras(arguments))

  def fit_full_batch(
    self,
    x: typing.Any,
    y: typing.Any,
    *,
    method: str = "adam",
    updates: int | None = None,
    updates_per_epoch: int = 100,
    batch_size: int | None = None,
    l2: float = 0.0,
    sample_weight: typing.Any = None,
    validation_split: float = 0.0,
    validation_data: tuple | None = None,
    callbacks: typing.Any = None,
    verbose: int = 0,
    jit_compile: bool | None = None,
  ) -> keras.callbacks.History:
    """Trains on data in memory, with many updates per compiled call.

    `fit` spends about 50 ms of Keras per epoch, which for a small data set is
    one update. Here the data stays on the device and Keras is asked once every
    `updates_per_epoch` updates, which this calls an epoch.

    Methods:

    - `"adam"`: the Adam or AdamW of `compile`, whose learning rate falls to
      zero along half a cosine; a schedule of your own is left as it is.
    - `"lbfgs"`: L-BFGS; an update is an iteration, of slightly more than one
      evaluation on average. The first choice for smooth networks and up to
      some thousand examples.
    - `"levenberg_marquardt"`: for squared losses and at most 2e7 residuals
      times parameters (such as 2,000 times 10,000); a residual is one component
      of one label. An update costs a Jacobian and a dense system.

    The last two compute in float64 on a copy of a Keras network and give the
    weights back after each epoch (a Sonnet network is trained in its own
    precision), see no change that callbacks make to weights, keep one set of
    random directions throughout, and begin anew at each call. With Dropout
    take `"adam"`.

    Callbacks' epoch methods are called as by `fit` (those of batches are not),
    with the metrics of `fit` measured over all examples at the epoch's end:
    `keras.callbacks.EarlyStopping("val_loss", restore_best_weights=True)`
    stops on held-out data. `BackupAndRestore` resumes at the last epoch's end;
    with `"adam"` exactly, with the others without their memory of curvature.

    Args:
      x: `[N, *in]`, an array.
      y: labels as in `fit`, arrays.
      method: see above.
      updates: how many at most; None means 5,000 of Adam, 1,000 of L-BFGS, 200
        of Levenberg-Marquardt. The last two stop when they converge.
      updates_per_epoch: how many are made in one call.
      batch_size: None means all examples at each update; with `"adam"` a
        number makes mini-batches, which are a function of (seed, update).
      l2: multiplies the sum of squares of all trainable variables of rank 2
        and more (kernels, not biases), which is added to the loss.
      sample_weight: None, or `[N]`.
      validation_split: share of the examples, the last ones, to hold out.
      validation_data: `(x, y)` to measure at each epoch's end.
      callbacks: list of Keras callbacks.
      verbose: 0, 1 or 2, as in `fit`.
      jit_compile: whether to compile with XLA; None means yes unless the
        derivatives have too many rows for it (see `derivatives`).

    Returns:
      A `keras.callbacks.History`.

    Raises:
      ValueError: an argument or label is not what is wanted.
      FloatingPointError: the loss or its gradient is not finite; the weights
        are those before that update.
    """
    return full_batch.fit_full_batch(
      self,
      x,
      y,
      method=method,
      updates=updates,
      updates_per_epoch=updates_per_epoch,
      batch_size=batch_size,
      l2=l2,
      sample_weight=sample_weight,
      validation_split=validation_split,
      validation_data=validation_data,
      callbacks=callbacks,
      verbose=verbose,
      jit_compile=jit_compile,
    )

  def prepare(
    self, x: typing.Any, y: typing.Any = None, steps: int | None = None
  ) -> None:
    """Makes what training needs: scaling, checks, the optimizer's state.

    Args:
      x: as in `fit`.
      y: as in `fit`.
      steps: as in `adapt`, which is called unless the scaling is fitted.

    Raises:
      ValueError: data, labels or network cannot be trained on.
    """
    x, y = self._receive_labelled(x, y)
    if not incoming.is_data_set(x):
      self._check_arrays(x, y)
    if not self.scaling.adapted:
      self.scaling.adapt(self._matched_batches(x, y, steps))
    self._note_precision()
    self._check_network(x)
    if self.built and not self.optimizer.built:
      # Built now, the optimizer's state can be restored by callbacks before
      # the first step.
      with self.distribute_strategy.scope():
        self.optimizer.build(self.trainable_variables)

  def evaluate(
    self, x: typing.Any = None, y: typing.Any = None, *args, **kwargs
  ) -> typing.Any:
    """As `keras.Model.evaluate`; measures every order that has labels."""
    if kwargs.get("_use_cached_eval_dataset"):  # from within fit
      return super().evaluate(x, y, *args, **kwargs)
    arguments = self._arguments("evaluate", x, y, *args, **kwargs)
    arguments["x"], arguments["y"] = self._receive_labelled(x, y)
    self._require_scaling()
    return super().evaluate(**self._for_keras(arguments))

  def train_on_batch(
    self, x: typing.Any, y: typing.Any = None, *args, **kwargs
  ) -> typing.Any:
    """As `keras.Model.train_on_batch`."""
    arguments = self._arguments("train_on_batch", x, y, *args, **kwargs)
    arguments["x"], arguments["y"] = self._receive_labelled(x, y)
    self._require_scaling()
    self._check_network(arguments["x"])
    return super().train_on_batch(**arguments)

  def test_on_batch(
    self, x: typing.Any, y: typing.Any = None, *args, **kwargs
  ) -> typing.Any:
    """As `keras.Model.test_on_batch`."""
    arguments = self._arguments("test_on_batch", x, y, *args, **kwargs)
    arguments["x"], arguments["y"] = self._receive_labelled(x, y)
    self._require_scaling()
    return super().test_on_batch(**arguments)

  def predict(self, x: typing.Any, *args, **kwargs) -> np.ndarray:
    """As `keras.Model.predict`: values in the user's units.

    They are float64 where float32 is too coarse for the offset of y.
    """
    self._require_scaling()
    arguments = self._for_keras({"x": self.receive(x)[0]})
    return super().predict(arguments["x"], *args, **kwargs)

  def predict_step(self, data: typing.Any) -> tf.Tensor:
    """Values at a batch of x."""
    x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
    if self._value_dtype is None:
      return self(x, training=False)
    x = self._in_rank(double_precision.unpack(x))
    z = self.scaling.scale_inputs(x, self.compute_dtype)
    value = self.evaluate_network(z, False)
    return self.scaling.unscale((value,), self._value_dtype)[0]

  def predict_on_batch(self, x: typing.Any) -> np.ndarray:
    """As `keras.Model.predict_on_batch`: values in the user's units."""
    self._require_scaling()
    return super().predict_on_batch(self.receive(x)[0])

  def call(self, x: typing.Any, training: bool | None = None) -> tf.Tensor:
    """Values `[B, *out]` at x `[B, *in]`, both in the user's units."""
    x = double_precision.unpack(x)
    incoming.check_inputs(x, self._x_shape)
    z = self.scaling.scale_inputs(self._in_rank(x), self.compute_dtype)
    return self.scaling.unscale((self.evaluate_network(z, training),))[0]

  def train_step(self, data: typing.Any) -> dict:
    """One optimizer step on a batch; returns the metrics."""
    x, y, sample_weight = self._unpack(data)
    if self.objective.active_order:
      self.refuse_coupled_examples()
    batch = global_batch(x)
    with tf.GradientTape() as tape:
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
      loss = tf.reduce_sum(losses) / tf.cast(batch[2], losses.dtype)
      loss = loss + additional / replicas
      loss = self.optimizer.scale_loss(loss)
    variables = self.trainable_weights
    self.optimizer.apply(tape.gradient(loss, variables), variables)
    return self._update_metrics(
      x, y, sample_weight, comparison, losses + additional
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

  def predict_with_derivatives(
    self, x: typing.Any, batch_size: int = 1024
  ) -> tuple:
    """Values and derivatives in the user's units.

    Args:
      x: array `[N, *in]`.
      batch_size: how many examples to differentiate at once.

    Returns:
      Tuple of arrays `(y, dy, ...)` up to the model's order: y `[N, *out]`,
      dy `[N, *out, *in]`, d2y `[N, *out, *in, *in]`, with the output axes that
      the network has.
    """
    _check_count("batch_size", batch_size)
    self._require_scaling()
    x = x if hasattr(x, "shape") else np.asarray(x)
    x, _ = self.receive(x, may_be_empty=True)
    self._note_precision()
    x = tf.cast(x, "float64" if self._carries_double else self.compute_dtype)
    if self._predict_terms is None:
      signature = [tf.TensorSpec([None, *x.shape[1:]], x.dtype)]
      compiled = tf.function(self._derive, input_signature=signature)
      # Hidden in a function: a checkpoint would track a tf.function.
      self._predict_terms = lambda rows: compiled(rows)
    # No point at all is the first none of one.
    rows = x if x.shape[0] else tf.zeros([1, *x.shape[1:]], x.dtype)
    batches = [
      self._predict_terms(rows[start : start + batch_size])
      for start in range(0, rows.shape[0], batch_size)
    ]
    return tuple(
      np.concatenate([term.numpy() for term in terms])[: x.shape[0]]
      for terms in zip(*batches, strict=True)
    )

  def predict_derivatives(
    self, x: typing.Any, order: int = 1, batch_size: int = 1024
  ) -> np.ndarray:
    """Derivatives of one order in the user's units.

    Args:
      x: array `[N, *in]`.
      order: from 1 up to the model's order.
      batch_size: how many examples to differentiate at once.

    Returns:
      Array `[N, *out, *in, ...]` with `*in` repeated `order` times.
    """
    _check_count("order", order)
    if order > self.order:
      raise ValueError(
        f"order is {order}, but this model has derivatives up to order "
        f"{self.order}; construct it with order={order}."
      )
    return self.predict_with_derivatives(x, batch_size)[order]

  def _derive(self, x):
    def network(z):
      return self.evaluate_network(z, False)

    z = self.scaling.scale_inputs(x, self.compute_dtype)
    terms = derivatives(network, z, self.order)
    return self.scaling.unscale(terms, self._value_dtype)

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

  def _arguments(self, method, *args, **kwargs):
    """What one of Keras' methods was given, by name."""
    self.require_compile(method)
    signature = inspect.signature(getattr(super(), method))
    arguments = signature.bind(*args, **kwargs).arguments
    arguments.update(arguments.pop("kwargs", {}))
    incoming.check_sample_weight(arguments)
    return arguments

  def require_compile(self, method: str) -> None:
    """Refuses a model that `compile` was not called on.

    Raises:
      ValueError: that is so.
    """
    if not self.compiled:
      raise ValueError(f"call compile before {method}.")

  def receive(
    self, x: typing.Any, y: typing.Any = None, may_be_empty: bool = False
  ) -> tuple:
    """Brings data into the form that Keras is to see; builds the model.

    Args:
      x: array `[N, *in]`, or a data set.
      y: None or labels, where x is an array.
      may_be_empty: whether x may hold no example at all.

    Returns:
      `(x, y)`, y None or a dict of arrays of the full shapes.
    """
    if incoming.is_data_set(x):
      if not self.built or isinstance(x, tf.data.Dataset):
        batch, x = incoming.first_batch(x, only_shape=self.built)
        self._build_for(incoming.first_of(batch))
      return x, y
    self._build_for(x)
    x = incoming.as_inputs(x, self._x_shape)
    if x.shape[0] == 0 and not may_be_empty:
      raise ValueError("x holds no example; give at least one.")
    if y is not None:
      y = match_arrays(
        y,
        (x.shape[0], *self.scaling.value_shape[1:]),
        x.shape,
        self.order,
      )
    return x, y

  def _receive_labelled(self, x, y):
    if y is None and not incoming.is_data_set(x):
      as_dict(y, self.order)  # says that labels are missing
    return self.receive(x, y)

  def _build_for(self, x):
    """Refuses inputs that do not fit; builds the model as a call would."""
    wanted = self._x_shape or self.declared_input_shape
    incoming.check_inputs(x, wanted)
    if not self.built:
      shape = (None, *x.shape[1:])
      if len(shape) == 1 and wanted is not None:
        shape = wanted
      with self.distribute_strategy.scope():
        # Called, not only built, so that it can be exported.
        self(keras.KerasTensor(shape, self.compute_dtype))

  def _with_validation_data(self, arguments):
    held_out = arguments.get("validation_data")
    if isinstance(held_out, (tuple, list)) and len(held_out) > 1:
      x, y = self._receive_labelled(*held_out[:2])
      arguments["validation_data"] = (x, y, *held_out[2:])
    return arguments

  def _check_arrays(self, x, labels):
    incoming.refuse_unknown_inputs(x)
    incoming.check_labels(
      labels, self.compute_dtype, self.objective.active_order
    )
    if self.scaling.kind is None:
      incoming.warn_of_drowned_orders(labels, self.objective.weights)
      y = labels.get("y")
      y = y[:, 0] if y is not None and y.shape[1:] == (1,) else y
      for name, values in (("x", x), ("y", y)):
        if getattr(getattr(values, "dtype", None), "kind", None) == "f":
          warn_of_rounding(name, values, self.compute_dtype)

  def _matched_batches(self, x, labels, steps):
    """Yields `(x, (y, dy, ...))` in NumPy and full shapes, NaN if unknown."""
    for inputs, given in incoming.label_batches(x, labels, steps):
      inputs = tf.convert_to_tensor(incoming.as_inputs(inputs, self._x_shape))
      incoming.refuse_unknown_inputs(inputs)
      shape = inputs.shape[:1].concatenate(self.scaling.value_shape[1:])
      matched = match_labels(given, shape, inputs.shape, tf.float64, self.order)
      incoming.check_labels(matched, "float64", active_order=-1)
      yield inputs.numpy(), tuple(_of_each_order(matched, shape, inputs.shape))

  def _note_precision(self):
    """Reads, outside of any graph, which numbers need float64."""
    if not self.scaling.built:
      return
    double = self.scaling.needs_double_values
    # Keras rounds arrays to floatx even where the network computes in float64.
    self._carries_double = (
      double
      or self.scaling.needs_double_inputs
      or self.compute_dtype == "float64" != keras.config.floatx()
    )
    dtype = tf.float64 if double else None
    if dtype != self._value_dtype:
      self._value_dtype = dtype
      self.predict_function = self._predict_terms = None
      if keras_internals.compiled_metrics(self) is not None:
        warnings.warn(
          "metrics given to compile are computed in float32, which is too "
          "coarse for the offset of y; value_mse is not.",
          stacklevel=4,
        )

  def _for_keras(self, arguments):
    """Carries float64 data among the arguments of `fit` past Keras' cast."""
    self._note_precision()
    if not self._carries_double:
      return arguments
    packed = {name: arguments[name] for name in ("x", "y") if name in arguments}
    held_out = arguments.get("validation_data")
    if isinstance(held_out, (list, tuple)):
      data = double_precision.pack(held_out[:2])
      packed["validation_data"] = (*data, *held_out[2:])
    for name in ("x", "y"):
      if name in packed:
        packed[name] = double_precision.pack(packed[name])
    return {**arguments, **packed}

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

  def _require_scaling(self):
    if not self.scaling.adapted:
      raise ValueError(
        f"scaling={self.scaling.kind!r} has not been fitted to data; call "
        "adapt(x, (y, dy)) or fit first."
      )

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

  def _in_rank(self, x):
    """Adds the axis of size 1 that the network has and x `[B]` has not."""
    if self._x_shape and x.shape.rank == 1 and len(self._x_shape) == 2:
      return x[:, tf.newaxis]
    return x


def _check_count(name, count):
  if not isinstance(count, numbers.Integral) or count < 1:
    raise ValueError(
      f"{name} must be a whole number of at least 1, but it is {count!r}."
    )


def _error_names(order):
  kinds = [name for name in KINDS if KINDS[name].order <= order]
  orders = [f"d{j}" for j in range(1, order + 1)]
  return [f"{name}_mse" for name in ("value", *orders, *kinds)]


def _of_each_order(labels, value_shape, input_shape):
  """y, dy, ... as NumPy arrays, NaN where only a higher order is given."""
  for order in range(max(orders_of(labels), default=-1) + 1):
    name = label_name(order)
    if name in labels:
      yield labels[name].numpy()
    else:
      yield np.full([*value_shape, *list(input_shape[1:]) * order], np.nan)


def _one_of(sample_weight):
  """Keras repeats the one sample weight for each label."""
  if isinstance(sample_weight, (list, tuple, dict)):
    return keras.tree.flatten(sample_weight)[0]
  return sample_weight
