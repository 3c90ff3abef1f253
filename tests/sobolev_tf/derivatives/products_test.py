"""Products with directions against whole derivatives."""

import numpy as np
import pytest
import tensorflow as tf

from sobolev_tf.derivatives.nested_tapes import derivatives
from sobolev_tf.derivatives.products import PRODUCTS

_RNG = np.random.default_rng(0)
_FIRST = tf.Variable(_RNG.normal(size=[3, 4]))
_SECOND = tf.constant(_RNG.normal(size=[4, 2]))
_X = tf.constant(_RNG.normal(size=[5, 3]))
_U = tf.constant(_RNG.normal(size=[5, 2, 3]))
_V = tf.constant(_RNG.normal(size=[5, 2, 2]))
_CASES = {
  "jvp": (2, (_U,), 1, "boi,bpi->bpo"),
  "vjp": (2, (_V,), 1, "boi,bpo->bpi"),
  "hvp": (1, (_U,), 2, "boij,bpj->bpi"),
  "vhvp": (2, (_V, _U), 2, "boij,bpo,bpj->bpi"),
}


def _network(outputs):
  return lambda z: tf.tanh(z @ _FIRST) @ _SECOND[:, :outputs]


@pytest.mark.parametrize("name", _CASES)
def test_values_and_parameter_gradients_are_those_of_contractions(name):
  outputs, directions, order, axes = _CASES[name]
  f, found = _network(outputs), []
  for product in (
    lambda: PRODUCTS[name](f, _X, *directions)[1],
    lambda: tf.einsum(axes, derivatives(f, _X, order)[-1], *directions),
  ):
    with tf.GradientTape() as tape:
      value = product()
    found.append((value, tape.gradient(value, _FIRST)))
  np.testing.assert_allclose(PRODUCTS[name](f, _X, *directions)[0], f(_X))
  for a, b in zip(*found, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)
