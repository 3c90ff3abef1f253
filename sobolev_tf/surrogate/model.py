"""A model whose network is the mean of several dense networks."""

import typing

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

  def __init__(
    self, network: keras.layers.Layer, *args: typing.Any, **kwargs: typing.Any
  ) -> None:
    """As `SobolevModel`; network is a `MeanOfNetworks`."""
    super().__init__(network, *args, **kwargs)
    self.intervals = Intervals(dtype=self.dtype)

  def build(self, input_shape: typing.Sequence) -> None:
    """As in `SobolevModel`, with the intervals' statistics."""
    super().build(input_shape)
    self.intervals.build(self.scaling.value_shape)

  def predict_with_uncertainty(self, x: typing.Any) -> tuple:
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
      [self.scaling.unscale((member(z),))[0] for member in self.network.members]
    )


class Intervals(keras.layers.Layer):
  """Half-widths `factor * sqrt(spread^2 + floor^2)` from members' spread.

  A layer, since Keras saves the weights of layers alone.
  """

  def build(self, input_shape: typing.Sequence) -> None:
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

  def call(self, spread: tf.Tensor) -> tf.Tensor:
    """Half-widths for the spread `[N, *out]`."""
    width = tf.sqrt(tf.square(spread) + tf.square(self.floor))
    return self.factor * width


@keras.saving.register_keras_serializable(package="sobolev_tf")
class MeanOfNetworks(keras.layers.Layer):
  """The mean of what several networks return for the same x.

  Attributes:
    members: the networks.
  """

  def __init__(self, members: typing.Sequence, **kwargs: typing.Any) -> None:
    """Takes Keras networks of one precision, and what a layer takes."""
    kwargs.setdefault("dtype", members[0].layers[-1].compute_dtype)
    super().__init__(**kwargs)
    self.members = list(members)

  def build(self, input_shape: typing.Sequence) -> None:
    """Builds those members that are not built yet."""
    for member in self.members:
      if not member.built:
        member.build(input_shape)

  def call(self, x: tf.Tensor) -> tf.Tensor:
    """The mean `[B, *out]` at x `[B, d]`."""
    values = [member(x) for member in self.members]
    return tf.add_n(values) / len(values)

  def compute_output_shape(self, input_shape: typing.Sequence) -> tuple:
    """As of any member."""
    return self.members[0].compute_output_shape(input_shape)

  def get_config(self) -> dict:
    """As in Keras."""
    members = [keras.saving.serialize_keras_object(m) for m in self.members]
    return {**super().get_config(), "members": members}

  @classmethod
  def from_config(cls, config: dict) -> "MeanOfNetworks":
    """As in Keras: the inverse of `get_config`."""
    members = [
      keras.saving.deserialize_keras_object(m) for m in config["members"]
    ]
    return cls(**{**config, "members": members})
