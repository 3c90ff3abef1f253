"""The attention-transfer loss, Eq. (3) of the supplement."""

import numpy as np
import pytest
import tensorflow as tf

from sobolev_tf.derivatives.nested_tapes import derivatives
from sobolev_tf.distillation.objective import attention_transfer_loss
from sobolev_tf.training.losses import sobolev_loss


def test_the_loss_is_the_formula():
  rng = np.random.default_rng(0)
  own, gradient, target = (
    rng.normal(size=s) for s in ([4], [4, 2, 3], [4, 2, 3])
  )
  result = attention_transfer_loss((own, gradient), target, alpha=0.7)
  distance = np.sqrt(np.sum((gradient - target) ** 2, axis=(1, 2)))
  np.testing.assert_allclose(result.loss, own + 0.7 * distance, rtol=1e-12)
  np.testing.assert_allclose(result.terms[0], own, rtol=1e-12)
  np.testing.assert_allclose(result.terms[1], distance, rtol=1e-12)


def test_it_is_the_sobolev_loss_of_a_perfect_teacher():
  rng = np.random.default_rng(1)
  predicted = rng.uniform(0, 1, 4), rng.normal(size=[4, 3])
  target = rng.normal(size=[4, 3])
  transfer = attention_transfer_loss(predicted, target, 0.3).loss
  sobolev = sobolev_loss(
    predicted, (np.zeros(4), target), (1, 0.3), loss=("l1", "norm")
  ).loss
  np.testing.assert_allclose(transfer, sobolev, rtol=1e-12)


def test_its_gradient_with_respect_to_parameters_is_right():
  x = tf.random.stateless_normal([5, 3], [0, 0], dtype=tf.float64)
  target = tf.random.stateless_normal([5, 3], [0, 1], dtype=tf.float64)
  start = np.random.default_rng(2).normal(size=3)

  def loss(w):
    predicted = derivatives(
      lambda z: tf.square(tf.sin(tf.linalg.matvec(z, w))), x
    )
    return tf.reduce_sum(attention_transfer_loss(predicted, target, 0.6).loss)

  w = tf.constant(start)
  with tf.GradientTape() as tape:
    tape.watch(w)
    value = loss(w)
  numeric = [
    (loss(tf.constant(start + e)) - loss(tf.constant(start - e))) / 2e-5
    for e in 1e-5 * np.eye(3)
  ]
  np.testing.assert_allclose(tape.gradient(value, w), numeric, rtol=1e-5)


def test_unknown_teacher_gradients_contribute_nothing():
  predicted = (tf.constant([1.0, 2.0]), tf.constant([[3.0], [5.0]]))
  target = tf.constant([[np.nan], [1.0]])
  result = attention_transfer_loss(predicted, target, 2.0)
  np.testing.assert_array_equal(result.loss, [1.0, 10.0])


def test_wrong_shapes_are_refused():
  with pytest.raises(ValueError, match="must match exactly"):
    attention_transfer_loss((tf.ones([2]), tf.ones([2, 3])), tf.ones([2, 1]))
  with pytest.raises(ValueError, match="one loss per example"):
    attention_transfer_loss((tf.ones([2, 1]), tf.ones([2, 3])), tf.ones([2, 3]))
  with pytest.raises(ValueError, match="its input gradient"):
    attention_transfer_loss((tf.ones([2]),), tf.ones([2, 3]))
