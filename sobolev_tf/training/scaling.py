"""Standardisation of x, y and derivatives by the chain rule, and back.

With z = (x - mean_x) / s_x and u = (y - mean_y) / s_y, per component, the
chain rule gives du/dz = dy/dx * s_x / s_y, and likewise for higher orders. A
network that maps z to u sees well-conditioned values and derivatives whatever
units its user works in.
"""

import warnings
from collections.abc import Iterable, Sequence

import keras
import numpy as np
import tensorflow as tf

from sobolev_tf.training.column_moments import (
  Moments,
  names_of_columns,
  warn_of_coarse,
)

SCALINGS = (None, "standard", "dml")

# A derivative component of kind "dml" counts as at least this part of the
# largest one of its output: see `Scaling.adapt`.
_SMALLEST_SHARE = 0.2
# Rounding beyond this part of a standard deviation is worth double precision.
_WORTH_DOUBLE = 1e-4


class Scaling(keras.layers.Layer):
  """The statistics of x, y and derivatives, and the conversions they define.

  Kinds:

  - None: no scaling; every method returns what it was given.
  - `"standard"`: x and y standardised, derivatives by the chain rule.
  - `"dml"`: differential machine learning (Huge & Savine, "Differential
    Machine Learning", 2020): also every derivative component divided by its
    root mean square in standardised units, losses as means over components,
    and weights 1/(1+n) for the value and n/(1+n) for each derivative order,
    n being the dimension of x. A root mean square counts as at least 0.2 of
    the largest of its output: an input that hardly matters would otherwise
    get the weight of one that does.

  Means are subtracted in the dtype of the data and kept in float64, so that a
  float64 column may have an offset that float32 could not hold (times in
  seconds, total energies); what comes out is in the layer's dtype.

  The statistics are non-trainable weights: they are saved and restored with
  the model that holds this layer. Before `adapt` they are those of data that
  is standardised already.

  "Scaled units" below are those of z and u, "the user's units" those of x and
  y. `*in` and `*out` are the shapes of one x and one y.
  """

  def __init__(self, kind: str | None = None, order: int = 1, **kwargs):
    """Chooses the kind of scaling.

    Args:
      kind: None, `"standard"` or `"dml"`.
      order: highest order of derivatives.
      **kwargs: of `keras.layers.Layer`.

    Raises:
      ValueError: there is no such kind.
    """
    super().__init__(**kwargs)
    if kind not in SCALINGS:
      raise ValueError(
        f'scaling must be None, "standard" or "dml", but it is {kind!r}.'
      )
    self.kind = kind
    self.order = order

  def build(self, input_shape: Sequence, output_shape: Sequence) -> None:
    """Makes the statistics for x `[B, *in]` and y `[B, *out]`."""
    self._in, self._out = tuple(input_shape[1:]), tuple(output_shape[1:])
    if self.kind is None:
      return
    if None in self._in + self._out:
      raise ValueError(
        f"scaling={self.kind!r} needs fixed shapes, but x has shape "
        f"{tuple(input_shape)} and y {tuple(output_shape)}."
      )
    self.x_mean = self._statistic("x_mean", self._in, "zeros", "float64")
    self.x_scale = self._statistic("x_scale", self._in, "ones")
    self.y_mean = self._statistic("y_mean", self._out, "zeros", "float64")
    self.y_scale = self._statistic("y_scale", self._out, "ones")
    self.derivative_rms = [
      self._statistic(f"d{j}_rms", self._out + self._in * j, "ones")
      for j in range(1, (self.order if self.kind == "dml" else 0) + 1)
    ]
    self._adapted = self._statistic("adapted", (), "zeros")

  @property
  def value_shape(self) -> tuple:
    """The shape `(None, *out)` of y that the statistics were made for."""
    return (None, *self._out)

  @property
  def input_shape(self) -> tuple:
    """The shape `(None, *in)` of x that the statistics were made for."""
    return (None, *self._in)

  @property
  def adapted(self) -> bool:
    """Whether the statistics come from data; True where none are needed."""
    return self.kind is None or (self.built and bool(self._adapted.numpy()))

  @property
  def needs_double_inputs(self) -> bool:
    """Whether float32 would round x by more than 1e-4 of its deviation."""
    return self.kind is not None and _is_offset(self.x_mean, self.x_scale)

  @property
  def needs_double_values(self) -> bool:
    """Whether float32 would round y by more than 1e-4 of its deviation."""
    return self.kind is not None and _is_offset(self.y_mean, self.y_scale)

  def adapt(self, batches: Iterable) -> None:
    """Fits the statistics in one pass.

    NaN labels are ignored. A column that is constant up to the rounding of the
    data's own dtype, or has no label at all, gets scale 1. Deviations are those
    of the sample itself (no n - 1).

    Warns of columns whose own dtype is too coarse for their offset, which no
    scaling can mend, and of derivative components that kind "dml" counts as
    larger than they are.

    Args:
      batches: iterable of `(x, labels)`; x `[B, *in]`, labels a tuple of y
        `[B, *out]` and any number of derivatives `[B, *out, *in, ...]`, each in
        the dtype that the data has.

    Raises:
      ValueError: there are no examples.
    """
    moments = [Moments() for _ in range(self.order + 2)]
    for x, labels in batches:
      for moment, values in zip(moments, (x, *labels), strict=False):
        moment.update(values)
    if not moments[0].count.any():
      raise ValueError("the data to fit the scaling to holds no examples.")
    self.x_mean.assign(moments[0].mean)
    self.x_scale.assign(moments[0].deviation())
    warn_of_coarse("x", moments[0])
    if moments[1].count.any():
      self.y_mean.assign(moments[1].mean)
      self.y_scale.assign(moments[1].deviation())
      warn_of_coarse("y", moments[1])
    for j, rms in enumerate(self.derivative_rms, start=1):
      if moments[j + 1].count.any():
        # Division by a constant commutes with the mean of squares, so the
        # same pass serves x, y and derivatives.
        ratio = moments[j + 1].root_mean_square() / self.units(j).numpy()
        rms.assign(self._floored(ratio, j))
    self._adapted.assign(1.0)

  def _floored(self, ratio, order):
    """Root mean squares `[*out, *in, ...]` with small ones raised, NaN to 1.

    Divided by its own size, a component that is small beside the others would
    weigh as much as they do in the loss, whatever it does for the value, and
    with it its noise.
    """
    outputs = len(self._out)
    axes = tuple(range(outputs, ratio.ndim))
    known = np.where(np.isnan(ratio), 0, ratio)
    least = _SMALLEST_SHARE * known.max(axis=axes, keepdims=True)
    small = (ratio < least) & (ratio > np.finfo(np.float32).eps * least)
    if small.any():
      name = "dy" if order == 1 else f"d{order}y"
      warnings.warn(
        f'scaling="dml" counts {names_of_columns(name, small)} as '
        f"{_SMALLEST_SHARE} of the largest derivative of its output: in "
        "standardised units it is smaller and hardly matters.",
        stacklevel=3,
      )
    floored = np.maximum(ratio, least)
    # An output without any derivative has no size to go by.
    return np.where(np.isnan(ratio) | (floored == 0), 1.0, floored)

  def scale_inputs(
    self, x: tf.Tensor, dtype: tf.DType | None = None
  ) -> tf.Tensor:
    """Converts x `[B, *in]` to scaled units.

    Args:
      x: in the user's units.
      dtype: of the result, to which it is rounded last; None means that of x.
    """
    if self.kind is None:
      return x if dtype is None else tf.cast(x, dtype)
    return _standardise(x, self.x_mean, self.x_scale, dtype)

  def scale_labels(self, labels: Sequence[tf.Tensor]) -> tuple:
    """Converts `(y, D1, ...)` in full to scaled units."""
    return tuple(self.scale_label(label, j) for j, label in enumerate(labels))

  def scale_label(
    self, label: tf.Tensor, order: int, dtype: tf.DType | None = None
  ) -> tf.Tensor:
    """Converts y (order 0) or a full derivative to scaled units.

    Args:
      label: in the user's units.
      order: of the derivative.
      dtype: as in `scale_inputs`.
    """
    if self.kind is not None and order == 0:
      return _standardise(label, self.y_mean, self.y_scale, dtype)
    if self.kind is not None:
      label = label / tf.cast(self.units(order), label.dtype)
    return label if dtype is None else tf.cast(label, dtype)

  def unscale(
    self, terms: Sequence[tf.Tensor], dtype: tf.DType | None = None
  ) -> tuple:
    """Converts `(u, D1, ...)` in full back to the user's units.

    Args:
      terms: in scaled units.
      dtype: of the value's result, whose offset may need float64; None means
        that of u.
    """
    if self.kind is None:
      return tuple(terms)
    u, *terms = terms
    u = u if dtype is None else tf.cast(u, dtype)
    unscaled = [u * _read(self.y_scale, u) + _read(self.y_mean, u)]
    for j, term in enumerate(terms, start=1):
      unscaled.append(term * tf.cast(self.units(j), term.dtype))
    return tuple(unscaled)

  def units(self, order: int, projected: bool = False) -> tf.Tensor:
    """The user's units per scaled unit, for differences of one order.

    Args:
      order: 0 for the value, j for the j-th derivative.
      projected: for derivatives projected onto random directions in scaled
        units. Directions mix components with different units, so this is the
        root mean square over the components that are projected away: exact
        for a single output and order 1.

    Returns:
      Tensor `[*out, *in, ...]`, or `[*in]` where projected.
    """
    if self.kind is None:
      return tf.ones([], self.variable_dtype)
    outputs, inputs = len(self._out), len(self._in)
    units = tf.convert_to_tensor(self.y_scale)
    for axis in range(order):
      units = tf.reshape(units, list(units.shape) + [1] * inputs)
      shape = [1] * (outputs + axis * inputs) + list(self._in)
      units = units / tf.reshape(tf.convert_to_tensor(self.x_scale), shape)
    return _pool(units, inputs) if projected and order else units

  def balance(
    self, terms: Sequence[tf.Tensor], projected: bool = False
  ) -> tuple:
    """Divides derivative terms in scaled units by their root mean square.

    Only kind `"dml"` does, by the root mean square as `adapt` left it.

    Args:
      terms: `(u, D1, ...)` in scaled units, in full or projected.
      projected: whether the derivatives are projections `[B, P, *in]`, which
        are divided by the root mean square over all directions.
    """
    if self.kind != "dml":
      return tuple(terms)
    return tuple(
      term / tf.cast(self.divisor(j, projected), term.dtype)
      for j, term in enumerate(terms)
    )

  def divisor(self, order: int, projected: bool = False) -> tf.Tensor:
    """What `balance` divides the terms of one order by; 1 for the value.

    Args:
      order: 0 for the value, j for the j-th derivative.
      projected: as in `balance`.

    Returns:
      Tensor `[*out, *in, ...]`, `[*in]` where projected, or a scalar.
    """
    if self.kind != "dml" or order == 0:
      return tf.ones([], self.variable_dtype)
    rms = tf.convert_to_tensor(self.derivative_rms[order - 1])
    return _pool(rms, len(self._in)) if projected else rms

  def order_weights(self) -> tuple[float, float]:
    """The scaling's own weights of the value and of every derivative order.

    Returns:
      Pair of floats: (1/(1+n), n/(1+n)) for `"dml"`, else (1, 1). They
      multiply the weights that the user chose.
    """
    if self.kind != "dml":
      return 1.0, 1.0
    n = int(np.prod(self._in))
    return 1.0 / (1.0 + n), n / (1.0 + n)

  def _statistic(self, name, shape, initializer, dtype=None):
    return self.add_weight(
      name=name,
      shape=shape,
      dtype=dtype,
      initializer=initializer,
      trainable=False,
      autocast=False,
    )


def _standardise(values, mean, scale, dtype):
  """`(values - mean) / scale`, rounded to `dtype` at the end."""
  values = tf.convert_to_tensor(values)
  if not values.dtype.is_floating:
    values = tf.cast(values, tf.float64)
  mean = tf.convert_to_tensor(mean)
  high = tf.cast(mean, values.dtype)
  centred = values - high
  if values.dtype != mean.dtype:
    # Near the mean the first difference is exact; this is what it left out.
    centred -= tf.cast(mean - tf.cast(high, mean.dtype), values.dtype)
  scaled = centred / _read(scale, values)
  return scaled if dtype is None else tf.cast(scaled, dtype)


def _is_offset(mean, scale):
  """Whether a column is too far from zero for single precision."""
  mean, scale = np.abs(mean.numpy()), scale.numpy()
  rounding = np.finfo(np.float32).eps * (mean + scale)
  return bool((rounding > _WORTH_DOUBLE * scale).any())


def _read(statistic, like):
  return tf.cast(tf.convert_to_tensor(statistic), like.dtype)


def _pool(components, kept):
  """Root mean square over all but the last `kept` axes."""
  axes = list(range(components.shape.rank - kept))
  return tf.sqrt(tf.reduce_mean(tf.square(components), axis=axes))
