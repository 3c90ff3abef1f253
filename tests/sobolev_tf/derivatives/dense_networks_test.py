"""The short way back through piecewise linear dense networks."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from sobolev_tf.derivatives.dense_networks import dense_network_of
from sobolev_tf.derivatives.nested_tapes import derivatives
from sobolev_tf.training.losses import sobolev_loss

_DENSE = keras.layers.Dense


def _network(*activations, outputs=1, inputs=3):
  layers = [
    _DENSE(7, activation, bias_initializer=keras.initializers.RandomNormal(1))
    for activation in activations
  ]
  return keras.Sequential(
    [keras.Input([inputs]), *layers, _DENSE(outputs)], name="dense"
  )


@pytest.mark.parametrize(
  "activations",
  [("relu", "relu"), ("leaky_relu", "leaky_relu"), ("relu",), (), (None,)],
)
def test_values_gradients_and_their_training_gradients_are_those_of_tapes(
  float64, activations
):
  network = _network(*activations)
  short = dense_network_of(network)
  x, y, dy = (
    tf.random.stateless_normal([11, *shape], [len(shape), 6], dtype=tf.float64)
    for shape in ([3], [1], [1, 3])
  )
  variables = [v.value for v in network.trainable_variables]

  def gradients_of(predict):
    with tf.GradientTape() as tape:
      tape.watch(x)
      predicted = predict(x)
      losses = sobolev_loss(predicted, (y, dy), (1.0, 0.37)).loss
      loss = tf.reduce_sum(losses * tf.range(1, 12, dtype=x.dtype))
    return [
      *predicted,
      *tape.gradient(loss, [x, *variables], unconnected_gradients="zero"),
    ]

  for a, b in zip(
    gradients_of(lambda z: short.derivatives(z, 1)),
    gradients_of(lambda z: derivatives(network, z, 1)),
    strict=True,
  ):
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
  for a, b in zip(
    short.derivatives(x, 2), derivatives(network, x, 2), strict=True
  ):
    np.testing.assert_array_equal(a, b)


def _two_kinds():
  return _network("relu", "leaky_relu")


def _smooth():
  return _network("tanh")


def _two_outputs():
  return _network("relu", outputs=2)


def _with_dropout():
  return keras.Sequential(
    [keras.Input([3]), _DENSE(4, "relu"), keras.layers.Dropout(0.1), _DENSE(1)]
  )


def _with_activity_loss():
  return keras.Sequential(
    [keras.Input([3]), _DENSE(4, "relu", activity_regularizer="l2"), _DENSE(1)]
  )


def _rows_of_rows():
  return keras.Sequential([keras.Input([2, 3]), _DENSE(4, "relu"), _DENSE(1)])


@pytest.mark.parametrize(
  "make",
  [
    _two_kinds,
    _smooth,
    _two_outputs,
    _with_dropout,
    _with_activity_loss,
    _rows_of_rows,
    object,
  ],
)
def test_other_networks_are_left_to_nested_tapes(make):
  assert dense_network_of(make()) is None
