"""The fused optimizers against Keras and numpy, and shared by threads."""

import os
import subprocess
import textwrap
import threading

import keras
import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

from sobolev_tf.training.optimizers import (
  SharedAdam,
  SharedMomentum,
  SharedRMSProp,
)
from tests import warm_python


def make_variables(dtype=tf.float32):
  rng = np.random.default_rng(0)
  return [
    tf.Variable(rng.normal(size=shape), dtype=dtype) for shape in ([3, 4], [5])
  ]


def gradients_of(step, variables):
  rng = np.random.default_rng(step)
  # From 1e-6 to 1e3, so that epsilon matters.
  size = 10.0 ** rng.uniform(-6, 3)
  return [
    tf.constant(size * rng.normal(size=v.shape), v.dtype) for v in variables
  ]


def test_adam_equals_keras():
  ours, theirs = make_variables(), make_variables()
  optimizer = SharedAdam(3e-3)
  optimizer.build(ours)
  reference = keras.optimizers.Adam(3e-3, epsilon=1e-7)
  reference.build(theirs)
  for step in range(20):
    optimizer.apply(gradients_of(step, ours), ours)
    reference.apply(gradients_of(step, theirs), theirs)
    for a, b in zip(ours, theirs, strict=True):
      np.testing.assert_allclose(a, b, atol=1e-6)
  assert optimizer.iterations == 20


def test_momentum_equals_keras():
  ours, theirs = make_variables(), make_variables()
  optimizer = SharedMomentum(1e-3, momentum=0.8)
  optimizer.build(ours)
  reference = keras.optimizers.SGD(1e-3, momentum=0.8)
  reference.build(theirs)
  for step in range(20):
    optimizer.apply(gradients_of(step, ours), ours)
    reference.apply(gradients_of(step, theirs), theirs)
    for a, b in zip(ours, theirs, strict=True):
      np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
  for a, b in zip(optimizer.slots[0], reference.momentums, strict=True):
    np.testing.assert_allclose(a, b.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [SharedAdam, SharedMomentum, SharedRMSProp])
def test_what_follows_an_update_in_a_graph_sees_all_of_it(kind):
  variables = make_variables()
  optimizer = kind(1.0)
  optimizer.build(variables)

  @tf.function
  def update(gradients):
    with tf.control_dependencies([optimizer.apply(gradients, variables)]):
      # A raw read: automatic dependencies would order any other.
      return [
        tf.raw_ops.ReadVariableOp(resource=v.handle, dtype=v.dtype)
        for v in variables
      ]

  for _ in range(5):
    seen = update(gradients_of(0, variables))
    for a, b in zip(seen, variables, strict=True):
      np.testing.assert_array_equal(a, b)


def test_rmsprop_equals_its_formula():
  variables = make_variables(tf.float64)
  optimizer = SharedRMSProp(1e-2, decay=0.9, epsilon=0.1)
  optimizer.build(variables)
  expected = [v.numpy() for v in variables]
  squares = [np.ones(v.shape) for v in variables]
  for step in range(20):
    gradients = gradients_of(step, variables)
    optimizer.apply(gradients, variables)
    for index, gradient in enumerate(g.numpy() for g in gradients):
      squares[index] = 0.9 * squares[index] + 0.1 * gradient**2
      expected[index] -= 1e-2 * gradient / np.sqrt(squares[index] + 0.1)
      np.testing.assert_allclose(variables[index], expected[index], rtol=1e-12)


@pytest.mark.parametrize("kind", [SharedAdam, SharedMomentum, SharedRMSProp])
def test_learning_rate_of_a_call_replaces_the_attribute(kind):
  variables, others = make_variables(), make_variables()
  one, other = kind(1.0), kind(1e-3)
  one.build(variables)
  other.build(others)
  gradients = gradients_of(0, variables)
  one.apply(gradients, variables, learning_rate=tf.constant(1e-3))
  other.apply(gradients, others)
  for a, b in zip(variables, others, strict=True):
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("kind", [SharedAdam, SharedMomentum, SharedRMSProp])
def test_checkpoint_resumes_exactly(kind, tmp_path):
  def advance(variables, optimizer, steps):
    for step in steps:
      optimizer.apply(gradients_of(step, variables), variables)

  whole, halves = make_variables(), make_variables()
  optimizer = kind(1e-2)
  optimizer.build(whole)
  advance(whole, optimizer, range(6))
  first = kind(1e-2)
  first.build(halves)
  advance(halves, first, range(3))
  module = tf.train.Checkpoint(optimizer=first, variables=halves)
  path = module.write(str(tmp_path / "state"))
  again, second = make_variables(), kind(1e-2)
  second.build(again)
  status = tf.train.Checkpoint(optimizer=second, variables=again).read(path)
  status.assert_consumed()
  advance(again, second, range(3, 6))
  assert second.iterations == 6
  for a, b in zip(whole, again, strict=True):
    np.testing.assert_array_equal(a, b)


