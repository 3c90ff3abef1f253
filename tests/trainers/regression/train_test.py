import dataclasses
import json
import os

import numpy as np
import pytest
import tensorflow as tf

from trainers.lifecycle.command_line import CommandError
from trainers.regression import train as regression
from trainers.regression.learner import METHODS

SMOKE = regression.PRESETS["smoke"]
_FASTER = 1e-3  # a learning rate that shows in a few steps


def config_of(**changes):
  return dataclasses.replace(SMOKE, function="booth", **changes)


def train_briefly(config, num_steps):
  """Trains without a run folder; returns weights and losses."""
  learner = regression.build_learner(config)
  examples = regression.build_examples(config)
  scaling = regression.build_scaling(config, examples)
  examples = regression.scale_examples(examples, scaling)
  data = [
    tf.constant(a) for a in regression.batches(examples, config, 0, num_steps)
  ]
  losses, made = learner.train_steps(*data, tf.constant(num_steps))
  assert made == num_steps
  weights = [v.numpy() for v in learner.network.trainable_variables]
  return weights, losses.numpy()


def first_gradients(config):
  """Losses `[S]` and gradients of the weights before any update."""
  learner = regression.build_learner(config)
  examples = regression.build_examples(config)
  examples = regression.scale_examples(
    examples, regression.build_scaling(config, examples)
  )
  x, y, dy = (
    tf.constant(a[0]) for a in regression.batches(examples, config, 0, 1)
  )
  variables = learner.network.trainable_variables
  with tf.GradientTape() as tape:
    losses = learner.losses(x, y, dy)
  return losses, tape.gradient(losses, variables)


@pytest.mark.parametrize("method", METHODS)
def test_seeds_side_by_side_train_as_they_would_alone(method, eagerly):
  together = config_of(
    method=method, num_train=20, seed=(3, 8), learning_rate=_FASTER
  )
  losses, gradients = first_gradients(together)
  _, later = train_briefly(together, 10)
  for index, seed in enumerate(together.seed):
    alone = dataclasses.replace(together, seed=(seed,))
    losses_alone, gradients_alone = first_gradients(alone)
    np.testing.assert_allclose(losses[index], losses_alone[0], rtol=1e-5)
    for both, one in zip(gradients, gradients_alone, strict=True):
      size = np.abs(one).max()
      np.testing.assert_allclose(both[index], one[0], atol=1e-5 * size)
    # Weights after many updates of Adam would hang on rounding; the loss does
    # not, and has moved by much more than this.
    _, later_alone = train_briefly(alone, 10)
    np.testing.assert_allclose(later[index], later_alone[0], rtol=1e-4)
    assert later[index] < 0.999 * losses[index]


def test_derivative_weight_zero_is_regular_training(eagerly):
  common = {"num_train": 20, "learning_rate": _FASTER}
  regular, _ = train_briefly(config_of(method="regular", **common), 10)
  zero, _ = train_briefly(
    config_of(method="sobolev", derivative_weight=0.0, **common), 10
  )
  for a, b in zip(regular, zero, strict=True):
    np.testing.assert_allclose(a, b, atol=1e-7)


def test_losses_are_equation_one_by_hand():
  config = config_of(num_train=30, seed=(4,), derivative_weight=0.37)
  learner = regression.build_learner(config)
  x, y, dy = (a.astype(np.float32) for a in regression.build_examples(config))
  w1, w2, w3, b1, b2, b3 = (
    np.float64(v.numpy()[0])
    for v in [*learner.network.weights, *learner.network.biases]
  )
  a1 = x[0] @ w1 + b1
  a2 = np.maximum(a1, 0) @ w2 + b2
  value = np.maximum(a2, 0) @ w3 + b3
  gradient = ((w3[:, 0] * (a2 > 0)) @ w2.T * (a1 > 0)) @ w1.T
  expected = np.mean(
    np.sum((value - y[0]) ** 2, axis=1)
    + 0.37 * np.sum((gradient - dy[0, :, 0]) ** 2, axis=1)
  )
  got = learner.losses(*(tf.constant(a[0]) for a in (x, y, dy)))
  np.testing.assert_allclose(got, [expected], rtol=1e-5)


def test_an_epoch_visits_every_point_once():
  config = config_of(num_train=1200, batch_size=100, full_batch=0)
  examples = regression.build_examples(config)
  x, _, _ = regression.batches(examples, config, 12, 24)
  assert x.shape == (12, 200, 2)
  for network in range(2):
    seen = x[:, network * 100 : (network + 1) * 100].reshape(-1, 2)
    order = np.lexsort(seen.T)
    expected = examples.x[network]
    np.testing.assert_array_equal(seen[order], expected[np.lexsort(expected.T)])


def test_batches_depend_on_the_step_alone():
  config = config_of(num_train=1200, batch_size=100, full_batch=0)
  examples = regression.build_examples(config)
  whole = regression.batches(examples, config, 0, 30)
  parts = [
    regression.batches(examples, config, first, last)
    for first, last in ((0, 7), (7, 13), (13, 30))
  ]
  for index, array in enumerate(whole):
    joined = np.concatenate([part[index] for part in parts])
    np.testing.assert_array_equal(array, joined)


