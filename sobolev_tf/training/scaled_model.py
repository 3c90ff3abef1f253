"""A network in the user's units: data in, predictions out."""

import typing
import warnings

import keras
import numpy as np
import tensorflow as tf

from sobolev_tf.derivatives.arguments import check_whole
from sobolev_tf.derivatives.compiled import compiled
from sobolev_tf.derivatives.nested_tapes import derivatives
from sobolev_tf.labels import incoming
from sobolev_tf.labels.matching import (
  as_dict,
  label_name,
  match_arrays,
  match_labels,
  orders_of,
)
from sobolev_tf.training import double_precision, keras_internals
from sobolev_tf.training.network_model import NetworkModel
from sobolev_tf.training.scaling import Scaling


class ScaledModel(NetworkModel):
  """Asks a network that works in scaled units about the user's.

  It brings x and labels into the form that Keras is to see, fits the scaling to
  them, and predicts values and derivatives. `SobolevModel` tells how it is used
  and in what precision it answers.
  """

  def __init__(
    self,
    network: keras.layers.Layer | tf.Module,
    order: int,
    scaling: str | None,
    **kwargs,
  ):
    """Wraps a network; the arguments are those of `SobolevModel`."""
    super().__init__(network, **kwargs)
    self._order = int(order)
    self.scaling = Scaling(scaling, order, dtype=self.dtype, name="scaling")
    self._x_shape = None
    self._predict_terms = None
    # float64 numbers reach the scaling as they are; it rounds the rest.
    self.autocast = False
    self._carries_double, self._value_dtype = False, None

  @property
  def order(self) -> int:
    """The highest order of derivatives, as it was constructed with."""
    return self._order

  def build(self, input_shape: typing.Sequence) -> None:
    """Builds the network and the scaling for x of `input_shape`."""
    if any(isinstance(size, (list, tuple)) for size in input_shape):
      incoming.check_inputs(list(input_shape))  # several inputs, refused
    input_shape = (None, *input_shape[1:])
    value_shape = self.build_network(input_shape)
    self._x_shape = input_shape
    self.scaling.dtype_policy = self.dtype_policy
    self.scaling.build(input_shape, value_shape)

  def get_config(self) -> dict:
    """As in Keras; a Sonnet network has no config and raises."""
    return {
      **super().get_config(),
      "order": self.order,
      "scaling": self.scaling.kind,
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

  def call(self, x: typing.Any, training: bool | None = None) -> tf.Tensor:
    """Values `[B, *out]` at x `[B, *in]`, both in the user's units."""
    x = double_precision.unpack(x)
    incoming.check_inputs(x, self._x_shape)
    z = self.scaling.scale_inputs(self._in_rank(x), self.compute_dtype)
    return self.scaling.unscale((self.evaluate_network(z, training),))[0]

  def predict(self, x: typing.Any, *args, **kwargs) -> np.ndarray:
    """As `keras.Model.predict`: values in the user's units.

    They are float64 where float32 is too coarse for the offset of y.
    """
    self._require_scaling()
    incoming.check_counts(
      {**dict(zip(("batch_size",), args, strict=False)), **kwargs}
    )
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
    check_whole("batch_size", batch_size, 1)
    self._require_scaling()
    x = x if hasattr(x, "shape") else np.asarray(x)
    x, _ = self.receive(x, may_be_empty=True)
    self._note_precision()
    x = tf.cast(x, "float64" if self._carries_double else self.compute_dtype)
    if self._predict_terms is None:
      signature = [tf.TensorSpec([None, *x.shape[1:]], x.dtype)]
      derive = compiled(self._derive, input_signature=signature)
      # Hidden in a function: a checkpoint would track a tf.function.
      self._predict_terms = lambda rows: derive(rows)
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
    check_whole("order", order, 1)
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

  def _in_rank(self, x):
    """Adds the axis of size 1 that the network has and x `[B]` has not."""
    if self._x_shape and x.shape.rank == 1 and len(self._x_shape) == 2:
      return x[:, tf.newaxis]
    return x

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

  def _require_scaling(self):
    if not self.scaling.adapted:
      raise ValueError(
        f"scaling={self.scaling.kind!r} has not been fitted to data; call "
        "adapt(x, (y, dy)) or fit first."
      )


def _of_each_order(labels, value_shape, input_shape):
  """y, dy, ... as NumPy arrays, NaN where only a higher order is given."""
  for order in range(max(orders_of(labels), default=-1) + 1):
    name = label_name(order)
    if name in labels:
      yield labels[name].numpy()
    else:
      yield np.full([*value_shape, *list(input_shape[1:]) * order], np.nan)
