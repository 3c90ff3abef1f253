"""Batches from a TFDS data set of JPEG files: ImageNet, frames of games.

The files stay encoded until they are wanted: their order is a permutation of
the whole data set for each epoch, the decoded pictures are one byte a channel
until they leave the queue, and every batch is a function of (seed, step).
"""

import functools
import logging
import os
import re

import numpy as np
import tensorflow as tf

from data import inception_crop
from data.pictures import Pictures
from data.record_files import RecordFiles

_NUM_BATCHES_AHEAD = 2
_MOST_IN_A_ROW = 32  # unreadable pictures, before the data set is given up on
_MOST_CLASSES = 100_000
_FEATURES = {
  "image": tf.io.FixedLenFeature([], tf.string),
  "label": tf.io.FixedLenFeature([], tf.int64),
  "file_name": tf.io.FixedLenFeature([], tf.string),
}


class EncodedPictures(Pictures):
  """Augmented pictures to train on, their middle to test on.

  A file that cannot be decoded is named once, in a warning, and counted. In
  training the next one of the data set takes its place, so that a batch stays
  a function of (seed, step); in a test it is left out.

  Attributes:
    image_shape: of one picture.
    num_classes: number of classes.
    skipped: dict from the names of unreadable pictures to the reasons.
  """

  def __init__(self, builder, seed=0, image_size=224, colour_distortion=False):
    """Finds the records of the splits "train" and "validation".

    Args:
      builder: of a prepared TFDS data set with image, label and file_name.
      seed: of order and augmentation.
      image_size: side of the pictures.
      colour_distortion: whether training pictures change their colours.

    Raises:
      ValueError: a split is missing, or its files do not fit.
    """
    self.image_shape = (image_size, image_size, 3)
    self.num_classes = _num_classes(builder)
    self.skipped = {}
    self._seed, self._has_colour_distortion = seed, colour_distortion
    self._train = _open_split(builder, "train")
    self._test = _open_split(builder, "validation")

  def training_batch(self, step, size):
    """The batch of a step: x `[size, H, W, 3]` and one-hot y, float32."""
    self._check_size(size)
    chosen = self._choose(step, size)
    encoded = [self._train.read(index) for index in chosen[0]]
    try:
      pictures, labels = self._decode_together(
        tf.constant(encoded), tf.constant(chosen[1])
      )
    except tf.errors.InvalidArgumentError:
      pictures, labels = self._pick_readable(
        self._train, *chosen, self._training_picture, True
      )
    return _normalise(pictures), tf.one_hot(labels, self.num_classes)

  @functools.cached_property
  def _decode_together(self):
    """Compiled once: a pipeline for each single batch would be built anew."""

    @tf.function(
      input_signature=[
        tf.TensorSpec([None], tf.string),
        tf.TensorSpec([None, 2], tf.int64),
      ]
    )
    def decode(encoded, seeds):
      return tf.map_fn(
        lambda pair: self._training_picture(*pair),
        (encoded, seeds),
        fn_output_signature=(
          tf.TensorSpec(self.image_shape, tf.uint8),
          tf.TensorSpec([], tf.int64),
        ),
      )

    return decode

  def training_batches(self, first, last, size):
    """Yields the batches of the steps from `first` to before `last`.

    Every epoch visits each picture once, in an order of its own; what does not
    fill a batch is left for the next epoch's order.

    Raises:
      ValueError: the batch is larger than the data set.
    """
    self._check_size(size)
    choose = functools.partial(self._choose, size=size)
    for x, labels in self._stream(
      self._train, choose, self._training_picture, first, last, True
    ):
      yield _normalise(x), tf.one_hot(labels, self.num_classes)

  def _check_size(self, size):
    if size > len(self._train):
      raise ValueError(
        f"a batch of {size} does not fit into {len(self._train)} training "
        "pictures; lower --batch_size."
      )

  def test_batches(self, size=100):
    """Yields the test pictures as (x, y), y `[size]` of integers."""
    count = len(self._test)

    def choose(batch):
      indices = np.arange(batch * size, min((batch + 1) * size, count))
      return indices, np.zeros([len(indices), 2], np.int64)

    num_batches = -(-count // size)
    for x, labels in self._stream(
      self._test, choose, self._test_picture, 0, num_batches, False
    ):
      yield _normalise(x), labels.numpy()

  def _choose(self, step, size):
    """Indices `[size]` of a step's pictures, and their seeds `[size, 2]`."""
    epoch, place = divmod(step, len(self._train) // size)
    indices = self._order(epoch)[place * size : (place + 1) * size]
    rng = np.random.default_rng([self._seed, 2, step])
    return indices, rng.integers(0, 2**31, [size, 2])

  @functools.lru_cache(maxsize=2)  # noqa: B019 - one data set per process
  def _order(self, epoch):
    rng = np.random.default_rng([self._seed, 1, epoch])
    return rng.permutation(len(self._train))

  def _training_picture(self, record, seed):
    example = tf.io.parse_single_example(record, _FEATURES)
    picture = inception_crop.random_crop(
      example["image"], seed, self.image_shape[0], self._has_colour_distortion
    )
    return tf.ensure_shape(picture, self.image_shape), example["label"]

  def _test_picture(self, record, seed):
    del seed
    example = tf.io.parse_single_example(record, _FEATURES)
    picture = inception_crop.central_crop(example["image"], self.image_shape[0])
    return tf.ensure_shape(picture, self.image_shape), example["label"]

  def _stream(self, records, choose, decode, first, last, is_replaced):
    """Yields batches of pictures, uint8, and labels.

    Args:
      records: a split.
      choose: function of a step that returns indices and seeds.
      decode: function of (record, seed) that returns picture and label.
      first: first step.
      last: the step after the last one.
      is_replaced: whether another picture takes an unreadable one's place.
    """
    step = first
    while step < last:
      batches = iter(_pipeline(records, choose, decode, step, last))
      while step < last:
        try:
          batch = next(batches)
        except tf.errors.InvalidArgumentError:
          break
        yield batch
        step += 1
      # Some picture of this batch cannot be decoded. That is rare, so finding
      # it may be slow; it must not slow down the others.
      if step < last:
        batch = self._pick_readable(records, *choose(step), decode, is_replaced)
        if batch is not None:
          yield batch
        step += 1

  def _pick_readable(self, records, indices, seeds, decode, is_replaced):
    """Decodes a batch picture by picture; None if none is readable."""
    found = []
    for index, seed in zip(indices, seeds, strict=True):
      for shift in range(_MOST_IN_A_ROW if is_replaced else 1):
        candidate = (index + shift) % len(records)
        record = records.read(candidate)
        try:
          found.append(decode(tf.constant(record), tf.constant(seed)))
          break
        except tf.errors.InvalidArgumentError as error:
          self._skip(records.place(candidate), record, error.message)
      else:
        if is_replaced:
          raise ValueError(
            f"{_MOST_IN_A_ROW} pictures in a row cannot be decoded, the last "
            f"one at {records.place(candidate)}; prepare the data set again."
          )
    if not found:
      return None
    pictures, labels = zip(*found, strict=True)
    return tf.stack(pictures), tf.stack(labels)

  def _skip(self, place, record, reason):
    name = f"{_file_name(record)} ({place})"
    if name in self.skipped:
      return
    # Without TensorFlow's note on the place in its graph.
    self.skipped[name] = re.sub(r"{{.*}} | \[Op:.*", "", reason)
    logging.getLogger(__name__).warning(
      "%s cannot be decoded and is skipped: %s (%d so far)",
      name,
      self.skipped[name],
      len(self.skipped),
    )


def _pipeline(records, choose, decode, first, last):
  """A data set of batches, which are read and decoded ahead."""

  def read(step):
    indices, seeds = choose(int(step))
    found = np.array([records.read(index) for index in indices], object)
    return found, seeds.astype(np.int64)

  def load(step):
    found, seeds = tf.numpy_function(read, [step], [tf.string, tf.int64])
    return tf.ensure_shape(found, [None]), tf.ensure_shape(seeds, [None, 2])

  size = len(choose(first)[0])
  cores = len(os.sched_getaffinity(0))
  steps = tf.data.Dataset.range(first, last)
  encoded = steps.map(load, num_parallel_calls=2).unbatch()
  pictures = encoded.map(decode, num_parallel_calls=cores)
  return pictures.batch(size).prefetch(_NUM_BATCHES_AHEAD)


def _normalise(x):
  """From bytes to -1 to 1, as Inception's pictures are."""
  return tf.cast(x, tf.float32) / 127.5 - 1


def _file_name(record):
  try:
    example = tf.io.parse_single_example(record, _FEATURES)
  except tf.errors.InvalidArgumentError:
    return "a picture without a name"
  return example["file_name"].numpy().decode(errors="replace")


def _num_classes(builder):
  found = dict(builder.info.features).get("label")
  count = getattr(found, "num_classes", None)
  if not 0 < (count or 0) <= _MOST_CLASSES:
    raise ValueError(
      f"{builder.data_dir} has {count or 'no'} classes, but 1 to "
      f"{_MOST_CLASSES} are wanted; prepare it again."
    )
  return count


def _open_split(builder, split):
  if split not in builder.info.splits:
    raise ValueError(
      f"{builder.data_dir} has no {split} split, only "
      f"{', '.join(builder.info.splits) or 'none'}; prepare it again."
    )
  if builder.info.file_format.value != "tfrecord":
    raise ValueError(
      f"{builder.data_dir} is stored as {builder.info.file_format.value}, but "
      "only tfrecord is read here; prepare it again in that format."
    )
  info = builder.info.splits[split]
  try:
    return RecordFiles(info.filepaths, info.shard_lengths)
  except OSError as error:
    raise ValueError(
      f"{error.filename} of {builder.data_dir} cannot be read "
      f"({error.strerror}); prepare it again."
    ) from error
