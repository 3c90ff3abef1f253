"""What a trainer sees of a data set of labelled pictures."""

import types
import typing

import tensorflow as tf


class Pictures(typing.Protocol):
  """Batches of pictures that are functions of a seed and a step.

  A data set that derives from this class gets `training_batches` and has no
  unreadable pictures.

  Attributes:
    image_shape: of one picture.
    num_classes: number of classes.
    skipped: dict from the names of unreadable pictures to the reasons.
  """

  image_shape: tuple
  num_classes: int
  skipped: typing.Mapping[str, str] = types.MappingProxyType({})

  def training_batch(self, step, size):
    """The batch of a step: x `[size, H, W, C]` and one-hot y, float32.

    Raises:
      ValueError: the batch is larger than the data set.
    """

  def training_batches(self, first, last, size):
    """Yields the batches of steps `first` to before `last`, made ahead."""

    def make(step):
      return self.training_batch(int(step), size)

    def load(step):
      x, y = tf.numpy_function(make, [step], [tf.float32, tf.float32])
      x = tf.ensure_shape(x, [size, *self.image_shape])
      return x, tf.ensure_shape(y, [size, self.num_classes])

    steps = tf.data.Dataset.range(first, last)
    return iter(steps.map(load, num_parallel_calls=2).prefetch(4))

  def test_batches(self):
    """Yields the test pictures as (x, y), y of whole numbers."""
