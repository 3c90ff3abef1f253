"""Segments and estimators may be Sonnet modules or Keras layers."""

import typing

import keras
import tensorflow as tf


def call(
  segment: typing.Callable, x: tf.Tensor, is_training: bool
) -> tf.Tensor:
  """A segment's output at x: Keras takes `training` by name only."""
  if isinstance(segment, keras.layers.Layer):
    return segment(x, training=is_training)
  return segment(x, is_training)


def trainable_variables(part: typing.Any) -> list:
  """What is trained in a Keras layer, or in a module that may hold layers."""
  return [v for v in variables(part) if v.trainable]


def variables(part: typing.Any) -> list:
  """All variables of a Keras layer, or of a module that may hold layers."""
  if _is_layer(part):
    return list(part.variables)
  if not isinstance(part, tf.Module):
    return []  # a function
  # Sonnet's own property raises where there is no variable.
  own = tf.Module.variables.fget(part)
  return [*own, *(v for layer in keras_layers(part) for v in layer.variables)]


def keras_layers(part: typing.Any) -> list:
  """The outermost Keras layers of a part, itself included."""
  if _is_layer(part) or not isinstance(part, tf.Module):
    return [part] if _is_layer(part) else []
  return list(part._flatten(predicate=_is_layer))


def _is_layer(part):
  return isinstance(part, keras.layers.Layer)
