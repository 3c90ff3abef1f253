import numpy as np
import pytest
import tensorflow as tf

from sobolev_tf.networks.batch_norm import BatchNorm
from sobolev_tf.networks.cifar10 import BLOCKS, cifar10_segments
from sobolev_tf.networks.initialisers import FanInNormal


def forward(segments, x, is_training=False):
  outputs = []
  for segment in segments:
    x = segment(x, is_training)
    outputs.append(x)
  return outputs


def test_network_has_the_papers_shapes():
  outputs = forward(cifar10_segments(3), tf.zeros([1, 32, 32, 3]))
  assert [list(h.shape[1:]) for h in outputs] == [
    [32, 32, 64],
    [16, 16, 128],
    [8, 8, 256],
    [10],
  ]
  segments = cifar10_segments(0)
  assert list(forward(segments, tf.zeros([1, 32, 32, 3]))[0].shape) == [1, 10]
  kernels = [
    v.shape.as_list()
    for v in segments[0].trainable_variables
    if v.shape.rank == 4
  ]
  channels = [c for block in BLOCKS for c, _ in block]
  assert kernels == [
    [3, 3, a, b] for a, b in zip([3, *channels[:-1]], channels, strict=True)
  ]
  assert channels == [64] * 2 + [128] * 3 + [256] * 3 + [512] * 3
  assert segments[0].output.w.shape == [512, 10]  # of the average


@pytest.mark.parametrize("num_modules", [0, 1, 2, 3])
def test_splits_change_nothing_of_the_function(num_modules):
  x = tf.random.stateless_normal([2, 32, 32, 3], [1, 1])
  whole = forward(cifar10_segments(0, width=0.05, seed=3), x)[-1]
  segments = cifar10_segments(num_modules, width=0.05, seed=3)
  assert len(segments) == num_modules + 1
  np.testing.assert_array_equal(forward(segments, x)[-1], whole)


def test_wrong_number_of_splits_is_refused():
  with pytest.raises(ValueError, match="0 to 3 places, but num_modules is 4"):
    cifar10_segments(4)


def test_initial_weights_depend_on_the_seed_alone():
  draw = FanInNormal(3, 5)([3, 3, 100, 50], tf.float32)
  np.testing.assert_array_equal(
    draw, FanInNormal(3, 5)([3, 3, 100, 50], "float32")
  )
  assert np.any(draw != FanInNormal(3, 6)([3, 3, 100, 50], tf.float32))
  # A normal cut off at two deviations has 0.88 of its deviation.
  np.testing.assert_allclose(np.std(draw) * 30, 0.88, atol=0.02)
  assert np.abs(draw).max() <= 2 / 30


def test_batch_norm_standardises_and_learns_its_statistics():
  norm = BatchNorm(5, decay=0.75)
  x = 3 + 2 * tf.random.stateless_normal([16, 4, 4, 5], [1, 2])
  y = norm(x, True)
  np.testing.assert_allclose(tf.reduce_mean(y, [0, 1, 2]), 0, atol=1e-5)
  np.testing.assert_allclose(tf.math.reduce_std(y, [0, 1, 2]), 1, atol=1e-4)
  mean, variance = tf.nn.moments(x, [0, 1, 2])
  np.testing.assert_allclose(norm.moving_mean, mean / 4, rtol=1e-5)
  np.testing.assert_allclose(
    norm.moving_variance, (3 + variance) / 4, rtol=1e-5
  )
  for _ in range(100):
    norm(x, True)
  np.testing.assert_allclose(norm(x, False), y, atol=1e-4)


def test_batch_norm_in_inference_treats_examples_one_by_one():
  norm = BatchNorm(2)
  x = tf.random.stateless_normal([6, 3, 3, 2], [1, 2])
  before = norm.moving_mean.numpy()
  together = norm(x, False)
  np.testing.assert_allclose(together[:1], norm(x[:1], False), rtol=1e-6)
  np.testing.assert_array_equal(norm.moving_mean, before)
