"""The closed forms of the small network, against finite differences."""

import numpy as np
import pytest

from sobolev_tf.surrogate.tanh_network import TanhNetwork

_STEP = 1e-5


@pytest.fixture
def case():
  network = TanhNetwork(2, 4, 2)
  position = network.initial(np.random.default_rng(0))
  return network, position, np.random.default_rng(1).normal(size=[3, 2])


def _difference(function, at, index):
  step = np.zeros_like(at)
  step[..., index] = _STEP
  return (function(at + step) - function(at - step)) / (2 * _STEP)


@pytest.mark.parametrize("order", [1, 2])
def test_derivatives_are_those_of_the_order_below(case, order):
  network, position, x = case
  terms = network.evaluate(position, x, order)
  assert terms[order].shape == (3, 2) + (2,) * order

  def below(points):
    return network.evaluate(position, points, order - 1)[order - 1]

  numeric = np.stack([_difference(below, x, i) for i in range(2)], axis=-1)
  np.testing.assert_allclose(terms[order], numeric, atol=1e-8)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_jacobian_is_how_every_component_depends_on_every_parameter(
  case, order
):
  network, position, x = case
  outputs, jacobian = network.jacobian(position, x, order)

  def components(parameters):
    terms = network.evaluate(parameters, x, order)
    return np.concatenate([term.reshape(3, -1) for term in terms], axis=1)

  np.testing.assert_array_equal(
    np.concatenate([term.reshape(3, -1) for term in outputs], axis=1),
    components(position),
  )
  numeric = [_difference(components, position, i) for i in range(network.count)]
  np.testing.assert_allclose(jacobian, np.stack(numeric, axis=-1), atol=1e-8)
