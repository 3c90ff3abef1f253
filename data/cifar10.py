"""CIFAR-10 through TFDS, with the standard augmentation.

The pictures are held in memory (150 MB). Their order, crops and flips are a
function of (seed, epoch, step), so that a resumed run sees what it would have
seen.
"""

import functools

import numpy as np

from data.pictures import Pictures
from data.tfds_folders import find_tfds, first_line, is_prepared, open_tfds

NUM_CLASSES = 10
IMAGE_SHAPE = (32, 32, 3)
VERSION = "3.0.2"

_PADDING = 4
_REMEDY = "prepare it again"


class Cifar10(Pictures):
  """Batches of CIFAR-10: augmented ones to train on, plain ones to test on."""

  image_shape = IMAGE_SHAPE
  num_classes = NUM_CLASSES

  def __init__(self, data_dir=None, seed=0):
    """Finds the data set; the pictures are read when they are first wanted.

    Args:
      data_dir: folder of TFDS' data sets; None means TFDS' own default.
      seed: of order and augmentation.

    Raises:
      ValueError: the data set is not there, or a split is missing.
    """
    self._seed = seed
    self._builder = _open(data_dir or None)

  @functools.cached_property
  def _training(self):
    """Padded pictures `[N, 40, 40, 3]`, uint8, and classes `[N]`."""
    images, labels = self._read("train")
    edge = (_PADDING, _PADDING)
    return np.pad(images, [(0, 0), edge, edge, (0, 0)]), labels

  @functools.cached_property
  def _moments(self):
    """Mean and deviation of each channel over the training pictures."""
    inner = slice(_PADDING, -_PADDING)
    images = self._training[0][:, inner, inner]
    # Exact, and small: the pictures hold 256 different values.
    counts = np.stack(
      [np.bincount(images[..., c].ravel(), minlength=256) for c in range(3)]
    )
    values, total = np.arange(256), counts.sum(axis=1)
    mean = (counts @ values) / total
    variance = (counts @ values**2) / total - mean**2
    return mean.astype(np.float32), np.sqrt(variance).astype(np.float32)

  def training_batch(self, step, size):
    """The batch of a step: x `[size, 32, 32, 3]` and one-hot y, float32.

    Every epoch visits each picture once, in an order of its own; what does not
    fill a batch is left for the next epoch's order.

    Raises:
      ValueError: the batch is larger than the data set.
    """
    padded, labels = self._training
    per_epoch = len(labels) // size
    if per_epoch == 0:
      raise ValueError(
        f"a batch of {size} does not fit into {len(labels)} training pictures; "
        "lower --batch_size."
      )
    epoch, place = divmod(step, per_epoch)
    chosen = self._order(epoch)[place * size : (place + 1) * size]
    rng = np.random.default_rng([self._seed, 2, step])
    corner = rng.integers(0, 2 * _PADDING + 1, [size, 2])
    flip = rng.random(size) < 0.5
    rows = corner[:, :1] + np.arange(IMAGE_SHAPE[0])  # [B, 32]
    columns = np.arange(IMAGE_SHAPE[1])
    columns = np.where(flip[:, np.newaxis], columns[::-1], columns)
    columns = corner[:, 1:] + columns
    x = padded[
      chosen[:, np.newaxis, np.newaxis],
      rows[:, :, np.newaxis],
      columns[:, np.newaxis, :],
    ]
    y = np.eye(NUM_CLASSES, dtype=np.float32)[labels[chosen]]
    return self._standardise(x), y

  def test_batches(self, size=500):
    """Yields the test pictures as (x, y), y `[size]` of integers."""
    images, labels = self._test
    for first in range(0, len(labels), size):
      chosen = slice(first, first + size)
      yield self._standardise(images[chosen]), labels[chosen]

  @functools.cached_property
  def _test(self):
    return self._read("test")

  @functools.lru_cache(maxsize=2)  # noqa: B019 - one data set per process
  def _order(self, epoch):
    rng = np.random.default_rng([self._seed, 1, epoch])
    return rng.permutation(len(self._training[1]))

  def _standardise(self, images):
    # After the crop: the padding is black, as it is where pictures are padded
    # before they are standardised.
    mean, deviation = self._moments
    return (images.astype(np.float32) - mean) / np.maximum(deviation, 1.0)

  def _read(self, split):
    try:
      dataset = self._builder.as_dataset(split=split, batch_size=-1)
      images, labels = (np.asarray(dataset[n]) for n in ("image", "label"))
    except Exception as error:  # whatever a damaged file makes TFDS raise
      raise ValueError(
        f"CIFAR-10's {split} pictures cannot be read "
        f"({first_line(error)}); {_REMEDY}."
      ) from error
    shape = images.shape[1:]
    if (
      shape != IMAGE_SHAPE or not np.isin(labels, np.arange(NUM_CLASSES)).all()
    ):
      raise ValueError(
        f"{self._builder.data_dir} holds pictures of shape {shape}, or other "
        f"classes than 0 to {NUM_CLASSES - 1}: it is not CIFAR-10; {_REMEDY}."
      )
    return images, labels.astype(np.int64)


def _open(data_dir):
  folder = find_tfds(data_dir, "cifar10", VERSION)
  if not is_prepared(folder):
    raise ValueError(
      f"CIFAR-10 is not in {folder}; where there is a network, python -c "
      "'import tensorflow_datasets as tfds; "
      f'tfds.builder("cifar10:{VERSION}", data_dir="DIR").'
      "download_and_prepare()' makes DIR/cifar10, and --data_dir=DIR names it; "
      "--dataset=digits needs no download."
    )
  builder = open_tfds(folder, _REMEDY)
  for split in ("train", "test"):
    if split not in builder.info.splits:
      raise ValueError(
        f"CIFAR-10 in {folder} has no {split} split, only "
        f"{', '.join(builder.info.splits) or 'none'}; {_REMEDY}."
      )
  return builder
