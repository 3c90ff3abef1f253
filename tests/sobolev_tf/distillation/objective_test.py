"""The policy distillation objective of §4.2 and its measures."""

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from sobolev_tf.distillation.objective import (
  action_prediction_error,
  kl_divergence,
  policy_directions,
  policy_distillation_loss,
  policy_entropy,
  projected_policy_gradient,
)

B, A, D = 6, 4, 5


def draw(seed, *shape):
  return np.random.default_rng(seed).normal(size=shape)


def linear(w):
  return lambda s: tf.matmul(s, w)


def smooth(parameters):
  """A policy with curvature: one hidden layer of tanh."""
  w, u = parameters
  return lambda s: tf.matmul(tf.tanh(tf.matmul(s, w)), u)


def linear_gradient(w, s, v):
  """grad <log softmax(s w), v> in numpy: w (v - pi sum v)."""
  pi = scipy.special.softmax(s @ w, axis=1)[:, np.newaxis]  # [B, 1, A]
  return (v - pi * v.sum(axis=2, keepdims=True)) @ w.T  # [B, P, D]


def divergence(p, q):
  p, q = (scipy.special.log_softmax(z, axis=1) for z in (p, q))
  return np.sum(np.exp(p) * (p - q), axis=1)


@pytest.fixture
def linear_case():
  s, v = draw(0, B, D), draw(1, B, 3, A)
  return s, v, draw(2, D, A), draw(3, D, A)


def terms(w, s, v):
  return projected_policy_gradient(linear(w), tf.constant(s), tf.constant(v))


def test_gradient_of_a_linear_policy_is_the_closed_form(linear_case):
  s, v, w, _ = linear_case
  log_pi, gradient = terms(w, s, v)
  np.testing.assert_allclose(
    log_pi, scipy.special.log_softmax(s @ w, axis=1), rtol=1e-12
  )
  np.testing.assert_allclose(
    gradient, linear_gradient(w, s, v), rtol=1e-12, atol=1e-13
  )


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("unit_norm", [False, True])
def test_loss_of_linear_policies_is_the_formula(
  linear_case, squared, unit_norm
):
  s, v, w, u = linear_case
  result = policy_distillation_loss(
    terms(w, s, v),
    terms(u, s, v),
    0.3,
    squared=squared,
    unit_norm=unit_norm,
  )
  g, t = linear_gradient(w, s, v), linear_gradient(u, s, v)
  if unit_norm:
    g, t = (x / np.linalg.norm(x, axis=2, keepdims=True) for x in (g, t))
  distance = np.linalg.norm(g - t, axis=2)  # [B, P]
  distance = np.mean(distance**2 if squared else distance, axis=1)
  kl = divergence(s @ w, s @ u)
  np.testing.assert_allclose(result.divergence, kl, rtol=1e-12)
  np.testing.assert_allclose(result.gradient_distance, distance, rtol=1e-12)
  np.testing.assert_allclose(result.loss, kl + 0.3 * distance, rtol=1e-12)


def test_divergence_goes_either_way():
  p, q = draw(0, B, A), draw(1, B, A)
  written = policy_distillation_loss((p,), (q,))
  turned = policy_distillation_loss((p,), (q,), kl="teacher_student")
  np.testing.assert_allclose(written.loss, divergence(p, q), rtol=1e-12)
  np.testing.assert_allclose(turned.loss, divergence(q, p), rtol=1e-12)
  assert written.gradient_distance is None


def test_policy_gradient_agrees_with_finite_differences():
  policy = smooth((draw(0, D, 7), draw(1, 7, A)))
  s, v = draw(2, B, D), draw(3, B, 1, A)
  _, gradient = projected_policy_gradient(policy, tf.constant(s), v)

  def projected(z):
    log_pi = tf.nn.log_softmax(policy(tf.constant(z)))
    return np.sum(log_pi * v[:, 0], axis=1)

  for axis in range(D):
    step = 1e-5 * np.eye(D)[axis]
    numeric = (projected(s + step) - projected(s - step)) / 2e-5
    np.testing.assert_allclose(gradient[:, 0, axis], numeric, atol=1e-6)


