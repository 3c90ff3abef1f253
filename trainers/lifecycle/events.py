"""What a run shows in TensorBoard: curves, pictures, a page, its settings.

The names here are for reading; metrics.csv has the columns' own. TensorBoard
calls a run by its folder, which a sweep names by the settings that it varies,
so "color runs by regex" can give each method one colour.
"""

import dataclasses
import os
import shutil

import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

# Settings that always tell runs apart; others do where a sweep varies them.
_TELLING = (
  "game",
  "function",
  "dataset",
  "num_train",
  "percentage",
  "num_modules",
  "method",
  "seed",
)
# The last numbers, for the page of settings; sorted after the curves.
_AT_THE_END = "test_at_the_end"
_GROUPS = ("test", "train", "validation")
_OF_GRADIENTS = ("gradient", "cosine", "relative_error", "asymmetry")


def telling_settings(config, folder=""):
  """dict of the settings that tell a run from others of its kind.

  Args:
    config: a dataclass. Lists, such as the seeds of networks that are trained
      side by side, are left out.
    folder: path of the run. A sweep makes a level of it for each setting that
      it varies, named by the value.
  """
  found, levels = {}, set(os.path.normpath(folder).split(os.sep))
  levels -= {str(getattr(config, name, None)) for name in _TELLING}
  for field in dataclasses.fields(config):
    value = getattr(config, field.name)
    varies = field.metadata.get("sweep") and str(value) in levels
    if not isinstance(value, tuple) and (field.name in _TELLING or varies):
      found[field.name] = value
  order = {name: place for place, name in enumerate(_TELLING)}
  # The seed comes last.
  return dict(
    sorted(
      found.items(),
      key=lambda item: (item[0] == "seed", order.get(item[0], len(order))),
    )
  )


def name_of(config, folder=""):
  """A run's name: a text speaks for itself, a number has its setting's name."""
  parts = []
  for name, value in telling_settings(config, folder).items():
    text = f"{value:g}" if isinstance(value, float) else str(value)
    parts.append(text if isinstance(value, str) else f"{name}_{text}")
  return "-".join(parts) or "run"


def tag_of(column):
  """The tag of a column of metrics.csv: `test_error` is `test/error`."""
  group, _, rest = column.partition("_")
  if group in _GROUPS and rest:
    return f"{group}/{rest}"
  if column == "loss":
    return "train/loss"
  if any(word in column for word in _OF_GRADIENTS):
    return f"gradients/{column}"
  return f"progress/{column}"


class Events:
  """Writes the event files of a run below a folder."""

  def __init__(self, folder, config):
    self._folder, self._config = folder, config
    self._writers = {}

  def clear(self):
    """Removes what an interrupted process left; it is written again."""
    shutil.rmtree(self._folder, ignore_errors=True)

  def scalars(self, step, values, series=""):
    """Adds a point to curves.

    Args:
      step: training step.
      values: dict from a column of metrics.csv to a number.
      series: which of several curves side by side, such as "seed_3".
    """
    with self._writer(series).as_default():
      for column, value in values.items():
        tf.summary.scalar(tag_of(column), value, step=step)

  def image(self, name, image, step):
    """Shows an image `[H, W, 3]`, uint8."""
    with self._writer().as_default():
      tf.summary.image(name, image[tf.newaxis], step=step)

  def histogram(self, name, counts, step):
    """Shows how often each of 0, 1, 2, ... occurred; `counts` is `[N]`."""
    values = np.repeat(np.arange(len(counts)), counts)
    with self._writer().as_default():
      tf.summary.histogram(tag_of(name), values, step=step)

  def page(self, command):
    """Shows what the run is, its command and all its settings as a text."""
    lines = [
      f"**{name_of(self._config, self._folder)}**",
      "",
      f"    {command}",
      "",
      "| setting | value | default | meaning |",
      "|---|---|---|---|",
    ]
    for field in dataclasses.fields(self._config):
      value = getattr(self._config, field.name)
      meaning = field.metadata.get("description", "")
      usual = "" if value == field.default else str(field.default)
      lines.append(f"| {field.name} | {value} | {usual} | {meaning} |")
    with self._writer().as_default():
      tf.summary.text("run", "\n".join(lines), step=0)

  def result(self, result):
    """Shows the final numbers beside the settings that were varied.

    Args:
      result: dict of numbers, or lists of them, which are averaged.
    """
    with self._writer().as_default():
      settings = telling_settings(self._config, self._folder)
      if settings:
        hparams.hparams(settings)
      for name, value in result.items():
        tag = f"{_AT_THE_END}/{name.removeprefix('test_')}"
        tf.summary.scalar(tag, np.mean(value), step=0)
    for writer in self._writers.values():
      writer.flush()

  def close(self):
    """Closes the files."""
    for writer in self._writers.values():
      writer.close()

  def _writer(self, series=""):
    if series not in self._writers:
      folder = os.path.join(self._folder, series)
      self._writers[series] = tf.summary.create_file_writer(folder)
    return self._writers[series]
