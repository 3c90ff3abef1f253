"""`SobolevModel`, the Keras way into Sobolev training."""

import inspect
import math
import warnings

import keras
import numpy as np
import tensorflow as tf

from sobolev_tf.derivatives.nested_tapes import derivatives
from sobolev_tf.labels import matching as labels_lib
from sobolev_tf.training import (
  double_precision,
  full_batch,
  weight_schedules,
)
from sobolev_tf.training.network_model import NetworkModel
from sobolev_tf.training.objective import Objective, global_batch
from sobolev_tf.training.scaling import Scaling, warn_of_rounding


@keras.saving.register_keras_serializable(package="sobolev_tf")
class SobolevModel(NetworkModel):
  """Fits a network to values and derivatives (Eq. 1 and 2 of the paper).

  A `keras.Model` around a network of your own. It has compile, fit, evaluate,
  predict, callbacks, `tf.data` and strategies as every Keras model has; labels
  are `(y, dy)` or `(y, dy, d2y)`:

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
  weighted by `sample_weight`. With projections, `dj_mse` is estimated from
  them (exact for one output at order 1, unbiased where all components have one
  scale). A callback that monitors one of them needs `mode="min"`. Metrics given
  to `compile` see the values only, of the examples whose y is known throughout
  (of all with `jit_compile=True`, where NaN makes them NaN).

  A derivative weight that is the plain number 0 switches that order off:
  training neither differentiates the network nor wants labels for it, and
  reports no `dj_mse` for it. `evaluate` measures every order it has labels of.

  Examples must be independent of each other: a network with trainable
  BatchNormalization is refused as soon as derivatives are trained. A Sonnet
  module is called with x alone.

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
    network,
    order=1,
    num_projections=None,
    scaling=None,
    seed=0,
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
    if order < 1 or (num_projections is not None and num_projections < 1):
      raise ValueError(
        "order must be at least 1 and num_projections None or at least 1, but "
        f"they are {order} and {num_projections}."
      )
    super().__init__(network, **kwargs)
    if self.compute_dtype not in ("float32", "float64"):
      raise ValueError(
        f"the network computes in {self.compute_dtype}, but derivatives need "
        'float32 or float64; give it dtype="float32".'
      )
    self.order = order
    self.num_projections = num_projections
    self.scaling = Scaling(scaling, order, dtype=self.dtype, name="scaling")
    self.seed = seed
    self._error_metrics = [
      keras.metrics.MeanSquaredError(name=name)
      for name in ["value_mse"] + [f"d{j}_mse" for j in range(1, order + 1)]
    ]
    self._predict_terms = None
    # float64 numbers reach the scaling as they are; it rounds the rest.
    self.autocast = False
    self._carries_double, self._value_dtype = False, None

  def build(self, input_shape):
    """Builds the network and the scaling for x of `input_shape`."""
    input_shape = (None, *input_shape[1:])
    self._value_shape = self.build_network(input_shape)
    self.scaling.build(input_shape, self._value_shape)

  def compile(
    self,
    optimizer="adam",
    loss="l2",
    derivative_losses="l2",
    derivative_weights=1.0,
    **kwargs,
  ):
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

  def get_compile_config(self):
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

  def compile_from_config(self, config):
    """As in Keras: compiles a model that is being loaded."""
    self.compile(**keras.saving.deserialize_keras_object(config))
    if self.optimizer is not None and self.built:
      self.optimizer.build(self.trainable_variables)

  def get_config(self):
    """As in Keras; a Sonnet network has no config and raises."""
    return {
      **super().get_config(),
      "order": self.order,
      "num_projections": self.num_projections,
      "scaling": self.scaling.kind,
      "seed": self.seed,
    }

  def adapt(self, x, y=None, steps=None):
    """Fits the scaling to training data; `fit` does so if you have not.

    Args:
      x: array `[N, *in]`, or a `tf.data.Dataset` or `keras.utils.PyDataset` of
        `(x, labels)` batches.
      y: y or `(y, dy, ...)` where x is an array; NaN labels are ignored.
      steps: how many batches to use of a data set; None means all.

    Raises:
      ValueError: there is no scaling to fit, or the data is unsuitable.
    """
    if self.scaling.kind is None:
      raise ValueError(
        "this model has scaling=None, so there is nothing to adapt; construct "
        'it with scaling="standard" or "dml".'
      )
    self._build_for(x)

    def matched():
      for inputs, labels in labels_lib.label_batches(x, y, steps):
        inputs = tf.convert_to_tensor(inputs)
        shape = inputs.shape[:1].concatenate(self._value_shape[1:])
        labels = labels_lib.match_labels(
          labels, shape, inputs.shape, tf.float64, self.order
        )
        yield inputs.numpy(), tuple(label.numpy() for label in labels.values())

    self.scaling.adapt(matched())

  def fit(self, x=None, y=None, *args, **kwargs):
    """As `keras.Model.fit`; fits the scaling first unless that is done.

    The part that `validation_split` sets aside takes no part in the scaling.
    """
    given = inspect.signature(super().fit).bind(x, y, *args, **kwargs)
    self._assert_compile_called("fit")
    labels_lib.check_sample_weight(given.arguments)
    known_x, known_y = x, y
    split = given.arguments.get("validation_split", 0.0)
    if split and given.arguments.get("validation_data") is None:
      end = int(math.floor(len(x) * (1.0 - split)))
      known_x, known_y = keras.tree.map_structure(lambda a: a[:end], (x, y))
    self.prepare(known_x, known_y, given.arguments.get("steps_per_epoch"))
    if self._carries_double:
      given.arguments.update(_in_double(given.arguments))
    return super().fit(*given.args, **given.kwargs)

  def fit_full_batch(
    self,
    x,
    y,
    *,
    method="adam",
    updates=None,
    updates_per_epoch=100,
    batch_size=None,
    l2=0.0,
    sample_weight=None,
    validation_split=0.0,
    validation_data=None,
    callbacks=None,
    verbose=0,
    jit_compile=None,
  ):
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

  def prepare(self, x, y=None, steps=None):
    """Makes what training needs: variables, scaling, the optimizer's state.

    Args:
      x: as in `adapt`, which is called unless the scaling is fitted.
      y: as in `adapt`.
      steps: as in `adapt`.
    """
    self._build_for(x)
    if not self.scaling.adapted:
      self.adapt(x, y, steps)
    self._note_precision()
    self._warn_of_rounding(x, y)
    if self.built and not self.optimizer.built:
      # Built now, the optimizer's state can be restored by callbacks before
      # the first step.
      with self.distribute_strategy.scope():
        self.optimizer.build(self.trainable_variables)

  def evaluate(self, x=None, y=None, *args, **kwargs):
    """As `keras.Model.evaluate`."""
    given = inspect.signature(super().evaluate).bind(x, y, *args, **kwargs)
    labels_lib.check_sample_weight(given.arguments)
    self._note_precision()
    if self._carries_double:
      given.arguments.update(_in_double(given.arguments))
    return super().evaluate(*given.args, **given.kwargs)

  def predict(self, x, *args, **kwargs):
    """As `keras.Model.predict`; float64 where float32 is too coarse for y."""
    self._note_precision()
    if self._carries_double:
      x = double_precision.pack(x)
    return super().predict(x, *args, **kwargs)

  def predict_step(self, data):
    """Values at a batch of x."""
    x, _, _ = _unpacked(data)
    if self._value_dtype is None:
      return self(x, training=False)
    z = self.scaling.scale_inputs(x, self.compute_dtype)
    value = self.evaluate_network(z, False)
    return self.scaling.unscale((value,), self._value_dtype)[0]

  def _warn_of_rounding(self, x, y):
    """Says what single precision will not show of this training data."""
    if self.scaling.kind is None:
      if isinstance(y, (list, tuple)):
        y = y[0] if len(y) else None
      elif isinstance(y, dict):
        y = y.get("y")
      for name, values in (("x", x), ("y", y)):
        if getattr(getattr(values, "dtype", None), "kind", None) == "f":
          warn_of_rounding(name, np.asarray(values), self.compute_dtype)
    elif self._value_dtype is not None and self._compile_metrics is not None:
      warnings.warn(
        "metrics given to compile are computed in float32, which is too coarse "
        "for the offset of y; value_mse is not.",
        stacklevel=3,
      )

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

  def call(self, x, training=None):
    """Values `[B, *out]` at x `[B, *in]`, both in the user's units."""
    x = double_precision.unpack(x)
    z = self.scaling.scale_inputs(x, self.compute_dtype)
    return self.scaling.unscale((self.evaluate_network(z, training),))[0]

  def train_step(self, data):
    """One optimizer step on a batch; returns the metrics."""
    x, y, sample_weight = _unpacked(data)
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
    logs = self._update_metrics(
      x, y, sample_weight, comparison, losses + additional
    )
    measured = {f"{term.name}_mse" for term in comparison.terms}
    ours = {metric.name for metric in self._error_metrics}
    return {name: logs[name] for name in logs if name not in ours - measured}

  def test_step(self, data):
    """Measures a batch; returns the metrics."""
    x, y, sample_weight = _unpacked(data)
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

  def compute_metrics(self, x, y, y_pred, sample_weight=None):
    """As in Keras; metrics given to `compile` see the values alone."""
    y = double_precision.unpack(y)
    if isinstance(y, (list, tuple)):
      y = y[0]
    if isinstance(sample_weight, (list, tuple)):
      sample_weight = sample_weight[0]  # Keras repeats it for each label.
    if y.shape.rank != y_pred.shape.rank:
      y = tf.reshape(y, tf.shape(y_pred))  # One output, its axis left out.
    if self._compile_metrics is not None and not self.jit_compile:
      y, y_pred, sample_weight = labels_lib.known_rows(y, y_pred, sample_weight)
    return super().compute_metrics(x, y, y_pred, sample_weight)

  def predict_with_derivatives(self, x, batch_size=1024):
    """Values and derivatives in the user's units.

    Args:
      x: array `[N, *in]`.
      batch_size: how many examples to differentiate at once.

    Returns:
      Tuple of arrays `(y, dy, ...)` up to the model's order: y `[N, *out]`,
      dy `[N, *out, *in]`, d2y `[N, *out, *in, *in]`, with the output axes that
      the network has.
    """
    if not self.built:
      self(tf.convert_to_tensor(np.asarray(x)[:1], self.compute_dtype))
    self._note_precision()
    x = np.asarray(x, "float64" if self._carries_double else self.compute_dtype)
    x = tf.convert_to_tensor(x)
    if self._predict_terms is None:
      signature = [tf.TensorSpec([None, *x.shape[1:]], x.dtype)]
      compiled = tf.function(self._derive, input_signature=signature)
      # Hidden in a function: a checkpoint would track a tf.function.
      self._predict_terms = lambda rows: compiled(rows)
    batches = [
      self._predict_terms(x[start : start + batch_size])
      for start in range(0, max(x.shape[0], 1), batch_size)
    ]
    return tuple(
      np.concatenate([term.numpy() for term in terms])
      for terms in zip(*batches, strict=True)
    )

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
    self._loss_tracker.update_state(losses)
    metrics = {metric.name: metric for metric in self._error_metrics}
    for name, errors, known in comparison.errors():
      metrics[f"{name}_mse"].update_state(
        tf.zeros_like(errors)[:, tf.newaxis],
        errors[:, tf.newaxis],
        sample_weight=known,
      )
    value = self.scaling.unscale((comparison.value,))[0]
    return self.compute_metrics(x, y, value, sample_weight)

  def _build_for(self, x):
    shape = labels_lib.input_shape_of(x)
    if not self.built and shape is not None:
      with self.distribute_strategy.scope():
        self.build(shape)


def _unpacked(data):
  x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
  if sample_weight is not None:
    # Keras repeats it for each label.
    sample_weight = keras.tree.flatten(sample_weight)[0]
  return double_precision.unpack(x), double_precision.unpack(y), sample_weight


def _in_double(arguments):
  """x and labels among the arguments of `fit`, carried past Keras' cast."""
  packed = {name: arguments[name] for name in ("x", "y") if name in arguments}
  held_out = arguments.get("validation_data")
  if isinstance(held_out, (list, tuple)):
    packed["validation_data"] = held_out[:2]
  packed = double_precision.pack(packed)
  if "validation_data" in packed:
    packed["validation_data"] = (*packed["validation_data"], *held_out[2:])
  return packed