def test_standard_scaling_returns_to_the_functions_own_units(eagerly):
  config = config_of(num_train=50, scaling="standard")
  examples = regression.build_examples(config)
  scaling = regression.build_scaling(config, examples)
  scaled = regression.scale_examples(examples, scaling)
  np.testing.assert_allclose(scaled.y.mean(axis=1), 0, atol=1e-6)
  np.testing.assert_allclose(scaled.x.std(axis=1), 1, rtol=1e-5)
  learner = regression.build_learner(config)
  points = regression.build_test_set(config)[0][:20]
  values, gradients = regression.predict(learner, scaling, points)
  step = 1e-3
  for axis in range(2):
    shift = step * np.eye(2)[axis]
    above, _ = regression.predict(learner, scaling, points + shift)
    below, _ = regression.predict(learner, scaling, points - shift)
    slope = (above - below)[..., 0] / (2 * step)
    # A ReLU network has kinks: most points, not all, see the slope.
    close = np.isclose(gradients[:, :, 0, axis], slope, rtol=0.05, atol=0.5)
    assert close.mean() > 0.9
  assert values.std() > 0


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
  """Four runs of two kinds: their folder, and the learners made for them."""
  folder, made = tmp_path_factory.mktemp("sweep"), []

  class Counted(regression.RegressionLearner):
    def __init__(self, *settings):
      super().__init__(*settings)
      made.append(self)

  settings = ["--preset=smoke", "--num_train=20", "--method=all"]
  settings += ["--function=booth,mccormick", "--scaling=standard"]
  settings += ["--num_steps=1000", "--evaluate_every=1000", "--seed=1,2"]
  settings += [f"--learning_rate={_FASTER}", f"--workdir={folder}"]
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(regression, "RegressionLearner", Counted)
    patch.setattr(regression, "_learners", regression.Pool(most=8))
    patch.setattr(regression, "_show_surface", lambda *_: None)
    assert regression.main(["regression", *settings]) == 0
  return folder, made


def test_sobolev_training_generalises_better_from_twenty_points(sweep):
  folder, _ = sweep
  errors = {}
  for method in METHODS:
    path = folder / "mccormick" / method / "finished.json"
    errors[method] = np.array(json.loads(path.read_text())["test_mse"])
  assert np.all(errors["sobolev"] < 0.5 * errors["regular"])


def test_saved_networks_predict_as_the_trained_ones(sweep):
  config = config_of(
    num_train=20, scaling="standard", seed=(1, 2), learning_rate=_FASTER
  )
  folder = sweep[0] / "booth" / "sobolev"
  result = json.loads((folder / "finished.json").read_text())
  test_set = regression.build_test_set(config)
  with regression.load_networks(folder, config) as (learner, scaling):
    assert regression.evaluate(learner, scaling, test_set) == result


@pytest.mark.parametrize("damage", ["cut", "empty", "another's", "a pipe"])
def test_networks_that_cannot_be_read_are_one_sentence(tmp_path, damage):
  path = tmp_path / "networks.npz"
  if damage == "a pipe":
    os.mkfifo(path)
  else:
    np.savez(path, other=np.zeros(100))
    kept = {"cut": 300, "empty": 0}.get(damage)
    path.write_bytes(path.read_bytes()[:kept])
  with pytest.raises(
    CommandError, match="networks.npz cannot be read"
  ) as error:
    with regression.load_networks(tmp_path, config_of(num_train=20)):
      raise AssertionError("they were lent")
  assert "\n" not in str(error.value)


def test_test_points_are_shared_and_apart_from_training_points():
  test_points = regression.build_test_set(config_of(num_train=20))[0]
  other = regression.build_test_set(config_of(num_train=100, seed=(9,)))[0]
  np.testing.assert_array_equal(test_points, other)
  train_points = regression.build_examples(config_of(num_train=100)).x[0]
  assert not set(map(tuple, test_points)) & set(map(tuple, train_points))


def test_two_callers_get_two_networks():
  config = config_of()
  one, other = (regression.build_learner(config) for _ in range(2))
  one.network.weights[0].assign(tf.zeros_like(one.network.weights[0]))
  assert np.any(other.network.weights[0])


def test_a_sweep_compiles_each_kind_of_step_once(sweep):
  folder, made = sweep
  assert len(list(folder.glob("*/*/finished.json"))) == 4
  assert len(made) == 2
  for learner in made:
    assert learner.train_steps.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("bad", ["loss", "gradient"])
def test_a_batch_that_is_not_finite_leaves_everything_as_it_was(bad, eagerly):
  config = config_of(num_train=20, method="sobolev")
  learner = regression.build_learner(config)
  examples = regression.build_examples(config)
  x, y, dy = (
    np.repeat(a.reshape(1, -1, *a.shape[2:]), 4, axis=0).astype(np.float32)
    for a in examples
  )
  # A squared error of 1e38 is finite; the square of its gradient is not.
  y[2, 5] = np.inf if bad == "loss" else 1e19
  y = tf.constant(y)
  losses, made = learner.train_steps(x, y, dy, tf.constant(2))
  assert made == 2
  wanted = [v.numpy() for v in learner.optimizer.variables]
  weights = [v.numpy() for v in learner.network.trainable_variables]
  learner.reset(config.seed)
  stopped, made = learner.train_steps(x, y, dy, tf.constant(4))
  assert made == 2
  np.testing.assert_array_equal(stopped, losses)
  for a, b in zip(learner.optimizer.variables, wanted, strict=True):
    np.testing.assert_array_equal(a, b)
  for a, b in zip(learner.network.trainable_variables, weights, strict=True):
    np.testing.assert_array_equal(a, b)