@pytest.mark.parametrize("unit_norm", [False, True])
def test_gradient_with_respect_to_parameters_is_right(unit_norm):
  s = tf.constant(draw(0, B, D))
  teacher = smooth((draw(1, D, 7), draw(2, 7, A)))
  v = policy_directions(teacher(s), (5, 6), num_projections=2)
  target = projected_policy_gradient(teacher, s, v)
  start = [draw(3, D, 6), draw(4, 6, A)]

  def loss(parameters):
    predicted = projected_policy_gradient(smooth(parameters), s, v)
    return tf.reduce_sum(
      policy_distillation_loss(predicted, target, 0.3, unit_norm=unit_norm).loss
    )

  parameters = [tf.constant(w) for w in start]
  with tf.GradientTape() as tape:
    tape.watch(parameters)
    value = loss(parameters)
  found = tape.gradient(value, parameters)
  for which in range(2):
    numeric = np.zeros_like(start[which])
    for index in np.ndindex(numeric.shape):
      ends = []
      for sign in (1, -1):
        moved = [w.copy() for w in start]
        moved[which][index] += sign * 1e-5
        ends.append(loss([tf.constant(w) for w in moved]))
      numeric[index] = (ends[0] - ends[1]) / 2e-5
    np.testing.assert_allclose(found[which], numeric, rtol=1e-5, atol=1e-8)


def test_nothing_flows_into_the_teacher(linear_case):
  s, v, w, u = linear_case
  teacher, student = tf.Variable(u), tf.Variable(w)
  with tf.GradientTape() as tape:
    result = policy_distillation_loss(
      terms(student, s, v), terms(teacher, s, v), 0.3
    )
  gradients = tape.gradient(result.loss, [teacher, student])
  assert gradients[0] is None
  assert np.all(gradients[1] != 0)


@pytest.mark.parametrize("unit_norm", [False, True])
def test_a_student_that_equals_its_teacher_has_finite_gradients(unit_norm):
  s, v = draw(0, B, D), draw(1, B, 1, A)
  # The second has no gradient at all: its policy ignores the state.
  for w in (draw(2, D, A), np.zeros([D, A])):
    student = tf.Variable(w)
    with tf.GradientTape() as tape:
      result = policy_distillation_loss(
        terms(student, s, v), terms(w, s, v), 0.3, unit_norm=unit_norm
      )
    np.testing.assert_allclose(result.loss, 0, atol=1e-12)
    gradient = tape.gradient(result.loss, student)
    np.testing.assert_allclose(gradient, 0, atol=1e-12)


def test_directions_are_uniform_and_a_function_of_the_seed():
  z = np.zeros([4000, 3])
  v = policy_directions(z, (1, 2), num_projections=2).numpy()
  assert v.shape == (4000, 2, 3)
  np.testing.assert_allclose(np.linalg.norm(v, axis=2), 1, rtol=1e-12)
  second = np.einsum("bpi,bpj->ij", v, v) / 8000
  np.testing.assert_allclose(second, np.eye(3) / 3, atol=0.02)
  np.testing.assert_array_equal(
    v, policy_directions(z, (1, 2), num_projections=2)
  )
  assert np.all(v != policy_directions(z, (1, 3), num_projections=2))


def test_argmax_row_is_the_gradient_of_the_most_probable_action(linear_case):
  s, _, w, u = linear_case
  v = policy_directions(s @ u, 0, directions="argmax")
  assert v.shape == (B, 1, A)
  _, gradient = terms(w, s, v)
  best = np.argmax(s @ u, axis=1)
  pi = scipy.special.softmax(s @ w, axis=1)
  rows = w.T[best] - pi @ w.T
  np.testing.assert_allclose(gradient[:, 0], rows, rtol=1e-12, atol=1e-13)


def test_measures():
  student = np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 3.0]])
  teacher = np.array([[1.0, 0.0, 0.0], [0.0, 5.0, 4.0]])
  np.testing.assert_array_equal(
    action_prediction_error(student, teacher), [0, 1]
  )
  np.testing.assert_allclose(policy_entropy(np.zeros([2, 5])), np.log(5))
  np.testing.assert_allclose(
    kl_divergence(student, teacher), divergence(student, teacher), rtol=1e-12
  )
  # Probabilities that underflow contribute zero, not NaN.
  sharp = tf.constant([[0.0, -1e4]])
  np.testing.assert_array_equal(
    kl_divergence(sharp, tf.zeros([1, 2])), [np.float32(np.log(2))]
  )
  assert policy_entropy(sharp).numpy() == 0


def test_faults_are_one_sentence():
  z, g = np.ones([2, A]), np.ones([2, 1, D])
  cases = [
    (((z, g), (z,)), {}, "give the logits"),
    (((z, g), (z, g[:, :, :3])), {}, "the same directions"),
    (((z,), (z[:, :3],)), {}, "with the same actions"),
    (((z,), (z,)), {"kl": "forward"}, "must be one of student_teacher"),
  ]
  for arguments, options, phrase in cases:
    with pytest.raises(ValueError, match=phrase) as error:
      policy_distillation_loss(*arguments, **options)
    assert "\n" not in str(error.value)
  with pytest.raises(ValueError, match=r"\[B, P, A\]"):
    projected_policy_gradient(linear(draw(0, D, A)), draw(1, 2, D), z)
  with pytest.raises(ValueError, match="must be one of sphere, argmax"):
    policy_directions(z, 0, directions="all")
