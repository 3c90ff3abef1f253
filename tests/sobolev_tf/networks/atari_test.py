import numpy as np
import pytest
import tensorflow as tf

from sobolev_tf.networks.atari import (
  StudentNetwork,
  TeacherNetwork,
  frames_to_blocks,
  frames_to_input,
)
from sobolev_tf.networks.initialisers import Orthogonal


def frames(count=2):
  rng = np.random.default_rng(0)
  return rng.integers(0, 256, [count, 84, 84, 4], np.uint8)


def kernels(network):
  return {
    v.name.split("/")[-2]: v.shape.as_list()
    for v in network.trainable_variables
    if v.name.endswith("/w:0")
  }


def test_networks_have_the_papers_layers():
  assert kernels(TeacherNetwork(3)) == {
    "conv_1": [8, 8, 4, 32],
    "conv_2": [4, 4, 32, 64],
    "conv_3": [3, 3, 64, 64],
    "hidden": [7 * 7 * 64, 512],
    "policy": [512, 3],
    "value": [512, 1],
  }
  assert kernels(StudentNetwork(6)) == {
    "conv_1": [8, 8, 4, 16],
    "conv_2": [4, 4, 16, 32],
    "hidden": [9 * 9 * 32, 256],
    "policy": [256, 6],
  }


def test_teacher_equals_a_plain_computation():
  network = TeacherNetwork(4, seed=5)
  s = frames_to_input(frames())
  h = s
  w = {v.name.rsplit("/", 2)[1] + v.name[-3]: v for v in network.variables}
  for layer, stride in (("conv_1", 4), ("conv_2", 2), ("conv_3", 1)):
    windows = np.lib.stride_tricks.sliding_window_view(
      h, w[layer + "w"].shape[:2], axis=(1, 2)
    )[:, ::stride, ::stride]  # [B, H, W, C, k, k]
    product = np.einsum("bhwcij,ijcd->bhwd", windows, w[layer + "w"].numpy())
    h = np.maximum(product + w[layer + "b"], 0)
  h = h.reshape(2, -1) @ w["hiddenw"].numpy() + w["hiddenb"]
  h = np.maximum(h, 0)
  logits, value = network.policy_and_value(s)
  wanted = h @ w["policyw"].numpy() + w["policyb"]
  np.testing.assert_allclose(logits, wanted, atol=1e-5)
  np.testing.assert_array_equal(network(s), logits)
  wanted = (h @ w["valuew"].numpy() + w["valueb"])[:, 0]
  np.testing.assert_allclose(value, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", [TeacherNetwork, StudentNetwork])
def test_blocks_give_the_same_logits_and_gradient_norm(kind):
  network = kind(4)
  found = []
  for inputs, ask in (
    (frames_to_input(frames()), network),
    (frames_to_blocks(frames()), network.from_blocks),
  ):
    with tf.GradientTape() as tape:
      tape.watch(inputs)
      logits = ask(inputs)
      target = tf.reduce_sum(logits[:, 0])
    gradient = tape.gradient(target, inputs)
    found.append((logits, tf.norm(tf.reshape(gradient, [2, -1]), axis=1)))
  for a, b in zip(*found, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7)


def test_weights_depend_on_the_seed_alone():
  one, two, other = (
    TeacherNetwork(4, 1),
    TeacherNetwork(4, 1),
    TeacherNetwork(4),
  )
  for a, b, c in zip(
    one.variables, two.variables, other.variables, strict=True
  ):
    np.testing.assert_array_equal(a, b)
    assert a.name.endswith("b:0") or np.any(a.numpy() != c.numpy())


def test_a_new_policy_is_nearly_uniform_and_its_value_is_not_zero():
  logits, value = TeacherNetwork(4).policy_and_value(frames_to_input(frames()))
  assert np.abs(logits).max() < 0.05
  assert np.abs(value).min() > 1e-3


@pytest.mark.parametrize("shape", [[3, 3, 4, 8], [5, 20], [20, 5]])
def test_orthogonal_weights_have_orthonormal_rows_or_columns(shape):
  w = Orthogonal(3, 1, 1.5)(shape, tf.float64).numpy().reshape(-1, shape[-1])
  short = w if w.shape[0] < w.shape[1] else w.T
  np.testing.assert_allclose(
    short @ short.T, 1.5**2 * np.eye(len(short)), atol=1e-12
  )


def test_orthogonal_weights_have_no_favourite_sign():
  draws = [Orthogonal(seed, 0)([2, 2], tf.float64) for seed in range(200)]
  corner = np.array(draws)[:, 0, 0]
  assert abs(np.mean(corner > 0) - 0.5) < 0.15
