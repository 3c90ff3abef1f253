"""Random directions: on the sphere, uniform, and a function of the seed."""

import numpy as np
import pytest
import tensorflow as tf

from sobolev_tf.derivatives.directions import random_directions


@pytest.mark.parametrize("shape", [(50,), (50, 1), (50, 7), (50, 3, 4, 2)])
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_every_example_has_a_direction_of_length_one(shape, dtype):
  v = random_directions(shape, 1, dtype)
  assert v.shape == shape and v.dtype == dtype
  lengths = np.linalg.norm(v.numpy().reshape(50, -1), axis=1)
  np.testing.assert_allclose(lengths, 1, rtol=1e-6)


@pytest.mark.parametrize("shape", [(1000,), (1000, 1)])
def test_one_dimension_gives_both_signs(shape):
  v = random_directions(shape, 2).numpy()
  assert set(np.unique(v)) == {-1.0, 1.0}
  assert abs(v.mean()) < 4 / 1000**0.5


def test_directions_are_uniform_on_the_sphere():
  n, m = 100_000, 3
  v = random_directions([n, m], 3, tf.float64).numpy()
  np.testing.assert_allclose(v.mean(axis=0), 0, atol=4 * (1 / m / n) ** 0.5)
  np.testing.assert_allclose(v.T @ v / n, np.eye(m) / m, atol=0.006)
  # E v^4 = 3 / (m (m + 2)); on a cube's surface it would be another value.
  np.testing.assert_allclose((v**4).mean(axis=0), 3 / (m * (m + 2)), atol=0.005)
  # In three dimensions each coordinate is uniform (Archimedes).
  counts = np.histogram(v[:, 0], bins=10, range=(-1, 1))[0]
  np.testing.assert_allclose(counts, n / 10, atol=5 * (n * 0.09) ** 0.5)


def test_a_draw_depends_on_its_seed_alone():
  first = random_directions([4, 3], (5, 6))
  tf.random.set_seed(99)
  random_directions([4, 3], (5, 7))
  np.testing.assert_array_equal(first, random_directions([4, 3], (5, 6)))
  assert not np.allclose(first, random_directions([4, 3], (5, 7)))
  assert not np.allclose(first, random_directions([4, 3], (6, 6)))
  np.testing.assert_array_equal(
    random_directions([4, 3], 5), random_directions([4, 3], (5, 0))
  )


def test_step_and_shape_may_be_tensors_in_a_graph():
  @tf.function
  def draw(x, step):
    return random_directions(tf.shape(x), tf.stack([5, step]))

  drawn = draw(tf.zeros([4, 3]), tf.constant(6))
  np.testing.assert_array_equal(drawn, random_directions([4, 3], (5, 6)))
