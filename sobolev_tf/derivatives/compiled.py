"""`tf.function` of functions that every object makes anew."""

import functools
import typing

import tensorflow as tf


def compiled(f: typing.Callable, **kwargs) -> typing.Callable:
  """As `tf.function`, without a warning where many objects have one each.

  TensorFlow counts tracings by the source of a function, whichever object's
  it is, and tells the owner of several models that tracing is expensive. A
  partial has no source, so that each object's function is counted alone.

  AutoGraph is off, as in Keras' own steps: turning all that f calls into graphs
  by their source takes seconds.

  Args:
    f: callable.
    **kwargs: of `tf.function`.
  """
  return tf.function(functools.partial(f), autograph=False, **kwargs)
