"""What a network can never learn is said before it is trained."""

import warnings

import keras
import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

from sobolev_tf.training.network_checks import (
  refuse_coupled_examples,
  refuse_vanishing_derivatives,
)

_Z = tf.constant(np.random.default_rng(0).normal(size=[6, 2]), tf.float32)
_DENSE = keras.layers.Dense


class Normalised(snt.Module):
  """Normalises by the batch's statistics, or by its moving ones."""

  def __init__(self, is_training):
    super().__init__()
    self.norm = snt.BatchNorm(True, True)
    self.mlp = snt.nets.MLP([4, 1], activation=tf.tanh)
    self._is_training = is_training

  def __call__(self, z):
    return self.mlp(self.norm(z, is_training=self._is_training))


def test_batch_statistics_are_refused_and_left_as_they_were():
  network = Normalised(is_training=True)
  network(_Z)
  variables = list(network.variables)
  before = [v.numpy() for v in variables]
  with pytest.raises(ValueError, match="mixes the examples"):
    refuse_coupled_examples(network, _Z, variables)
  for variable, value in zip(variables, before, strict=True):
    np.testing.assert_array_equal(variable.numpy(), value)


@pytest.mark.parametrize(
  "f",
  [
    Normalised(is_training=False),
    lambda z: tf.sin(z) * 1e8,
    lambda z: z * 0,
    lambda z: tf.nn.dropout(tf.sin(z), 0.5),
    lambda z: tf.reduce_sum(z, axis=1),
    keras.Sequential([_DENSE(3, "tanh"), keras.layers.LayerNormalization()]),
  ],
)
def test_examples_that_do_not_touch_each_other_pass(f):
  f(_Z)
  refuse_coupled_examples(f, _Z, [])


@pytest.mark.parametrize(
  "f",
  [
    lambda z: z - tf.reduce_mean(z),
    lambda z: tf.cumsum(z, reverse=True),
    lambda z: tf.nn.softmax(z @ tf.transpose(z)) @ z,
  ],
)
def test_any_other_coupling_is_refused(f):
  with pytest.raises(ValueError, match="no derivative of its own"):
    refuse_coupled_examples(f, _Z, [])


def _look(network, order, z=_Z):
  network(z)
  variables = [tf.identity(v) for v in network.trainable_variables]
  try:
    refuse_vanishing_derivatives(
      network, z, network.trainable_variables, order, network
    )
  finally:
    after = network.trainable_variables
    for variable, value in zip(after, variables, strict=True):
      np.testing.assert_array_equal(variable.numpy(), value.numpy())


def _net(activation, *more):
  return keras.Sequential([_DENSE(5, activation, name="first"), *more])


@pytest.mark.parametrize(
  "network, named",
  [
    (lambda: _net("relu", _DENSE(1)), r"'first' \(relu\)"),
    (lambda: _net("leaky_relu", _DENSE(1)), r"'first' \(leaky_relu\)"),
    (lambda: _net("hard_sigmoid", _DENSE(1)), r"'first' \(hard_sigmoid\)"),
    (
      lambda: _net(None, keras.layers.LeakyReLU(name="leak"), _DENSE(1)),
      r"'leak' \(.*\)",
    ),
    (
      lambda: _net(
        None,
        keras.layers.Reshape([5, 1]),
        keras.layers.MaxPooling1D(name="pool"),
        keras.layers.Flatten(),
        _DENSE(1),
      ),
      r"'pool' \(MaxPooling1D\)",
    ),
    (lambda: _net(None, _DENSE(1)), "cannot be learnt; use tanh"),
    (lambda: snt.nets.MLP([5, 1]), "linear in pieces"),
  ],
)
def test_second_derivatives_of_piecewise_linear_networks_are_refused(
  network, named
):
  with pytest.raises(ValueError, match=rf"order 2 .*{named}"):
    _look(network(), order=2)


@pytest.mark.parametrize(
  "network",
  [
    lambda: _net("tanh", _DENSE(1)),
    lambda: _net("gelu", _DENSE(1)),
    lambda: _net("softplus", _DENSE(1)),
    lambda: _net("elu", _DENSE(1)),
    lambda: _net(tf.sin, _DENSE(1)),
    lambda: _net("relu", _DENSE(5, "tanh"), _DENSE(1)),
    lambda: _net("relu", keras.layers.Lambda(tf.square), _DENSE(1)),
    lambda: _net("tanh", _DENSE(1, kernel_initializer="zeros")),
    lambda: snt.nets.MLP([5, 1], activation=tf.tanh),
  ],
)
def test_networks_with_second_derivatives_pass(network):
  with warnings.catch_warnings():
    warnings.simplefilter("error")
    _look(network(), order=2)


def test_an_order_beyond_a_polynomial_is_refused():
  network = _net(None, keras.layers.Lambda(tf.square), _DENSE(1))
  _look(network, order=2)
  with pytest.raises(ValueError, match="order 3"):
    _look(network, order=3)


def test_first_derivatives_that_vanish_at_the_data_are_told():
  with pytest.warns(UserWarning, match="exactly zero at the data"):
    _look(_net("tanh", _DENSE(1)), order=1, z=1e5 * (1 + _Z**2))
