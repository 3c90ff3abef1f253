"""Second derivatives through normalisation against a hand-written one."""

import keras
import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

from sobolev_tf.derivatives import derivatives, projected_derivatives
from sobolev_tf.derivatives.products import PRODUCTS
from sobolev_tf.synthetic_gradients import LossCritic

_RNG = np.random.default_rng(0)
_X = tf.constant(_RNG.normal(size=[3, 4]))
_KERNEL = tf.Variable(_RNG.normal(size=[4, 6]))
_LAST = tf.constant(_RNG.normal(size=[6, 2]))
_GROUPS = 2


def _by_hand(groups, epsilon):
  def normalise(h):
    h = tf.reshape(h, [-1, groups, 6 // groups])
    away = h - tf.reduce_mean(h, axis=-1, keepdims=True)
    variance = tf.reduce_mean(away**2, axis=-1, keepdims=True)
    return tf.reshape(away / tf.sqrt(variance + epsilon), [-1, 6])

  return normalise


def _moments(h):
  mean, variance = tf.nn.moments(h, axes=[1], keepdims=True)
  return (h - mean) / tf.sqrt(variance + 1e-3)


_NORMALISATIONS = {
  "keras.LayerNormalization": (
    1,
    lambda: keras.layers.LayerNormalization(dtype="float64"),
  ),
  "keras.GroupNormalization": (
    _GROUPS,
    lambda: keras.layers.GroupNormalization(_GROUPS, dtype="float64"),
  ),
  "in a tf.function": (1, lambda: tf.function(_moments)),
}


def _network(normalise):
  return lambda z: tf.tanh(normalise(z @ _KERNEL)) @ _LAST


def _twice(f):
  """Hessians, and what training on first derivatives follows."""
  with tf.GradientTape() as tape:
    first = derivatives(f, _X, 1)[1]
  return derivatives(f, _X, 2, "reverse")[2], tape.gradient(first, _KERNEL)


def _close(found, wanted):
  for a, b in zip(found, wanted, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)


@pytest.fixture(scope="module")
def wanted():
  return {n: _twice(_network(_by_hand(n, 1e-3))) for n in (1, _GROUPS)}


@pytest.mark.parametrize("name", _NORMALISATIONS)
def test_what_is_differentiated_twice_is_right_in_a_graph(name, wanted):
  groups, make = _NORMALISATIONS[name]
  f = _network(make())
  _close(tf.function(lambda: _twice(f), autograph=False)(), wanted[groups])


def test_it_is_right_eagerly_and_wrong_by_plain_tapes(wanted):
  f = _network(_moments)
  _close(_twice(f), wanted[1])
  with tf.GradientTape() as outer:
    outer.watch(_X)
    with tf.GradientTape() as inner:
      inner.watch(_X)
      value = f(_X)
    first = inner.gradient(value, _X)
  plain = outer.gradient(first, _X)
  right = tf.reduce_sum(wanted[1][0], axis=[1, 2])
  assert np.abs(plain - right).max() > 1e-3


def test_products_and_projections_are_mended(wanted):
  hessian, _ = wanted[1]
  f, u = _network(_moments), tf.ones_like(_X)
  v = tf.ones([3, 2], _X.dtype)
  exact = tf.einsum("boij,bo,bj->bi", hessian, v, u)
  vhvp = PRODUCTS["vhvp"](f, _X, v[:, tf.newaxis], u[:, tf.newaxis])[1]
  _close([vhvp[:, 0], projected_derivatives(f, _X, (v, u))[2]], [exact] * 2)
  gradients = []
  for normalise in (_moments, _by_hand(1, 1e-3)):
    g = _network(normalise)
    with tf.GradientTape() as tape:
      row = PRODUCTS["vjp"](g, _X, v[:, tf.newaxis])[1]
    gradients.append(tape.gradient(row, _KERNEL))
  _close(gradients[:1], gradients[1:])


def test_sonnet_s_normalisation_is_mended():
  exact = derivatives(_network(_by_hand(1, 1e-5)), _X, 2, "reverse")[2]
  layer = snt.LayerNorm(-1, False, False)
  found = derivatives(_network(layer), _X, 2, "reverse")[2]
  np.testing.assert_allclose(found, exact, atol=1e-8)


@pytest.mark.parametrize("eager", [True, False])
def test_a_loss_critic_learns_the_right_gradient(eager):
  y = tf.constant(np.eye(2)[[0, 1, 0]])

  def gradient(normalise):
    critic = LossCritic(_network(normalise))
    with tf.GradientTape() as tape:
      estimate = critic(_X, y)
      loss = tf.reduce_sum(estimate.gradient**2)
    return tape.gradient(loss, _KERNEL)

  exact = gradient(_by_hand(1, 1e-3))
  if not eager:
    gradient = tf.function(gradient, autograph=False)
  np.testing.assert_allclose(gradient(_moments), exact, atol=1e-10)


def test_python_control_flow_around_normalisation_is_refused_in_one_sentence():
  class Network(snt.Module):
    def __init__(self):
      super().__init__()
      self.layer = snt.LayerNorm(-1, False, False)

    def __call__(self, z):
      return self.layer(z @ _KERNEL if tf.reduce_sum(z) > -1e9 else z)

  with pytest.raises(ValueError, match=r"give tf\.function\(f\)\.$"):
    derivatives(Network(), _X, 2, "reverse")


def test_a_stopped_gradient_of_the_users_own_stays():
  def f(z):
    return tf.stop_gradient(tf.reduce_mean(z, axis=1, keepdims=True)) * z**2

  hessian = derivatives(f, _X, 2, "reverse")[2]
  mean = tf.reduce_mean(_X, axis=1)
  np.testing.assert_allclose(hessian[:, 1, 1, 1], 2 * mean, rtol=1e-12)
  np.testing.assert_allclose(hessian[:, 1, 1, 2], 0, atol=1e-14)
