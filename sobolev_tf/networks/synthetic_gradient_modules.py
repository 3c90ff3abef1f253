"""The networks inside the synthetic-gradient estimators (SM §4.2, §4.3)."""

import sonnet as snt
import tensorflow as tf

from sobolev_tf.networks.initialisers import FanInNormal


class ClassPredictor(snt.Module):
  """Predicts the class from activations: the p(h) of a loss critic.

  A 3x3 convolution of 128 kernels, ReLU, and a linear layer. The linear layer
  sees the flattened picture: the supplement lists "global averaging" for
  ImageNet's module and none here. No BatchNorm: it would couple the examples,
  whose gradients are wanted one by one.
  """

  def __init__(
    self,
    num_classes: int = 10,
    channels: int = 128,
    seed: tuple[int, int] = (0, 0),
    name: str | None = None,
  ):
    """Describes the layers; the first call makes the variables.

    Args:
      num_classes: number of classes.
      channels: kernels of the convolution.
      seed: pair of integers that fixes the initial weights.
      name: module name.
    """
    super().__init__(name=name)
    seed, first = seed
    self.convolution = snt.Conv2D(channels, 3, w_init=FanInNormal(seed, first))
    self.output = snt.Linear(num_classes, w_init=FanInNormal(seed, first + 1))

  def __call__(self, h: tf.Tensor) -> tf.Tensor:
    """Maps activations `[B, H, W, C]` to logits `[B, num_classes]`."""
    return self.output(snt.flatten(tf.nn.relu(self.convolution(h))))


class GradientPredictor(snt.Module):
  """Predicts a gradient from activations and label: "Direct SG".

  Three 3x3 convolutions that keep the resolution, 128 kernels with ReLU in the
  first two, the channels of h in the last. The label enters as one constant
  map per class beside the activations (the earlier synthetic-gradient paper
  conditions its convolutional estimators so).

  The last layer starts at zero (ours): true gradients are small, and with the
  random ones of an untrained module the main network diverges at a learning
  rate of 0.1 before the module has learnt anything.
  """

  def __init__(
    self,
    num_channels: int,
    channels: int = 128,
    seed: tuple[int, int] = (0, 0),
    name: str | None = None,
  ):
    """Describes the layers; the first call makes the variables.

    Args:
      num_channels: channels of h.
      channels: kernels of the first two convolutions.
      seed: pair of integers that fixes the initial weights.
      name: module name.
    """
    super().__init__(name=name)
    seed, first = seed
    zeros = snt.initializers.Zeros()
    self.hidden = [
      snt.Conv2D(channels, 3, w_init=FanInNormal(seed, first + layer))
      for layer in range(2)
    ]
    self.output = snt.Conv2D(num_channels, 3, w_init=zeros)

  def __call__(self, h: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Maps h `[B, H, W, C]` and labels y `[B, classes]` to a gradient."""
    shape = tf.concat([tf.shape(h)[:3], tf.shape(y)[-1:]], axis=0)
    maps = tf.broadcast_to(y[:, tf.newaxis, tf.newaxis], shape)
    z = tf.concat([h, tf.cast(maps, h.dtype)], axis=-1)
    for convolution in self.hidden:
      z = tf.nn.relu(convolution(z))
    return self.output(z)


class AveragingClassPredictor(snt.Module):
  """The p(h) of a loss critic on ImageNet (SM §4.3).

  Two 3x3 convolutions of 64 kernels with ReLU, the second of stride 2, a global
  average and a 1x1 convolution to the classes, which on an average is a linear
  layer. No BatchNorm, as in `ClassPredictor`.
  """

  def __init__(
    self,
    num_classes: int = 1000,
    channels: int = 64,
    seed: tuple[int, int] = (0, 0),
    name: str | None = None,
  ):
    """Describes the layers; the first call makes the variables.

    Args:
      num_classes: number of classes.
      channels: kernels of each convolution.
      seed: pair of integers that fixes the initial weights.
      name: module name.
    """
    super().__init__(name=name)
    seed, first = seed
    self.convolutions = [
      snt.Conv2D(channels, 3, stride, w_init=FanInNormal(seed, first + layer))
      for layer, stride in enumerate((1, 2))
    ]
    self.output = snt.Linear(num_classes, w_init=FanInNormal(seed, first + 2))

  def __call__(self, h: tf.Tensor) -> tf.Tensor:
    """Maps activations `[B, H, W, C]` to logits `[B, num_classes]`."""
    for convolution in self.convolutions:
      h = tf.nn.relu(convolution(h))
    return self.output(tf.reduce_mean(h, axis=[1, 2]))
