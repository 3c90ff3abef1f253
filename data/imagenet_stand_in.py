"""A stand-in for ImageNet's files: synthetic pictures in the same form on disk.

    python -m data.imagenet_stand_in --output=DIR

For smoke runs and the benchmark of the input pipeline. The pictures have
ImageNet's usual size, 500x375, and take nearly as many bytes (90 KB); there is
nothing in them to learn.
"""

import argparse
import io
import pathlib
import sys

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from data.imagenet import NAME, VERSION

_SHAPE = (375, 500)
_NUM_CLASSES = 1000
_QUALITY = 95
_GRAIN = 8.0  # deviation of the noise that gives the files their size


def draw_jpeg(seed, shape=_SHAPE):
  """A synthetic picture as a JPEG file: coloured clouds under grain.

  Args:
    seed: whole number.
    shape: height and width.

  Returns:
    bytes.
  """
  rng = np.random.default_rng(seed)
  coarse = tf.constant(rng.uniform(0, 255, [1, 6, 8, 3]), tf.float32)
  clouds = tf.image.resize(coarse, shape, "bicubic")[0]
  picture = clouds + rng.normal(0, _GRAIN, [*shape, 3])
  picture = tf.cast(tf.clip_by_value(picture, 0, 255), tf.uint8)
  return tf.io.encode_jpeg(picture, quality=_QUALITY).numpy()


def write_stand_in(data_dir, num_train=64, num_validation=16, files=None):
  """Writes the data set, so that TFDS reads it as ImageNet.

  Args:
    data_dir: folder of TFDS' data sets.
    num_train: pictures to train on.
    num_validation: pictures to test on.
    files: dict from a split to a list of (name, bytes) of further pictures.

  Raises:
    ValueError: there is such a data set already.
  """
  folder = pathlib.Path(data_dir) / NAME / VERSION
  if folder.exists():
    raise ValueError(
      f"{folder} exists already; use it, or give another --output."
    )
  splits = {}
  for split, count in ("train", num_train), ("validation", num_validation):
    rows = [
      (f"{split}_{index}.JPEG", draw_jpeg(index + (split == "train") * 10**6))
      for index in range(count)
    ]
    rows += (files or {}).get(split, [])
    splits[split] = [
      (
        name,
        {
          "file_name": name,
          "image": io.BytesIO(encoded),
          "label": index % _NUM_CLASSES,
        },
      )
      for index, (name, encoded) in enumerate(rows)
    ]
  tfds.dataset_builders.store_as_tfds_dataset(
    name=NAME,
    version=VERSION,
    features=tfds.features.FeaturesDict(
      {
        "image": tfds.features.Image(encoding_format="jpeg"),
        "label": tfds.features.ClassLabel(num_classes=_NUM_CLASSES),
        "file_name": tfds.features.Text(),
      }
    ),
    split_datasets=splits,
    data_dir=data_dir,
    description="Synthetic pictures in the form of ImageNet.",
  )


def main(arguments=None):
  """Writes the data set that the command line describes."""
  parser = argparse.ArgumentParser(
    prog="python -m data.imagenet_stand_in",
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument("--output", required=True, help="folder of data sets")
  parser.add_argument("--num_train", type=int, default=64)
  parser.add_argument("--num_validation", type=int, default=16)
  given = parser.parse_args(arguments)
  try:
    write_stand_in(given.output, given.num_train, given.num_validation)
  except ValueError as error:
    print(f"error: {error}", file=sys.stderr)
    return 2
  return 0


if __name__ == "__main__":
  sys.exit(main())
