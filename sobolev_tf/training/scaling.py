"""Standardisation of x, y and derivatives by the chain rule, and back.

With z = (x - mean_x) / s_x and u = (y - mean_y) / s_y, per component, the
chain rule gives du/dz = dy/dx * s_x / s_y, and likewise for higher orders. A
network that maps z to u sees well-conditioned values and derivatives whatever
units its user works in.
"""

import keras
import numpy as np
import tensorflow as tf

SCALINGS = (None, "standard", "dml")


class Scaling(keras.layers.Layer):
  """The statistics of x, y and derivatives, and the conversions they define.

  Kinds:

  - None: no scaling; every method returns what it was given.
  - `"standard"`: x and y standardised, derivatives by the chain rule.
  - `"dml"`: differential machine learning (Huge & Savine, "Differential
    Machine Learning", 2020): also every derivative component divided by its
    root mean square in standardised units, losses as means over components,
    and weights 1/(1+n) for the value and n/(1+n) for each derivative order,
    n being the dimension of x.

  The statistics are non-trainable weights: they are saved and restored with
  the model that holds this layer. Before `adapt` they are those of data that
  is standardised already.

  "Scaled units" below are those of z and u, "the user's units" those of x and
  y. `*in` and `*out` are the shapes of one x and one y.
  """

  def __init__(self, kind=None, order=1, **kwargs):
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

  def build(self, input_shape, output_shape):
    """Makes the statistics for x `[B, *in]` and y `[B, *out]`."""
    self._in, self._out = tuple(input_shape[1:]), tuple(output_shape[1:])
    if self.kind is None:
      return
    if None in self._in + self._out:
      raise ValueError(
        f"scaling={self.kind!r} needs fixed shapes, but x has shape "
        f"{tuple(input_shape)} and y {tuple(output_shape)}."
      )
    self.x_mean = self._statistic("x_mean", self._in, "zeros")
    self.x_scale = self._statistic("x_scale", self._in, "ones")
    self.y_mean = self._statistic("y_mean", self._out, "zeros")
    self.y_scale = self._statistic("y_scale", self._out, "ones")
    self.derivative_rms = [
      self._statistic(f"d{j}_rms", self._out + self._in * j, "ones")
      for j in range(1, (self.order if self.kind == "dml" else 0) + 1)
    ]
    self._adapted = self._statistic("adapted", (), "zeros")

  @property
  def value_shape(self):
    """The shape `(None, *out)` of y that the statistics were made for."""
    return (None, *self._out)

  @property
  def input_shape(self):
    """The shape `(None, *in)` of x that the statistics were made for."""
    return (None, *self._in)

  @property
  def adapted(self):
    """Whether the statistics come from data; True where none are needed."""
    return self.kind is None or (self.built and bool(self._adapted.numpy()))

  def adapt(self, batches):
    """Fits the statistics in one pass.

    NaN labels are ignored. A column that is constant up to the rounding of
    this layer's dtype, or has no label at all, gets scale 1. Deviations are
    those of the sample itself (no n - 1).

    Args:
      batches: iterable of `(x, labels)`; x `[B, *in]`, labels a tuple of y
        `[B, *out]` and any number of derivatives `[B, *out, *in, ...]`.
    """
    moments = [_Moments() for _ in range(self.order + 2)]
    for x, labels in batches:
      for moment, values in zip(moments, (x, *labels), strict=False):
        moment.update(values)
    if not moments[0].count.any():
      raise ValueError("the data to fit the scaling to holds no examples.")
    self.x_mean.assign(moments[0].mean)
    resolution = np.finfo(self.variable_dtype).eps
    self.x_scale.assign(moments[0].deviation(resolution))
    if moments[1].count.any():
      self.y_mean.assign(moments[1].mean)
      self.y_scale.assign(moments[1].deviation(resolution))
    for j, rms in enumerate(self.derivative_rms, start=1):
      if moments[j + 1].count.any():
        # Division by a constant commutes with the mean of squares, so the
        # same pass serves x, y and derivatives.
        ratio = moments[j + 1].root_mean_square() / self.units(j).numpy()
        # What is zero but for single precision's rounding is zero: divided by
        # its own size, noise would weigh as much as a true derivative.
        floor = np.finfo(np.float32).eps * np.nanmax(ratio)
        ratio = np.where(ratio > floor, ratio, 0 * ratio)
        rms.assign(np.where(np.isnan(ratio), 1.0, ratio))
    self._adapted.assign(1.0)

  def scale_inputs(self, x):
    """Converts x `[B, *in]` to scaled units."""
    if self.kind is None:
      return x
    return (x - _read(self.x_mean, x)) / _read(self.x_scale, x)

  def scale_labels(self, labels):
    """Converts `(y, D1, ...)` in full to scaled units."""
    return tuple(self.scale_label(label, j) for j, label in enumerate(labels))

  def scale_label(self, label, order):
    """Converts y (order 0) or a full derivative to scaled units."""
    if self.kind is None:
      return label
    if order == 0:
      return (label - _read(self.y_mean, label)) / _read(self.y_scale, label)
    return label / tf.cast(self.units(order), label.dtype)

  def unscale(self, terms):
    """Converts `(u, D1, ...)` in full back to the user's units."""
    if self.kind is None:
      return tuple(terms)
    u, *terms = terms
    unscaled = [u * _read(self.y_scale, u) + _read(self.y_mean, u)]
    for j, term in enumerate(terms, start=1):
      unscaled.append(term * tf.cast(self.units(j), term.dtype))
    return tuple(unscaled)

  def units(self, order, projected=False):
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

  def balance(self, terms, projected=False):
    """Divides derivative terms in scaled units by their root mean square.

    Only kind `"dml"` does; a component that is zero throughout stays as it is.

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

  def divisor(self, order, projected=False):
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
    if projected:
      rms = _pool(rms, len(self._in))
    return tf.where(rms > 0, rms, tf.ones_like(rms))

  def order_weights(self):
    """The scaling's own weights of the value and of every derivative order.

    Returns:
      Pair of floats: (1/(1+n), n/(1+n)) for `"dml"`, else (1, 1). They
      multiply the weights that the user chose.
    """
    if self.kind != "dml":
      return 1.0, 1.0
    n = int(np.prod(self._in))
    return 1.0 / (1.0 + n), n / (1.0 + n)

  def _statistic(self, name, shape, initializer):
    return self.add_weight(
      name=name,
      shape=shape,
      initializer=initializer,
      trainable=False,
      autocast=False,
    )


class _Moments:
  """Mean, variance and range per component, batch by batch, NaN ignored."""

  def __init__(self):
    self.count, self.mean, self._squares = np.zeros(()), 0.0, 0.0
    self._low, self._high = np.inf, -np.inf

  def update(self, values):
    """Merges a batch `[B, ...]` into the moments (Chan et al., 1979)."""
    values = np.asarray(values, np.float64)
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    mean = np.where(known, values, 0).sum(axis=0) / np.maximum(count, 1)
    squares = np.where(known, values - mean, 0) ** 2
    total = self.count + count
    shift = mean - self.mean
    share = count / np.maximum(total, 1)
    merged = squares.sum(axis=0) + shift**2 * self.count * share
    self._squares = self._squares + merged
    self.mean = self.mean + shift * share
    self.count = total
    low = np.where(known, values, np.inf).min(axis=0, initial=np.inf)
    high = np.where(known, values, -np.inf).max(axis=0, initial=-np.inf)
    self._low = np.minimum(self._low, low)
    self._high = np.maximum(self._high, high)

  def deviation(self, resolution):
    """Standard deviation; 1 where the column is constant up to rounding.

    Args:
      resolution: relative, of the numbers that the network sees.
    """
    known = self.count > 0
    low, high = np.where(known, self._low, 0), np.where(known, self._high, 0)
    rounding = 8 * resolution * np.maximum(abs(low), abs(high))
    deviation = np.sqrt(self._squares / np.maximum(self.count, 1))
    return np.where(high - low > rounding, deviation, 1.0)

  def root_mean_square(self):
    """Root mean square; NaN where there is no label."""
    mean_square = self._squares / np.maximum(self.count, 1) + self.mean**2
    return np.where(self.count > 0, np.sqrt(mean_square), np.nan)


def _read(statistic, like):
  return tf.cast(tf.convert_to_tensor(statistic), like.dtype)


def _pool(components, kept):
  """Root mean square over all but the last `kept` axes."""
  axes = list(range(components.shape.rank - kept))
  return tf.sqrt(tf.reduce_mean(tf.square(components), axis=axes))
