"""What an experiment shows to a parameter-server run that trains its model."""

import typing

import tensorflow as tf

from trainers.lifecycle.command_line import setting
from trainers.lifecycle.settings import count


class Share(typing.NamedTuple):
  """What a worker computes on a share of a batch.

  Attributes:
    gradients: of `main_variables`.
    writes: operations of updates that the worker makes by itself.
    loss: scalar.
    measures: dict of scalars, some of `measure_names`.
  """

  gradients: list
  writes: list
  loss: tf.Tensor
  measures: dict


class Served(typing.Protocol):
  """A model with its data: its variables on servers, a copy on the chief.

  Workers draw and compute, servers hold and apply, the chief tests and saves.

  Attributes:
    config_class: the settings, with `num_replicas` and `main_updates`.
    presets: dict from a name to settings.
    share_dtypes: of the arrays that `draw` returns.
    measure_names: what a `Share` may measure; known once it is built.
    local: the chief's copy, with all its `variables`.
  """

  config_class: type
  presets: dict
  share_dtypes: tuple
  measure_names: typing.Sequence[str]
  local: typing.Any

  def __init__(self, config):
    """Opens the data and makes no variable.

    Raises:
      CommandError: the data are missing, or settings or network do not fit.
    """

  @staticmethod
  def columns(config):
    """Names of the numbers in metrics.csv."""

  @staticmethod
  def describe(config, result):
    """A finished run in a line."""

  def draw(self, index):
    """The arrays of a share, a function of its index and the seed.

    Raises:
      CommandError: there are too few data for a share.
    """

  @property
  def share_specs(self):
    """`tf.TensorSpec`s of these arrays."""

  def build_local(self):
    """Makes the chief's copy; called where no strategy is in scope."""

  def build_served(self):
    """Makes the variables on the servers; called in the strategy's scope."""

  @property
  def main_variables(self):
    """Variables on the servers whose gradients make a round."""

  @property
  def variables(self):
    """All variables that a worker reads."""

  def work(self, x, y, index, measure):
    """What a worker computes on a share's arrays: a `Share`.

    Args:
      x: the first array.
      y: the second one.
      index: of the share, a scalar tensor.
      measure: whether to measure all that can be measured.
    """

  def apply_main(self, gradients, rate):
    """Updates `main_variables` on the servers; returns an operation."""

  def rate(self, step):
    """Learning rate of `apply_main` at a step."""

  def pairs(self):
    """The same variables (on the chief, on the servers)."""

  def trackables(self, step):
    """What a checkpoint holds of the chief's copy, which is at `step`."""

  def test(self, step):
    """Tests the chief's copy, which is at `step`.

    Returns:
      (result, row): dicts of the final numbers, if the run ended here, and of
      these and further ones for metrics.csv.
    """

  def conclude(self, this_run, result):
    """Writes what a finished run leaves besides; returns its final numbers."""


def specs(size, shapes, dtypes):
  """`share_specs` of `size` examples, from the shapes of one."""
  return [
    tf.TensorSpec([size, *shape], dtype)
    for shape, dtype in zip(shapes, dtypes, strict=True)
  ]


def num_replicas_setting(default, source):
  """The field `num_replicas` of an experiment's settings on a cluster."""
  return count(
    default,
    "shares that each batch is cut into; any worker takes any share",
    source,
  )


def main_updates_setting():
  """The field `main_updates` of an experiment's settings on a cluster."""
  return setting(
    "sync",
    "sync: the mean of a round's gradients is applied; async: every share's at "
    "once",
    "SM §4 names both",
    choices=("sync", "async"),
  )
