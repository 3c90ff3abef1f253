"""ResNet-50 in segments against Sonnet's own."""

import os
import subprocess
import textwrap

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

from sobolev_tf.networks.resnet import BORDERS, GROUPS, resnet50_segments
from sobolev_tf.networks.synthetic_gradient_modules import (
  AveragingClassPredictor,
)
from tests import warm_python


def forward(segments, x, is_training=False):
  outputs = []
  for segment in segments:
    x = segment(x, is_training)
    outputs.append(x)
  return outputs


def logits_of(segments, x):
  """Logits by the batch's own statistics, under which nothing overflows."""
  w = segments[-1].output.w
  w.assign(tf.random.stateless_normal(w.shape, [1, 2]))  # out of its zero
  return forward(segments, x, True)[-1]


def test_outputs_equal_those_of_sonnets_resnet50_with_the_same_weights():
  theirs = snt.nets.ResNet50(num_classes=1000)
  x = tf.random.stateless_normal([2, 64, 64, 3], [0, 1])
  theirs(x, True)
  ours = resnet50_segments(3)
  count = sum(v.shape.num_elements() for s in ours for v in s.variables)
  assert count == sum(v.shape.num_elements() for v in theirs.variables)
  trained = [
    v.shape.num_elements() for s in ours for v in s.trainable_variables
  ]
  assert sum(trained) == 25_557_032  # the well-known number

  _copy(theirs, ours)
  for is_training in (False, True):
    logits = forward(ours, x, is_training)[-1]
    np.testing.assert_allclose(logits, theirs(x, is_training), 1e-5, 1e-5)
  # The moving statistics moved alike as well.
  np.testing.assert_allclose(
    forward(ours, x)[-1], theirs(x, False), rtol=1e-5, atol=1e-5
  )


def _copy(theirs, ours):
  """Copies every variable of Sonnet's network, layer by layer."""
  pairs = [
    (theirs._initial_conv, ours[0].stem),
    (theirs._initial_batchnorm, ours[0].stem_norm),
    (theirs._logits, ours[-1].output),
    *zip(
      theirs._block_groups, [g for s in ours for g in s.groups], strict=True
    ),
  ]
  rng = np.random.default_rng(0)
  for their, our in pairs:
    for a, b in zip(their.variables, our.variables, strict=True):
      if a.trainable:  # so that zeros and ones do not hide a mistake
        a.assign(a + 0.01 * rng.standard_normal(a.shape))
      b.assign(a)


def test_segments_end_where_the_paper_splits():
  x = tf.zeros([1, 64, 64, 3])
  for num_modules, shapes in {
    1: [[8, 8, 36]],
    3: [[16, 16, 16], [8, 8, 36], [4, 4, 72]],
  }.items():
    outputs = forward(resnet50_segments(num_modules, 0.07, 12), x)
    assert [list(h.shape[1:]) for h in outputs] == [*shapes, [12]]
  assert [channels for channels, _, _ in GROUPS] == [256, 512, 1024, 2048]


def test_splits_and_the_global_generator_change_nothing():
  x = tf.random.stateless_normal([2, 32, 32, 3], [1, 1])
  results = []
  for num_modules in BORDERS:
    tf.random.set_seed(num_modules)
    segments = resnet50_segments(num_modules, 0.07, 10, seed=3)
    results.append(logits_of(segments, x))
  assert np.any(results[0])
  for other in results[1:]:
    np.testing.assert_array_equal(results[0], other)
  different = resnet50_segments(0, 0.07, 10, seed=4)
  assert np.any(logits_of(different, x) != results[0])


def test_initial_weights_follow_sonnets_rule():
  ours = resnet50_segments(0, 0.25, 10)[0]
  for kernel in ours._kernels():
    if kernel.shape.num_elements() > 10_000:
      fan_in = np.prod(kernel.shape[:3])
      # A normal cut off at two deviations has 0.88 of its deviation.
      np.testing.assert_allclose(np.std(kernel) * fan_in**0.5, 0.88, atol=0.03)
  assert len(ours._kernels()) == 53
  by_shape = {}
  for kernel in ours._kernels():
    by_shape.setdefault(tuple(kernel.shape), []).append(
      kernel.numpy().tobytes()
    )
  assert len(by_shape) < 30  # many are alike in shape, none in its draw
  for draws in by_shape.values():
    assert len(set(draws)) == len(draws)
  assert not np.any(ours.output.w)


def test_wrong_number_of_splits_is_refused():
  with pytest.raises(
    ValueError, match="0, 1 or 3 places, but num_modules is 2"
  ):
    resnet50_segments(2)


def test_every_statistic_is_the_replicas_own():
  segment = resnet50_segments(0, 0.07, 10)[0]
  moving = [v for v in segment.variables if not v.trainable]
  assert len(moving) == 53 * 2 * 3
  for variable in moving:
    assert variable.synchronization == tf.VariableSynchronization.ON_READ


_TWO_REPLICAS = textwrap.dedent(
  """
  import numpy as np
  import tensorflow as tf
  from sobolev_tf.networks.resnet import ResNetSegment

  tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2)
  strategy = tf.distribute.MirroredStrategy(
    ["CPU:0", "CPU:1"], tf.distribute.ReductionToOneDevice())
  with strategy.scope():
    segment = ResNetSegment(3, [(8, 1, 1)], 4, 5)

  @tf.function
  def step(shares):
    return strategy.run(lambda x: segment(x, True), args=(shares,))

  def share(context):
    shift = 5.0 * context.replica_id_in_sync_group
    return shift + tf.random.stateless_normal([4, 16, 16, 3], [0, 1])

  step(strategy.experimental_distribute_values_from_function(share))
  scale = segment.stem_norm.scale.values
  mean = segment.stem_norm.moving_mean.average.values
  np.testing.assert_array_equal(*scale)
  assert np.abs(mean[0] - mean[1]).max() > 0.1
  # Outside of the strategy the first replica's count.
  np.testing.assert_array_equal(segment.stem_norm.moving_mean.value, mean[0])
  """
)


def test_replicas_share_weights_and_not_statistics():
  result = subprocess.run(
    [warm_python.command(), "-c", _TWO_REPLICAS],
    env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert result.returncode == 0, result.stderr[-3000:]


def test_class_predictor_of_imagenet_averages_over_the_picture():
  predictor = AveragingClassPredictor(7, 5, (0, 100))
  h = tf.random.stateless_normal([2, 8, 8, 3], [0, 1])
  logits = predictor(h)
  assert logits.shape == [2, 7]
  shapes = [v.shape.as_list() for v in predictor.trainable_variables]
  assert sorted(shapes) == sorted(
    [[3, 3, 3, 5], [5], [3, 3, 5, 5], [5], [5, 7], [7]]
  )
  z = tf.nn.relu(tf.nn.conv2d(h, predictor.convolutions[0].w, 1, "SAME"))
  z = tf.nn.relu(tf.nn.conv2d(z, predictor.convolutions[1].w, 2, "SAME"))
  expected = tf.reduce_mean(z, [1, 2]) @ predictor.output.w
  np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
  # The picture's size is free, as behind every block group.
  assert predictor(tf.zeros([1, 5, 6, 3])).shape == [1, 7]