def test_threads_share_one_set_of_weights():
  """No update is lost: with a constant gradient every order sums the same."""
  layer = snt.Linear(3)
  layer(tf.ones([1, 2]))
  variables = list(layer.trainable_variables)
  optimizer = SharedRMSProp(1e-3, decay=1.0, epsilon=0.0)
  optimizer.build(variables)
  start = [v.numpy() for v in variables]
  ones = [tf.ones_like(v) for v in variables]

  @tf.function
  def step():
    optimizer.apply(ones, variables)

  step()
  threads = [
    threading.Thread(target=lambda: [step() for _ in range(50)])
    for _ in range(4)
  ]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert optimizer.iterations == 201
  for variable, value in zip(variables, start, strict=True):
    np.testing.assert_allclose(variable, value - 0.201, atol=1e-5)


def test_misuse_is_named():
  optimizer = SharedAdam()
  with pytest.raises(ValueError, match="call build first"):
    optimizer.apply([], [])
  variables = make_variables()
  optimizer.build(variables)
  with pytest.raises(ValueError, match="built already"):
    optimizer.build(variables)
  with pytest.raises(ValueError, match="2 variable.s. and 1 gradient"):
    optimizer.apply([tf.ones([3, 4])], variables)
  with pytest.raises(ValueError, match="does not depend"):
    optimizer.apply([None, tf.ones([5])], variables)


@pytest.mark.parametrize("kind", [SharedAdam, SharedMomentum, SharedRMSProp])
def test_other_variables_than_those_it_was_built_for_are_refused(kind):
  variables = make_variables()
  optimizer = kind()
  optimizer.build(variables)
  gradients = [tf.ones_like(v) for v in variables]
  before = [v.numpy() for v in variables]
  for others in (variables[:1], variables[::-1], make_variables()):
    with pytest.raises(ValueError, match="give those, in the same order"):
      optimizer.apply(gradients, others)
  assert optimizer.iterations == 0
  for variable, value in zip(variables, before, strict=True):
    np.testing.assert_array_equal(variable, value)


_TWO_REPLICAS = textwrap.dedent(
  """
  import numpy as np
  import tensorflow as tf
  from sobolev_tf.training.optimizers import SharedAdam
  cpu = tf.config.list_physical_devices("CPU")[0]
  tf.config.set_logical_device_configuration(
    cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
  strategy = tf.distribute.MirroredStrategy(
    ["CPU:0", "CPU:1"], tf.distribute.ReductionToOneDevice())
  shared = [tf.Variable([1.0, 2.0])]
  hogwild = SharedAdam(0.1)
  hogwild.build(shared)
  with strategy.scope():
    mirrored = [tf.Variable([1.0, 2.0])]
    sync = SharedAdam(0.1)
    sync.build(mirrored)

  @tf.function
  def step():
    def replica():
      context = tf.distribute.get_replica_context()
      number = tf.cast(context.replica_id_in_sync_group, tf.float32)
      gradient = tf.stack([1.0 + number, 1.0 - number])
      mean = context.all_reduce("MEAN", gradient)
      hogwild.apply([gradient], shared)
      sync.apply([mean], mirrored)
    strategy.run(replica)

  for _ in range(3):
    step()
  assert hogwild.iterations.numpy() == 6, hogwild.iterations
  copies = strategy.experimental_local_results(mirrored[0])
  counts = strategy.experimental_local_results(sync.iterations)
  assert [int(c) for c in counts] == [3, 3], counts
  np.testing.assert_array_equal(copies[0].numpy(), copies[1].numpy())
  one = [tf.Variable([1.0, 2.0])]
  alone = SharedAdam(0.1)
  alone.build(one)
  for _ in range(3):
    alone.apply([tf.constant([1.5, 0.5])], one)
  np.testing.assert_allclose(copies[0].numpy(), one[0].numpy(), rtol=1e-6)
  # Six updates of about the learning rate each, instead of three.
  assert abs(shared[0].numpy()[0] - (1 - 0.6)) < 0.05, shared
  """
)


def test_two_replicas_share_or_mirror():
  result = subprocess.run(
    [warm_python.command(), "-c", _TWO_REPLICAS],
    env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert result.returncode == 0, result.stderr
