"""`DistillationModel`: a student of the user's own, trained on states alone."""

import keras
import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

from sobolev_tf.distillation import (
  DistillationModel,
  kl_divergence,
  policy_directions,
  policy_distillation_loss,
  projected_policy_gradient,
)

ACTIONS, STATE = 3, 4


def network(units, seed, activation=None):
  init = [keras.initializers.GlorotUniform(seed + i) for i in range(2)]
  return keras.Sequential(
    [
      keras.layers.Dense(units, "tanh", kernel_initializer=init[0]),
      keras.layers.Dense(ACTIONS, activation, kernel_initializer=init[1]),
    ]
  )


@pytest.fixture
def states():
  return np.random.default_rng(0).uniform(-1, 1, [64, STATE]).astype("float32")


@pytest.fixture
def teacher(states):
  built = network(12, 7)
  built(states)
  return built


def compiled(student, teacher, rate=0.02, **settings):
  model = DistillationModel(student, teacher, **settings)
  model.compile(keras.optimizers.SGD(rate))
  return model


def test_a_step_follows_the_gradient_of_the_paper_s_objective(states, teacher):
  student = network(8, 1)
  model = compiled(student, teacher, alpha=0.7, seed=5, num_projections=2)
  model.build(states.shape)
  before = [w.numpy() for w in student.trainable_variables]
  s = tf.constant(states)
  v = policy_directions(
    teacher(s), tf.constant([5, 0], tf.int64), num_projections=2
  )
  with tf.GradientTape() as tape:
    loss = policy_distillation_loss(
      projected_policy_gradient(student, s, v),
      projected_policy_gradient(teacher, s, v),
      0.7,
    ).loss
    mean = tf.reduce_mean(loss)
  gradients = tape.gradient(mean, student.trainable_variables)
  model.fit(states, batch_size=64, shuffle=False, verbose=0)
  for old, g, w in zip(
    before, gradients, student.trainable_variables, strict=True
  ):
    np.testing.assert_allclose((old - w) / 0.02, g, rtol=1e-3, atol=1e-5)


def test_alpha_zero_is_regular_distillation(states, teacher):
  model = compiled(network(8, 1), teacher, alpha=0)
  found = model.evaluate(states, verbose=0, return_dict=True)
  expected = kl_divergence(model.student(states), teacher(states))
  np.testing.assert_allclose(found["loss"], np.mean(expected), rtol=1e-5)
  assert set(found) == {"loss", "kl", "action_error"}


def test_matching_gradients_brings_them_closer_than_values_alone(
  states, teacher
):
  distances = []
  for alpha in (0, 1.0):
    student = network(8, 1)
    steps = tf.data.Dataset.from_tensors(states).repeat(40)
    compiled(student, teacher, 0.3, alpha=alpha).fit(steps, verbose=0)
    judge = compiled(student, teacher, alpha=1.0)
    distances.append(
      judge.evaluate(states, verbose=0, return_dict=True)["gradient_distance"]
    )
  assert distances[1] < 0.7 * distances[0], distances


def test_the_teacher_is_not_trained_and_its_weights_are_not_the_model_s(
  states, teacher
):
  before = [w.numpy() for w in teacher.variables]
  model = compiled(network(8, 1), teacher)
  model.fit(states, verbose=0)
  assert len(model.trainable_weights) == 4
  for old, w in zip(before, teacher.variables, strict=True):
    np.testing.assert_array_equal(old, w)


def test_probabilities_are_taken_where_they_are_declared(states, teacher):
  student = network(8, 1)
  logits = compiled(student, teacher).evaluate(states, verbose=0)
  softmax = compiled(
    keras.Sequential([student, keras.layers.Softmax()]),
    lambda s: tf.nn.softmax(teacher(s)),
    student_from_logits=False,
    teacher_from_logits=False,
  )
  np.testing.assert_allclose(
    softmax.evaluate(states, verbose=0), logits, rtol=1e-4
  )


def test_a_sonnet_student_learns_and_its_weights_are_saved(
  states, teacher, tmp_path
):
  model = compiled(snt.nets.MLP([8, ACTIONS], activation=tf.tanh), teacher, 0.1)
  first = model.evaluate(states, verbose=0)
  model.fit(tf.data.Dataset.from_tensors(states).repeat(20), verbose=0)
  last = model.evaluate(states, verbose=0)
  assert last < first
  path = str(tmp_path / "student.weights.h5")
  model.save_weights(path)
  other = compiled(snt.nets.MLP([8, ACTIONS], activation=tf.tanh), teacher)
  other.build(states.shape)
  other.load_weights(path)
  np.testing.assert_allclose(other.evaluate(states, verbose=0), last, rtol=1e-6)


@pytest.mark.parametrize(
  ("settings", "phrase"),
  [
    ({"alpha": -1.0}, "alpha must be finite and not negative, not -1.0"),
    ({"alpha": float("nan")}, "alpha must be finite"),
    ({"directions": "all"}, "directions must be one of sphere, argmax"),
    ({"num_projections": 0}, "num_projections at least 1"),
    ({"kl": "both"}, "kl must be one of student_teacher, teacher_student"),
    ({"teacher": 3}, "teacher must be a callable"),
    ({"student": 3}, "network must be a Keras model"),
  ],
)
def test_a_wrong_argument_is_one_sentence(settings, phrase):
  arguments = {"student": network(8, 1), "teacher": network(8, 2), **settings}
  with pytest.raises(ValueError, match=phrase):
    DistillationModel(**arguments)


@pytest.mark.parametrize(
  ("call", "phrase"),
  [
    (lambda m, s: m.fit(s, np.zeros(64), verbose=0), "from states alone"),
    (lambda m, s: m.compile(loss="mse"), "takes no loss"),
    (lambda m, s: m.save("student.keras"), "save the student"),
  ],
)
def test_a_call_that_cannot_be_meant_is_one_sentence(
  call, phrase, states, teacher
):
  model = compiled(network(8, 1), teacher)
  model.run_eagerly = True
  with pytest.raises(ValueError, match=phrase):
    call(model, states)


def test_other_numbers_of_actions_are_named(states, teacher):
  student = keras.Sequential([keras.layers.Dense(ACTIONS + 1)])
  model = compiled(student, teacher)
  with pytest.raises(ValueError, match=r"student returns \(None, 4\)"):
    model.fit(states, batch_size=64, verbose=0)


def test_batch_normalisation_is_refused_with_gradients(states, teacher):
  student = keras.Sequential(
    [keras.layers.BatchNormalization(), keras.layers.Dense(ACTIONS)]
  )
  with pytest.raises(ValueError, match="mixes the examples of a batch"):
    compiled(student, teacher).fit(states, verbose=0)
