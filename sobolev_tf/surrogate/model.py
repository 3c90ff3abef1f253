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

  def build(self, input_shape):
    """As in `SobolevModel`, with the intervals' statistics."""
    super().build(input_shape)
    shape = self.scaling.value_shape[1:]
    self.interval_factor = self._interval_statistic("interval_factor", shape)
    self.interval_floor = self._interval_statistic("interval_floor", shape)

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
    spread = tf.math.reduce_std(values, axis=0)
    width = tf.sqrt(tf.square(spread) + tf.square(self.interval_floor))
    half_width = self.interval_factor * width
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

  def _interval_statistic(self, name, shape):
    return self.add_weight(
      name=name,
      shape=shape,
      initializer="zeros",
      trainable=False,
      autocast=False,
    )


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
