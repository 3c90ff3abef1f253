"""Training by evidence: the noise it finds, what it does not count."""

import numpy as np

from sobolev_tf.surrogate.evidence import Balance, anneal, train
from sobolev_tf.surrogate.examples import Examples
from sobolev_tf.surrogate.tanh_network import TanhNetwork


def test_noise_is_found_per_component_and_weighed_against():
  rng = np.random.default_rng(1)
  x = rng.uniform(-1.5, 1.5, [120, 2])
  a, b = x.T
  y = np.sin(a) * b
  dy = np.stack([np.cos(a) * b, np.sin(a)], axis=1)
  noise = np.array([0.05, 0.3])
  noisy = dy + noise * rng.normal(size=dy.shape)
  examples = Examples(x, (y[:, np.newaxis], noisy[:, np.newaxis]))
  network = TanhNetwork(2, 8, 1)
  trained = anneal(network, examples, network.initial(rng))
  np.testing.assert_allclose(trained.balance.noise[1:], noise, rtol=0.2)
  assert trained.balance.noise[0] < 0.02
  value, slopes = network.evaluate(trained.position, x, 1)
  assert np.sqrt(np.mean((value[:, 0] - y) ** 2)) < 0.02
  assert np.all(np.sqrt(np.mean((slopes[:, 0] - dy) ** 2, axis=0)) < 0.1)


def test_unknown_labels_count_nothing():
  rng = np.random.default_rng(2)
  x, y = rng.normal(size=[9, 1]), rng.normal(size=[9, 1])
  y[4] = np.nan
  network = TanhNetwork(1, 3, 1)
  begin = network.initial(rng)
  whole = Examples(x, (y,))
  some = whole.part(np.array([0, 1, 2, 3, 5, 6, 7, 8]))
  results = [
    train(network, each, begin, Balance.of(whole, 0.1), 5)
    for each in (whole, some)
  ]
  np.testing.assert_allclose(
    results[0].position, results[1].position, rtol=1e-6
  )
