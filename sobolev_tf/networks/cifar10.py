"""The classifier of the CIFAR-10 experiment, in segments (SM §4.2)."""

from collections.abc import Sequence

import sonnet as snt
import tensorflow as tf

from sobolev_tf.networks.batch_norm import BatchNorm
from sobolev_tf.networks.initialisers import FanInNormal

# (channels, stride) of the 3x3 convolutions; a new row where the picture
# halves. A synthetic gradient can stand between two rows.
BLOCKS = (
  ((64, 1), (64, 1)),
  ((128, 2), (128, 1), (128, 1)),
  ((256, 2), (256, 1), (256, 1)),
  ((512, 2), (512, 1), (512, 1)),
)
# Rows above which the network is split, by the number of splits. Three are all
# there are; one and two cut the work into the most even parts (in million
# multiply-adds the rows cost 39, 94, 94, 94).
BORDERS = ((), (2,), (2, 3), (1, 2, 3))


class Segment(snt.Module):
  """A stretch of convolutions, each with BatchNorm and ReLU."""

  def __init__(
    self,
    layers: Sequence,
    num_classes: int | None = None,
    seed: tuple[int, int] = (0, 0),
    name: str | None = None,
  ):
    """Describes the layers; the first call makes the variables.

    Args:
      layers: sequence of (channels, stride) of 3x3 convolutions.
      num_classes: None, or the size of a linear layer after the last
        convolution. It sees the average over the picture. The supplement names
        the linear layer alone; on the flattened picture, the other reading,
        the network does not learn at its learning rate of 0.1.
      seed: pair of integers, the seed of the weights and the number of the
        first layer.
      name: module name.
    """
    super().__init__(name=name)
    seed, first = seed
    self.layers = []
    for number, (channels, stride) in enumerate(layers, start=first):
      # A bias would be taken away again by the normalisation after it.
      convolution = snt.Conv2D(
        channels,
        3,
        stride,
        with_bias=False,
        w_init=FanInNormal(seed, number),
      )
      self.layers.append((convolution, BatchNorm(channels)))
    self.output = None
    if num_classes is not None:
      self.output = snt.Linear(
        num_classes, w_init=FanInNormal(seed, first + len(layers))
      )

  def __call__(self, x: tf.Tensor, is_training: bool) -> tf.Tensor:
    """Maps `[B, H, W, C]` to activations, or to logits `[B, num_classes]`."""
    for convolution, norm in self.layers:
      x = tf.nn.relu(norm(convolution(x), is_training))
    if self.output is None:
      return x
    return self.output(tf.reduce_mean(x, axis=[1, 2]))


def cifar10_segments(
  num_modules: int = 3, width: float = 1.0, num_classes: int = 10, seed: int = 0
) -> list[Segment]:
  """Builds the network as a list of segments.

  Args:
    num_modules: number of splits, 0 to 3; see `BORDERS`.
    width: factor on the number of channels, for small machines.
    num_classes: size of the output.
    seed: of the initial weights, which do not depend on the splits.

  Returns:
    List of `num_modules + 1` modules, called as `segment(x, is_training)`.

  Raises:
    ValueError: the network has no so many splits.
  """
  if not 0 <= num_modules < len(BORDERS):
    raise ValueError(
      f"the CIFAR-10 network can be split at 0 to {len(BORDERS) - 1} places, "
      f"but num_modules is {num_modules}."
    )
  starts = (0, *BORDERS[num_modules], len(BLOCKS))
  segments, first = [], 0
  for low, high in zip(starts[:-1], starts[1:], strict=True):
    layers = [
      (scaled_channels(channels, width), stride)
      for block in BLOCKS[low:high]
      for channels, stride in block
    ]
    is_top = high == len(BLOCKS)
    segments.append(
      Segment(layers, num_classes if is_top else None, (seed, first))
    )
    first += len(layers)
  return segments


def scaled_channels(channels: int, width: float) -> int:
  """Channels at a width; at least one."""
  return max(round(channels * width), 1)
