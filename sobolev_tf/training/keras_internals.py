"""The private names of Keras that this package needs, all of them.

Keras promises nothing about them. Each has a test that fails where a new
version renames it, and pyproject.toml bounds Keras by what was run.
"""

import contextlib
from collections.abc import Iterator

import keras
from keras.src.backend.common import global_state
from keras.src.trainers.compile_utils import MetricsList


def flatten_layers(layer: keras.layers.Layer) -> list:
  """The layer itself and all layers inside it, at any depth."""
  return list(layer._flatten_layers())


@contextlib.contextmanager
def taking_new_layers(model: keras.layers.Layer) -> Iterator[None]:
  """Lets a model that is built already take a layer as an attribute."""
  tracker = model._tracker
  was_locked, message = tracker.locked, tracker._lock_violation_msg
  tracker.unlock()
  try:
    yield
  finally:
    if was_locked:
      tracker.lock(message)


def loss_tracker(model: keras.Model) -> keras.metrics.Metric:
  """The metric called "loss" of a compiled model."""
  return model._loss_tracker


def compiled_metrics(model: keras.Model) -> keras.metrics.Metric | None:
  """What `compile(metrics=..., weighted_metrics=...)` made, or None."""
  return model._compile_metrics


def has_schedule(optimizer: keras.optimizers.Optimizer) -> bool:
  """Whether the learning rate is a schedule and not a number."""
  return isinstance(
    optimizer._learning_rate, keras.optimizers.schedules.LearningRateSchedule
  )


def begin_at_no_epoch(model: keras.Model) -> None:
  """Forgets at which epoch an earlier training was taken up again."""
  model._initial_epoch = None


def first_epoch(model: keras.Model) -> int:
  """The epoch that `BackupAndRestore` wants training to go on at, or 0."""
  return model._initial_epoch or 0


def is_saving_as_hdf5() -> bool:
  """Whether Keras is writing a whole model into its old format."""
  return bool(global_state.get_global_attribute("use_legacy_config"))


def with_direction(metric: keras.metrics.Metric) -> keras.metrics.Metric:
  """Wraps a metric so that callbacks see whether less is better.

  `EarlyStopping("val_d1_mse")` and its like look for the direction inside of
  Keras' own lists of metrics alone.
  """
  return _Directed([metric], name=metric.name)


class _Directed(MetricsList):
  """One metric, found and reported as those that `compile` is given are."""

  def result(self):
    """`{name: result}`."""
    return self.get_result()
