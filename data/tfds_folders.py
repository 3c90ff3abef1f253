"""TFDS' data sets on disk, opened without importing what their files name.

A data set's features.json names the Python classes that decode it, and TFDS
imports the module of each: a folder from a stranger could run code. Here the
names are compared with a list first, so every data set is opened by `open_tfds`
and nothing else.
"""

import json
import os
import pathlib

import tensorflow_datasets as tfds
from google.protobuf import json_format
from tensorflow_datasets.core.proto import feature_pb2

# What the data sets of this repository, CIFAR-10 and ImageNet are made of.
_FEATURES = {
  f"tensorflow_datasets.core.features.{name}"
  for name in (
    "class_label_feature.ClassLabel",
    "dataset_feature.Dataset",
    "features_dict.FeaturesDict",
    "image_feature.Image",
    "scalar.Scalar",
    "tensor_feature.Tensor",
    "text_feature.Text",
  )
}
# Descriptions of features that hold no other features.
_PLAIN = ("class_label", "image", "tensor", "text")
_MOST_BYTES = 10_000_000  # of a description; real ones have some thousand


def find_tfds(data_dir, name, version):
  """Folder of a data set among TFDS' others.

  Args:
    data_dir: folder of TFDS' data sets; None or empty means TFDS' own default.
    name: of the data set.
    version: of the data set.
  """
  root = pathlib.Path(data_dir or tfds.core.constants.DATA_DIR).expanduser()
  return root / name / version


def is_prepared(folder):
  """Whether TFDS has finished a data set there."""
  return (pathlib.Path(folder) / "dataset_info.json").is_file()


def open_tfds(folder, remedy):
  """Opens a data set that TFDS wrote.

  Args:
    folder: the one with features.json and dataset_info.json.
    remedy: what to do if it cannot be opened, the end of a sentence.

  Returns:
    TFDS' builder.

  Raises:
    ValueError: its description is missing, damaged, or names a class that is
      not on the list, or its examples are in something else than files.
  """
  for name in ("dataset_info.json", "features.json"):
    path = os.path.join(folder, name)
    try:
      description = read_object(path)
    except (OSError, ValueError) as error:
      raise ValueError(
        f"{path} cannot be read ({first_line(error)}); {remedy}."
      ) from error
    if name == "features.json":
      _check_features(path, description, remedy)
  try:
    builder = tfds.builder_from_directory(folder)
    counts = [
      count
      for split in builder.info.splits.values()
      for count in split.shard_lengths
    ]
    paths = [
      path for split in builder.info.splits.values() for path in split.filepaths
    ]
  # Whatever TFDS raises on a file that somebody else wrote.
  except Exception as error:
    raise ValueError(
      f"{folder} is not a data set that TFDS can open ({first_line(error)}); "
      f"{remedy}."
    ) from error
  if any(count < 0 for count in counts):
    raise ValueError(
      f"{folder} claims to have {min(counts)} examples; {remedy}."
    )
  for path in paths:  # TensorFlow would wait at a pipe for ever
    if os.path.exists(path) and not os.path.isfile(path):
      raise ValueError(f"{path} is no regular file; {remedy}.")
  return builder


def first_line(error):
  """The message of an error, short enough for a sentence."""
  return (str(error).strip() or type(error).__name__).splitlines()[0][:120]


def read_object(path):
  """Reads a small JSON object.

  Raises:
    ValueError: it is too large, no JSON, or no object.
    OSError: it cannot be read.
  """
  size = os.path.getsize(path)
  if size > _MOST_BYTES:
    raise ValueError(f"it has {size:,} bytes")
  if not os.path.isfile(path):  # a pipe's reader would wait
    raise ValueError("it is no regular file")
  try:
    with open(path, encoding="utf-8") as file:
      found = json.load(file)
  except RecursionError as error:
    raise ValueError("it is nested too deeply") from error
  if not isinstance(found, dict):
    raise ValueError("it holds no object")
  return found


def _check_features(path, description, remedy):
  """Refuses every class but those of the list."""
  try:
    # As TFDS reads it, so that both see the same names.
    feature = json_format.ParseDict(description, feature_pb2.Feature())
  except (json_format.ParseError, RecursionError) as error:
    raise ValueError(
      f"{path} does not describe features ({first_line(error)}); {remedy}."
    ) from error
  if feature.WhichOneof("content") != "features_dict":
    raise ValueError(f"{path} holds no dictionary of features; {remedy}.")
  for name in _class_names(feature):
    if name not in _FEATURES:
      raise ValueError(
        f"{path} names the class {name[:100]!r}, which is not imported from a "
        f"data set; {remedy}."
      )


def _class_names(feature):
  """Yields the class of a feature and of all within it."""
  yield feature.python_class_name
  content = feature.WhichOneof("content")
  if content == "features_dict":
    for inner in feature.features_dict.features.values():
      yield from _class_names(inner)
  elif content == "sequence":
    yield from _class_names(feature.sequence.feature)
  elif content not in _PLAIN:  # such as JSON, in which further names can stand
    yield f"{feature.python_class_name} of {content}"
