"""The steps of Table 1's methods: what is equal and what moves."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from data.digits import Digits
from trainers.synthetic_gradients import learner, networks
from trainers.synthetic_gradients import train as synthetic_gradients

SMOKE = synthetic_gradients.PRESETS["smoke"]

# Tracing one of these steps takes ten times as long as making it. Traced ones
# are made by train_test, by replicas_test and on parameter servers.
pytestmark = pytest.mark.usefixtures("eagerly")


def config_of(**changes):
  return dataclasses.replace(SMOKE, **changes)


def build(config, image_shape=(32, 32, 1)):
  strategy = tf.distribute.get_strategy()
  return learner.SyntheticGradientLearner(config, strategy, image_shape, 10)


def take_steps(learner, config, count=2):
  data = Digits(config.seed)
  for step in range(count):
    logs = learner.train_step(*data.training_batch(step, config.batch_size))
  return logs


def state(learner):
  return [variable.numpy() for variable in learner.variables]


def test_hogwild_and_sync_are_the_same_on_one_replica():
  snapshots = []
  for updates in ("hogwild", "sync"):
    config = config_of(estimator_updates=updates, num_modules=1)
    learner = build(config)
    take_steps(learner, config)  # of which the second hears the estimators
    snapshots.append(state(learner))
  for a, b in zip(*snapshots, strict=True):
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("method", networks.METHODS)
def test_every_method_trains_what_it_should(method):
  config = config_of(method=method, num_modules=1, l2=0.0)
  learner = build(config)
  before = [v.numpy() for v in learner.network.main_variables]
  asked = [v.numpy() for v in learner.network.estimator_variables]
  logs = take_steps(learner, config)
  assert np.isfinite(logs["loss"])
  moved = [
    np.any(v.numpy() != w)
    for v, w in zip(learner.network.main_variables, before, strict=True)
  ]
  # Noprop: what lies under the split does not move, what lies above does.
  below = len(learner.network.segments[0].trainable_variables)
  if method == "noprop":
    assert not any(moved[:below]) and all(moved[below:])
  elif method == "direct":
    # Its last layer starts at zero and moves from the first step on.
    assert np.any(learner.network.estimator_variables[-1])
    assert all(moved)
  else:
    assert all(moved)
  assert bool(asked) == (method not in ("backprop", "noprop"))


def test_backpropagation_is_the_unsplit_network():
  ends = []
  for num_modules in (1, 0):
    config = config_of(method="backprop", num_modules=num_modules)
    learner = build(config)
    take_steps(learner, config)
    ends.append([v.numpy() for v in learner.network.main_variables])
  for a, b in zip(*ends, strict=True):
    np.testing.assert_array_equal(a, b)


def test_all_methods_start_from_the_same_network():
  starts = [
    [v.numpy() for v in build(config_of(method=m)).network.main_variables]
    for m in ("backprop", "sobolev", "direct")
  ]
  for other in starts[1:]:
    for a, b in zip(starts[0], other, strict=True):
      np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
  ("method", "num_modules"), [("sobolev", 2), ("direct", 1), ("noprop", 1)]
)
def test_each_border_has_an_asymmetry(method, num_modules):
  learner = build(config_of(method=method, num_modules=num_modules))
  if method == "direct":  # out of its zero
    for estimator in learner.network.estimators:
      w = estimator.network.output.w
      w.assign(tf.random.stateless_normal(w.shape, [1, 2]))
  x, y = Digits().training_batch(0, 8)
  found = learner.asymmetries(x, y, tf.constant([0, 1]))
  assert list(found) == [f"asymmetry_{k + 1}" for k in range(num_modules)]
  for value in found.values():
    assert value > 0.1 if method == "direct" else value < 1e-4
    assert (value == 0) == (method == "noprop")


def test_a_refused_update_changes_nothing_not_even_moving_statistics():
  config = config_of(num_modules=1)
  learner = build(config)
  x, y = Digits().training_batch(0, config.batch_size)
  assert learner.train_step(x, y)["is_made"]
  before = state(learner)
  broken = x.copy()
  broken[0, 3, 3] = np.nan
  # The second batch is healthy, but comes after the one that stopped the run.
  for batch in (broken, x):
    logs = learner.train_step(batch, y)
    assert not logs["is_made"]
    for variable, value in zip(learner.variables, before, strict=True):
      np.testing.assert_array_equal(variable, value)
  assert np.isfinite(logs["loss"])


def test_an_estimators_gradient_alone_can_stop_a_step():
  config = config_of(num_modules=1, estimator_loss="l2")
  learner = build(config)
  # What it says is far too large, and the main network does not hear of it
  # at the top segment, whose loss stays finite.
  for variable in learner.network.estimators[0].trainable_variables:
    variable.assign(1e15 * tf.ones_like(variable))
  before = state(learner)
  x, y = Digits().training_batch(0, config.batch_size)
  logs = learner.train_step(x, y)
  assert np.isfinite(logs["loss"]) and not logs["is_made"]
  for variable, value in zip(learner.variables, before, strict=True):
    np.testing.assert_array_equal(variable, value)
