"""Several replicas compute what one device computes."""

import os
import subprocess
import textwrap

import pytest

from tests import warm_python


def run_there(code_or_module, *arguments):
  return subprocess.run(
    [warm_python.command(), *code_or_module, *arguments],
    env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    capture_output=True,
    text=True,
    timeout=300,
  )


_TWO_REPLICAS = textwrap.dedent(
  """
  import dataclasses, sys
  import numpy as np
  import tensorflow as tf
  from data.digits import Digits
  from sobolev_tf.training.optimizers import SharedAdam, SharedMomentum
  from trainers.lifecycle import checkpoints
  from trainers.synthetic_gradients import learner as learners
  from trainers.synthetic_gradients import replicas, train as trainer

  # Smooth units, smooth losses and plain descent: ReLU, L1 and Adam each turn
  # a difference in rounding, where a number is nearly zero, into a large one.
  tf.nn.relu = tf.tanh
  config = dataclasses.replace(
    trainer.PRESETS["smoke"],
    num_modules=1, num_replicas=2, estimator_loss="l2")
  learners.SharedAdam = lambda rate: SharedMomentum(0.01, momentum=0.0)
  both = replicas.build_strategy(2)
  data = Digits(num_test=50)

  def state(learner):
    return [variable.numpy() for variable in learner.variables]

  def train(updates, strategy, num_steps):
    settings = dataclasses.replace(config, estimator_updates=updates)
    learner = learners.SyntheticGradientLearner(
      settings, strategy, (32, 32, 1), 10
    )
    start = state(learner)
    for step in range(num_steps):
      logs = learner.train_step(*data.training_batch(step, 8))
    # In inference mode, so that the moving statistics take part as well.
    logits = learner.network(data.training_batch(9, 8)[0])
    moves = [b - a for a, b in zip(start, state(learner), strict=True)]
    return learner, moves, logits, logs

  tf.config.run_functions_eagerly(True)  # the replicas' steps are traced
  one = train("sync", tf.distribute.get_strategy(), 2)
  tf.config.run_functions_eagerly(False)
  two = train("sync", both, 2)
  assert len(one[1]) > 60
  for a, b in zip(one[1], two[1], strict=True):
    assert np.any(a)
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-3 * np.abs(a).max())
  np.testing.assert_allclose(one[2], two[2], rtol=1e-3, atol=1e-3)
  np.testing.assert_allclose(one[3]["loss"], two[3]["loss"], rtol=1e-5)

  # Uncoordinated updates: twice as many as steps, and elsewhere.
  learners.SharedAdam = SharedAdam
  wild = train("hogwild", both, 3)
  counter = wild[0]._estimator_optimizer.iterations
  assert counter.numpy() == 6, counter
  w = wild[0].network.estimator_variables[0]
  assert not hasattr(w, "values"), "one shared copy, not one per replica"
  assert np.abs(w - one[0].network.estimator_variables[0]).max() > 1e-5

  # The rest of a run: evaluation, the measure, checkpoints.
  tf.config.run_functions_eagerly(True)
  learner = wild[0]
  assert 0 <= learner.evaluate(data.test_batches(50))["test_accuracy"] <= 1
  x, y = data.training_batch(0, 8)
  for value in learner.asymmetries(x, y, tf.constant([0, 1])).values():
    assert value < 1e-4, value
  saved = state(learner)
  checkpoints.save(learner.trackables(), sys.argv[1], 3)
  learner.train_step(x, y)
  assert checkpoints.restore(learner.trackables(), sys.argv[1]) == 3
  for a, b in zip(saved, state(learner), strict=True):
    np.testing.assert_array_equal(a, b)
  """
)


def test_two_synchronous_replicas_equal_one_device_with_the_joined_batch(
  tmp_path,
):
  result = run_there(["-c", _TWO_REPLICAS], str(tmp_path))
  assert result.returncode == 0, result.stderr[-3000:]


# Every method and kind of update, on networks of a few numbers. Smooth units
# and plain descent, as above; a replica's own update of a shared estimator then
# is its part of the mean.
_MANY_REPLICAS = textwrap.dedent(
  """
  import dataclasses, sys
  import numpy as np
  import sonnet as snt
  import tensorflow as tf

  tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 8)
  tf.config.run_functions_eagerly(True)
  tf.nn.relu = tf.tanh

  from sobolev_tf.networks.batch_norm import BatchNorm
  from sobolev_tf.networks.initialisers import FanInNormal
  from sobolev_tf.training.optimizers import SharedMomentum
  from trainers.synthetic_gradients import config as configs
  from trainers.synthetic_gradients import learner as learners
  from trainers.synthetic_gradients import networks

  class Segment(snt.Module):
    def __init__(self, channels, layer, is_last=False):
      super().__init__()
      self.layer = snt.Conv2D(channels, 1, w_init=FanInNormal(0, layer))
      self.norm, self.is_last = BatchNorm(channels), is_last

    def __call__(self, x, is_training):
      h = tf.tanh(self.norm(self.layer(x), is_training))
      return tf.reduce_mean(h, axis=[1, 2]) if self.is_last else h

  networks.build_segments = lambda config, num_classes: (
    [Segment(num_classes, 0, True)] if config.method == "backprop" else
    [Segment(3, 1), Segment(4, 2), Segment(num_classes, 3, True)])
  draw = np.random.default_rng(0)
  x = draw.normal(size=(16, 2, 2, 3)).astype(np.float32)
  y = np.eye(5, dtype=np.float32)[draw.integers(5, size=16)]

  def train(method, updates, count):
    config = dataclasses.replace(
      configs.PRESETS["smoke"], method=method, width=0.02, num_modules=2,
      estimator_updates=updates, estimator_loss="l2")
    part = count if updates == "hogwild" else 1
    learners.SharedAdam = lambda rate: SharedMomentum(0.5 / part, momentum=0.0)
    strategy = tf.distribute.get_strategy() if count == 1 else (
      tf.distribute.MirroredStrategy(
        [f"CPU:{index}" for index in range(count)],
        tf.distribute.ReductionToOneDevice()))
    assert strategy.num_replicas_in_sync == count
    learner = learners.SyntheticGradientLearner(config, strategy, (2, 2, 3), 5)
    start = [v.numpy() for v in learner.network.variables]
    for _ in range(2):
      logs = learner.train_step(x, y)
    assert logs["is_made"]
    return start, [v.numpy() for v in learner.network.variables]

  counts = [int(count) for count in sys.argv[1:]]
  compared = 0
  for method in networks.METHODS:
    start, one = train(method, "sync", 1)
    # A constant before a BatchNorm has no effect, hence no gradient.
    moved = [np.abs(a - b).max() > 1e-4 for a, b in zip(start, one)]
    # Without gradients from above only the top segment learns.
    share = 0.4 if method == "noprop" else 0.7
    assert sum(moved) > share * len(moved), (method, moved)
    for count in counts:
      for updates in ("sync", "hogwild"):
        _, many = train(method, updates, count)
        for a, b in zip(one, many, strict=True):
          np.testing.assert_allclose(
            a, b, rtol=0, atol=1e-5, err_msg=f"{method} {updates} {count}")
        compared += 1
  assert compared == 8 * len(counts) * 2
  """
)


@pytest.mark.parametrize(
  "counts",
  [["2"], pytest.param(["4", "8"], marks=pytest.mark.slow)],
)
def test_replicas_equal_one_device_for_every_method(counts):
  result = run_there(["-c", _MANY_REPLICAS], *counts)
  assert result.returncode == 0, result.stderr[-3000:]
