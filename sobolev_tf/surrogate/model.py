"""A model whose network is the mean of several dense networks."""

import keras
import numpy as np
import tensorflow as tf

from sobolev_tf.model import SobolevModel


@keras.saving.register_keras_serializable(package="sobolev_tf")
class SurrogateModel(SobolevModel):
  """What `fit_surrogate` returns: a `SobolevModel` of several members.

  Attributes:
    report: a `Report` of how it came about; None after loading from a file.
  """

  report = None

  def __init__(self, network, *args, **kwargs):
    """As `SobolevModel`; network is what `mean_of` returns."""
    super().__init__(network, *args, **kwargs)
    self.intervals = Intervals(dtype=self.dtype)

  def build(self, input_shape):
    """As in `SobolevModel`, with the intervals' statistics."""
    super().build(input_shape)
    self.intervals.build(self.scaling.value_shape)

  def predict_with_uncertainty(self, x):
    """Values and how far off they may be.

    Args:
      x: `[N, d]`.

    Returns:
      Pair `(y, half_width)`, both `[N, *out]`: for points that are spread as
      the training points are, `y - half_width` to `y + half_width` holds the
      truth in about 90 % of cases. The width grows with the members' spread
      and was set on points that the members had not seen.
    """
    x = tf.convert_to_tensor(np.asarray(x), self.compute_dtype)
    values = self._member_values(x)  # [M, N, *out]
    half_width = self.intervals(tf.math.reduce_std(values, axis=0))
    return tf.reduce_mean(values, axis=0).numpy(), half_width.numpy()

  def _member_values(self, x):
    z = self.scaling.scale_inputs(x)
    return tf.stack(
      [self.scaling.unscale((member(z),))[0] for member in self.members]
    )

  @property
  def members(self):
    """The dense networks whose mean the network is."""
    return [
      layer
      for layer in self.network.layers
      if isinstance(layer, keras.Sequential)
    ]


class Intervals(keras.layers.Layer):
  """Half-widths `factor * sqrt(spread^2 + floor^2)` from members' spread.

  A layer, since Keras saves the weights of layers alone.
  """

  def build(self, input_shape):
    """Makes factor and floor, one per output."""
    self.factor, self.floor = (
      self.add_weight(
        name=name,
        shape=input_shape[1:],
        initializer="zeros",
        trainable=False,
        autocast=False,
      )
      for name in ("factor", "floor")
    )

  def call(self, spread):
    """Half-widths for the spread `[N, *out]`."""
    width = tf.sqrt(tf.square(spread) + tf.square(self.floor))
    return self.factor * width


def mean_of(members, inputs):
  """A Keras network that returns the mean of its members.

  Args:
    members: list of `keras.Sequential`, each from `[B, inputs]`.
    inputs: d.
  """
  dtype = members[0].compute_dtype
  x = keras.Input([inputs], dtype=dtype)
  outputs = [member(x) for member in members]
  if len(outputs) == 1:
    return keras.Model(x, outputs[0], dtype=dtype)
  mean = keras.layers.Average(dtype=dtype)(outputs)
  return keras.Model(x, mean, dtype=dtype)
