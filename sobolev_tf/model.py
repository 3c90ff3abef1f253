"""`SobolevModel`, the Keras way into Sobolev training."""

import inspect
import numbers
import typing

import keras
import tensorflow as tf

from sobolev_tf.derivatives.arguments import check_whole
from sobolev_tf.labels import incoming
from sobolev_tf.training import full_batch
from sobolev_tf.training.column_moments import warn_of_rounding
from sobolev_tf.training.known_metrics import EveryOrderHasLabels, put_first
from sobolev_tf.training.objective_model import ObjectiveModel


@keras.saving.register_keras_serializable(package="sobolev_tf")
class SobolevModel(ObjectiveModel):
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
    check_whole("order", order, 1)
    if num_projections is not None:
      check_whole("num_projections", num_projections, 1)
    if not isinstance(seed, numbers.Integral):
      raise ValueError(f"seed must be a whole number, but it is {seed!r}.")
    super().__init__(network, order, num_projections, scaling, seed, **kwargs)

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
    callbacks = arguments.get("callbacks")
    if self.balance:
      told = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: self.warn_of_conflict()
      )
      callbacks = put_first(told, callbacks)
    names = (metric.name for metric in self._error_metrics)
    arguments["callbacks"] = put_first(EveryOrderHasLabels(names), callbacks)
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
      jit_compile: whether to compile with XLA, which takes seconds; None means
        for 5,000 updates and more, unless the derivatives have too many rows
        for it (see `derivatives`).

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

  def _arguments(self, method, *args, **kwargs):
    """What one of Keras' methods was given, by name."""
    self.require_compile(method)
    signature = inspect.signature(getattr(super(), method))
    arguments = signature.bind(*args, **kwargs).arguments
    arguments.update(arguments.pop("kwargs", {}))
    incoming.check_counts(arguments)
    incoming.check_sample_weight(arguments)
    return arguments

  def require_compile(self, method: str) -> None:
    """Refuses a model that `compile` was not called on.

    Raises:
      ValueError: that is so.
    """
    if not self.compiled:
      raise ValueError(f"call compile before {method}.")

  def _with_validation_data(self, arguments):
    held_out = arguments.get("validation_data")
    if isinstance(held_out, (tuple, list)) and len(held_out) > 1:
      x, y = self._receive_labelled(*held_out[:2])
      arguments["validation_data"] = (x, y, *held_out[2:])
    return arguments

  def _check_arrays(self, x, labels):
    incoming.refuse_unknown_inputs(x, self.compute_dtype)
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
