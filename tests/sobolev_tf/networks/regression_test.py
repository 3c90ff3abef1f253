"""The regression network: an ordinary perceptron, several at a time."""

import numpy as np
import pytest
import tensorflow as tf

from sobolev_tf.derivatives.nested_tapes import derivatives
from sobolev_tf.networks.regression import RegressionMLP
from sobolev_tf.training.losses import sobolev_loss


def _points(count, inputs=2, dtype=np.float64):
  rng = np.random.default_rng(0)
  return rng.normal(size=[count, inputs]).astype(dtype)


def test_forward_pass_matches_an_independent_computation():
  network = RegressionMLP(2, (3,), (5, 4), 2, tf.float64)
  for bias in network.biases:
    bias.assign(
      tf.random.stateless_normal(bias.shape, (1, 2), dtype=tf.float64)
    )
  h = x = _points(7)
  for layer in range(3):
    h = h @ network.weights[layer][0].numpy() + network.biases[layer][0].numpy()
    h = np.maximum(h, 0) if layer < 2 else h
  np.testing.assert_allclose(network(x), h, rtol=1e-12)


def test_networks_side_by_side_equal_single_ones():
  seeds, x = (3, 8, 5), _points(12, dtype=np.float32)
  together = derivatives(RegressionMLP(2, seeds), x, 1)
  shares = np.split(x, 3)
  for index, seed in enumerate(seeds):
    alone = derivatives(RegressionMLP(2, (seed,)), shares[index], 1)
    for a, b in zip(together, alone, strict=True):
      np.testing.assert_allclose(a[4 * index : 4 * index + 4], b, atol=1e-6)


def test_initial_weights_depend_on_the_own_seed_only():
  first, second = RegressionMLP(2, (1, 2, 3)), RegressionMLP(2, (9, 2))
  for a, b in zip(first.weights, second.weights, strict=True):
    np.testing.assert_array_equal(a[1], b[1])
    assert not np.allclose(a[0], b[0])


def test_layers_of_equal_shape_get_different_weights():
  network = RegressionMLP(6, (0,), (6, 6), 6)
  assert not np.allclose(network.weights[0], network.weights[1])


def test_initialisation_has_the_stated_deviation_and_zero_biases():
  network = RegressionMLP(100, (0,), (400,))
  # A normal cut at two deviations keeps 0.880 of its deviation.
  deviation = np.std(network.weights[0]) * 100**0.5
  np.testing.assert_allclose(deviation, 0.880, atol=0.02)
  assert all(not np.any(bias) for bias in network.biases)


def test_reset_restores_the_initial_state():
  network = RegressionMLP(2, (4,), (5,))
  for variable in network.variables:
    variable.assign_add(tf.ones_like(variable))
  network.reset((4,))
  for a, b in zip(
    network.variables, RegressionMLP(2, (4,), (5,)).variables, strict=True
  ):
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("hidden", [(), (5,), (5, 4, 3)])
def test_depth_is_free_and_all_variables_train(hidden):
  network = RegressionMLP(2, (0, 1), hidden)
  assert len(network.trainable_variables) == 2 * (len(hidden) + 1)
  assert network(_points(6, dtype=np.float32)).shape == (6, 1)


@pytest.mark.parametrize("hidden_sizes", [(7,), (16, 9), (8, 8, 8)])
def test_short_way_back_equals_nested_tapes(hidden_sizes):
  network = RegressionMLP(3, (0, 1), hidden_sizes, dtype=tf.float64)
  for index, bias in enumerate(network.biases):
    draw = tf.random.stateless_normal(bias.shape, [index, 5], dtype=bias.dtype)
    bias.assign(draw)
  x, y, dy = (
    tf.random.stateless_normal([22, *shape], [len(shape), 6], dtype=tf.float64)
    for shape in ([3], [1], [1, 3])
  )
  sources = [x, *network.trainable_variables]

  def gradients_of(differentiate):
    with tf.GradientTape() as tape:
      tape.watch(x)
      predicted = differentiate(x)
      losses = sobolev_loss(predicted, (y, dy), (1.0, 0.37)).loss
      loss = tf.reduce_sum(losses * tf.range(1, 23, dtype=x.dtype))
    return [*predicted, *tape.gradient(loss, sources)]

  tapes = gradients_of(lambda z: derivatives(network, z, 1))
  short = gradients_of(network.value_and_gradient)
  for a, b in zip(short, tapes, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_short_way_back_refuses_several_outputs():
  network = RegressionMLP(2, hidden_sizes=(4,), num_outputs=3)
  with pytest.raises(ValueError, match="needs one output"):
    network.value_and_gradient(tf.zeros([5, 2]))
