"""The objective by itself, without Keras' training loop."""

import numpy as np
import pytest
import tensorflow as tf

from sobolev_tf.training.objective import Objective
from sobolev_tf.training.scaling import Scaling

_X = np.random.default_rng(0).uniform(-1, 1, [6, 2])
_W = np.array([[0.3, -1.2, 0.5], [0.8, 0.4, -0.7]])


def _network(z, w=_W):
  return tf.sin(z @ w)  # [B, 3]


def _labels():
  """Labels that are off by known errors: y, dy `[B, 3, 2]`."""
  rng = np.random.default_rng(1)
  errors = rng.normal(size=[6, 3]), rng.normal(size=[6, 3, 2])
  slopes = np.cos(_X @ _W)[:, :, None] * _W.T
  return (np.sin(_X @ _W) + errors[0], slopes + errors[1]), errors


def _built(kind=None):
  scaling = Scaling(kind, dtype="float64")
  scaling.build((None, 2), (None, 3))
  return scaling


def _evaluate(objective, labels, step=0, scaling=None, **kwargs):
  x = tf.constant(_X)
  return objective(_network, x, labels, scaling or _built(), step, **kwargs)


@pytest.mark.parametrize("loss", ["l1", "l2", "norm"])
def test_the_loss_of_an_example_is_the_equation(loss):
  labels, errors = _labels()
  objective = Objective.of(loss, loss, derivative_weights=0.3)
  losses, comparison = _evaluate(objective, labels)
  flat = [error.reshape(6, -1) for error in errors]
  norms = {
    "l1": [np.abs(e).sum(axis=1) for e in flat],
    "l2": [(e**2).sum(axis=1) for e in flat],
    "norm": [np.linalg.norm(e, axis=1) for e in flat],
  }
  value, slope = norms[loss]
  np.testing.assert_allclose(losses, value + 0.3 * slope, rtol=1e-12)
  assert [term.name for term in comparison.terms] == ["value", "d1"]
  for (_, found, known), error in zip(comparison.errors(), errors, strict=True):
    np.testing.assert_allclose(found, -error.ravel(), atol=1e-12)
    assert np.all(known)


@pytest.mark.parametrize("loss", ["l1", "l2", "norm", "huber"])
@pytest.mark.parametrize("kind", [None, "dml"])
def test_projections_count_with_the_mean_of_their_losses(loss, kind):
  labels, _ = _labels()
  losses, comparison = _evaluate(
    Objective.of(derivative_losses=loss, num_projections=4),
    labels,
    scaling=_built(kind),
  )
  value, slope = comparison.terms
  # Each projection's own loss, as if P = 1, then the mean.
  errors = (slope.predicted - slope.target).numpy()  # [B, P, 2]
  elements = {
    "l1": np.abs(errors),
    "l2": errors**2,
    "norm": errors**2,
    "huber": np.where(np.abs(errors) <= 1, errors**2 / 2, np.abs(errors) - 0.5),
  }[loss]
  reduce = np.mean if kind else np.sum
  each = reduce(elements, axis=2)
  each = np.sqrt(each) if loss == "norm" else each
  of_value, of_slope = (1 / 3, 2 / 3) if kind else (1, 1)
  expected = of_slope * each.mean(axis=1)
  expected += of_value * reduce(
    (value.predicted - value.target).numpy() ** 2, axis=1
  )
  np.testing.assert_allclose(losses, expected, rtol=1e-12)


def test_directions_follow_seed_and_step_in_training_and_stay_when_measuring():
  labels, _ = _labels()

  def losses(seed, step, training=True):
    objective = Objective.of(num_projections=1, seed=seed)
    return _evaluate(objective, labels, step, training=training)[0].numpy()

  np.testing.assert_array_equal(losses(0, 5), losses(0, 5))
  assert not np.allclose(losses(0, 5), losses(0, 6))
  assert not np.allclose(losses(0, 5), losses(1, 5))
  measured = losses(0, 5, training=False)
  np.testing.assert_array_equal(measured, losses(0, 6, training=False))


def test_it_trains_in_a_loop_of_ones_own():
  labels, _ = _labels()
  objective = Objective.of(derivative_weights=lambda step: 0.5**step)
  scaling = _built("standard")
  scaling.adapt([(_X, labels)])
  w = tf.Variable(np.zeros_like(_W))
  examples = objective.examples(tf.constant(_X), labels, scaling)

  @tf.function
  def train(updates):
    for step in tf.range(updates):
      with tf.GradientTape() as tape:
        losses, _ = objective.on_examples(
          lambda z: _network(z, w), examples, scaling, step
        )
        loss = tf.reduce_mean(losses)
      w.assign_sub(0.1 * tape.gradient(loss, w))

  train(tf.constant(3))
  by_hand = tf.Variable(np.zeros_like(_W))
  for step in range(3):
    with tf.GradientTape() as tape:
      losses, _ = Objective.of(derivative_weights=0.5**step)(
        lambda z: _network(z, by_hand), tf.constant(_X), labels, scaling, step
      )
      loss = tf.reduce_mean(losses)
    by_hand.assign_sub(0.1 * tape.gradient(loss, by_hand))
  np.testing.assert_allclose(w, by_hand, rtol=1e-12)


def test_sample_weights_multiply_the_loss_of_their_example():
  labels, _ = _labels()
  weights = np.arange(6.0)
  plain, _ = _evaluate(Objective.of(), labels)
  for given in (weights, weights[:, None]):
    weighed, _ = _evaluate(Objective.of(), labels, sample_weight=given)
    np.testing.assert_allclose(weighed, weights * plain, rtol=1e-12)


def test_measuring_takes_every_order_that_has_labels():
  labels, _ = _labels()
  objective = Objective.of(derivative_weights=0)
  for training, names in ((True, ["value"]), (False, ["value", "d1"])):
    _, comparison = _evaluate(objective, labels, training=training)
    assert [term.name for term in comparison.terms] == names
