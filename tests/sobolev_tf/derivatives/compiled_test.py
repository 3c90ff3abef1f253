"""Functions that every object makes anew."""

import logging

import tensorflow as tf

from sobolev_tf.derivatives.compiled import compiled


class Owner:
  def __init__(self, wrap):
    self.double = wrap(self._double, reduce_retracing=True)

  def _double(self, x):
    return 2 * x


def test_the_functions_of_many_objects_are_counted_each_alone(caplog):
  logger = tf.get_logger()
  logger.addHandler(caplog.handler)
  try:
    with caplog.at_level(logging.WARNING, logger="tensorflow"):
      for _ in range(8):
        assert int(Owner(compiled).double(tf.constant(3))) == 6
      assert "retracing" not in caplog.text
      for _ in range(8):  # as TensorFlow's own would be
        Owner(tf.function).double(tf.constant(3))
      assert "retracing" in caplog.text
  finally:
    logger.removeHandler(caplog.handler)
