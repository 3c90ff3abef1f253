"""One update of every method of distillation."""

import collections

import keras
import numpy as np
import pytest
import tensorflow as tf

from sobolev_tf.distillation.objective import (
  kl_divergence,
  policy_directions,
  policy_distillation_loss,
  projected_policy_gradient,
)
from sobolev_tf.networks.atari import (
  StudentNetwork,
  TeacherNetwork,
  frames_to_blocks,
  frames_to_input,
)
from trainers.distillation.config import METHODS, Config
from trainers.distillation.learner import _TEST_SEED, DistillationLearner
from trainers.distillation.objective import Objective

A = 4
PAPER = Objective.of(Config())


@pytest.fixture(scope="module")
def teacher():
  network = TeacherNetwork(A, seed=3)
  network.policy.w.assign(100 * network.policy.w)  # it has opinions
  return network


@pytest.fixture(scope="module")
def frames():
  rng = np.random.default_rng(0)
  return tf.constant(rng.integers(0, 256, [5, 84, 84, 4], dtype=np.uint8))


@pytest.fixture(scope="module")
def logits(teacher, frames):
  return teacher(frames_to_input(frames))


def build(teacher, seed=1, learning_rate=1e-3, **changes):
  learner = DistillationLearner(PAPER._replace(**changes), teacher, A)
  learner.reset(seed, learning_rate)
  return learner


def state(learner):
  return [variable.numpy() for variable in learner.variables]


def count_operations(learner):
  """How often each operation takes part in an update."""
  step = learner.train_step.get_concrete_function(
    tf.TensorSpec([5, 84, 84, 4], tf.uint8),
    tf.TensorSpec([5, A]),
    tf.TensorSpec([2], tf.int32),
  )
  # A traced graph holds gradients that nobody uses; they are never computed.
  operations = step.graph.get_operations()
  # The guard's condition, in whose branch the variables are updated.
  reached = {op.name: op for op in operations if op.type == "If"}
  assert reached
  todo = list(reached.values())
  while todo:
    op = todo.pop()
    for other in [*(tensor.op for tensor in op.inputs), *op.control_inputs]:
      if other.name not in reached:
        reached[other.name] = other
        todo.append(other)
  return collections.Counter(op.type for op in reached.values())


def test_blocks_hold_the_numbers_of_frames(teacher, frames):
  s, x = frames_to_input(frames), frames_to_blocks(frames)
  for network in (teacher, StudentNetwork(A)):
    v = policy_directions(network(s), (0, 1))
    log_pi, gradient = projected_policy_gradient(network, s, v)
    same, blocks = projected_policy_gradient(network.from_blocks, x, v)
    np.testing.assert_allclose(same, log_pi, atol=1e-5)
    expected = tf.nn.space_to_depth(gradient[:, 0], 4)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(blocks[:, 0], expected, atol=1e-5 * scale)


@pytest.mark.parametrize(
  "settings", [{"method": "regular"}, {"method": "sobolev", "alpha": 0.0}]
)
def test_regular_distillation_costs_no_more_than_it_should(teacher, settings):
  counts = count_operations(build(teacher, **settings))
  # Two convolutions forward, their kernels' gradients, and the gradient
  # w.r.t. what lies between them: no teacher, no gradient w.r.t. the input.
  assert counts["Conv2D"] == 2
  assert counts["Conv2DBackpropFilter"] == 2
  assert counts["Conv2DBackpropInput"] == 1


def test_the_teachers_gradients_take_one_backward_pass(teacher):
  counts = count_operations(build(teacher, method="sobolev"))
  # Three of the teacher, two of the student, and one more below the student's
  # second layer when its loss is differentiated.
  assert counts["Conv2DBackpropInput"] == 3 + 2 + 1


def test_a_sobolev_step_is_adam_on_the_papers_objective(
  teacher, frames, logits
):
  learner = build(teacher, method="sobolev", alpha=0.3)
  student = StudentNetwork(A, seed=1)
  s, v = frames_to_input(frames), policy_directions(logits, (1, 7))
  with tf.GradientTape() as tape:
    result = policy_distillation_loss(
      projected_policy_gradient(student, s, v),
      projected_policy_gradient(teacher, s, v),
      0.3,
    )
    loss = tf.reduce_mean(result.loss)
  variables = student.trainable_variables
  optimizer = keras.optimizers.Adam(1e-3)
  optimizer.build(variables)
  gradients = tape.gradient(loss, variables)
  optimizer.apply(gradients, variables)

  logs = learner.train_step(frames, logits, tf.constant([1, 7]))
  np.testing.assert_allclose(logs["loss"], loss, rtol=1e-5)
  np.testing.assert_allclose(
    logs["gradient_distance"],
    tf.reduce_mean(result.gradient_distance),
    rtol=1e-4,
  )
  for ours, wanted, gradient in zip(
    learner.student.trainable_variables, variables, gradients, strict=True
  ):
    # Adam's first step divides a gradient by its size: where it is rounding
    # noise, its sign is, too.
    is_clear = np.abs(gradient) > 1e-3 * np.abs(gradient).max()
    np.testing.assert_allclose(
      ours.numpy()[is_clear], wanted.numpy()[is_clear], atol=2e-5
    )


@pytest.mark.parametrize("method", METHODS)
def test_every_method_moves_the_student_and_not_the_teacher(
  eagerly, teacher, frames, logits, method
):
  learner = build(teacher, method=method)
  before = [v.numpy() for v in teacher.variables]
  start = [v.numpy() for v in learner.student.variables]
  logs = learner.train_step(frames, logits, tf.constant([1, 0]))
  assert np.isfinite(logs["loss"])
  assert ("gradient_distance" in logs) == (method in ("sobolev", "attention"))
  for variable, value in zip(teacher.variables, before, strict=True):
    np.testing.assert_array_equal(variable, value)
  for variable, value in zip(learner.student.variables, start, strict=True):
    assert np.any(variable != value), variable.name


def test_variants_of_the_gradients_distance_are_different_steps(
  eagerly, teacher, frames, logits
):
  losses = [
    learner.train_step(frames, logits, tf.constant([1, 0]))["loss"].numpy()
    for learner in (
      build(teacher, method="sobolev", **changes)
      for changes in (
        {},
        {"norm": "squared"},
        {"directions": "argmax"},
        {"unit_norm": True},
        {"num_projections": 3},
        {"kl": "teacher_student"},
      )
    )
  ]
  assert np.all(np.isfinite(losses)) and len(set(losses)) == len(losses)


def test_attention_transfer_is_equation_3_for_the_teachers_action(
  eagerly, teacher, frames, logits
):
  learner = build(teacher, method="attention", alpha=0.4)
  s, label = frames_to_input(frames), policy_directions(logits, 0, "argmax")
  log_pi, g = projected_policy_gradient(learner.student, s, label)
  _, t = projected_policy_gradient(teacher, s, label)
  own = -np.sum(label[:, 0] * log_pi, axis=1)
  distance = np.sqrt(np.sum((g - t) ** 2, axis=(1, 2, 3, 4)))
  divergence = np.mean(kl_divergence(log_pi, logits))
  logs = learner.train_step(frames, logits, tf.constant([1, 0]))
  np.testing.assert_allclose(
    logs["loss"], np.mean(own + 0.4 * distance), rtol=1e-5
  )
  np.testing.assert_allclose(logs["divergence"], divergence, rtol=1e-4)


def test_noise_of_size_zero_is_regular_distillation(
  eagerly, teacher, frames, logits
):
  losses = []
  for changes in (
    {"method": "regular"},
    {"method": "noise", "noise": 0.0},
    {"method": "noise", "noise": 0.5},
  ):
    learner = build(teacher, **changes)
    logs = learner.train_step(frames, logits, tf.constant([1, 0]))
    losses.append(float(logs["loss"]))
  np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
  assert abs(losses[2] / losses[0] - 1) > 1e-3


def test_a_reset_learner_repeats_itself(teacher, frames, logits):
  learner = build(teacher, method="sobolev")
  ends = []
  for _ in range(2):
    learner.reset(seed=4, learning_rate=1e-3)
    for step in range(2):
      learner.train_step(frames, logits, tf.constant([4, step]))
    ends.append(state(learner))
  for a, b in zip(*ends, strict=True):
    np.testing.assert_array_equal(a, b)


def test_measures_weigh_every_frame_alike(teacher, frames, logits):
  learner = build(teacher)
  parts = [(frames[:2], logits[:2]), (frames[2:], logits[2:])]
  whole = learner.evaluate([(frames, logits)])
  np.testing.assert_allclose(learner.evaluate(parts), whole, rtol=1e-5)
  student = learner.student(frames_to_input(frames))
  error = np.mean(np.argmax(student, axis=1) != np.argmax(logits, axis=1))
  kl = np.mean(kl_divergence(student, logits))
  np.testing.assert_allclose(whole, [error, kl], rtol=1e-4)


def test_gradients_are_compared_frame_by_frame(
  eagerly, teacher, frames, logits
):
  learner = build(teacher)
  found = learner.compare_gradients(frames, logits)
  s, v = frames_to_input(frames), policy_directions(logits, _TEST_SEED)
  pair = [
    np.reshape(projected_policy_gradient(network, s, v)[1], [5, -1])
    for network in (learner.student, teacher)
  ]
  norms = [np.sqrt(np.sum(g**2, axis=1)) for g in pair]
  distance = np.sqrt(np.sum((pair[0] - pair[1]) ** 2, axis=1))
  cosine = np.sum(pair[0] * pair[1], axis=1) / (norms[0] * norms[1])
  expected = {
    "gradient_distance": np.mean(distance),
    "gradient_cosine": np.mean(cosine),
    "teacher_gradient_norm": np.mean(norms[1]),
  }
  assert found == pytest.approx(expected, rel=1e-4)


def test_a_student_that_sees_nothing_is_as_far_as_the_teachers_norm(
  eagerly, teacher, frames, logits
):
  learner = build(teacher)
  for variable in learner.student.variables:
    variable.assign(tf.zeros_like(variable))
  found = learner.compare_gradients(frames, logits)
  assert found["gradient_cosine"] == 0
  assert found["gradient_distance"] == found["teacher_gradient_norm"] > 0


def test_a_gradient_that_is_not_finite_changes_nothing_until_a_reset(
  eagerly, teacher, frames, logits
):
  learner = build(teacher, method="sobolev")
  seed = tf.constant([1, 0])
  v = PAPER.draw_directions(logits, seed)
  gradient = tf.fill([5, 1, 21, 21, 64], np.float32(np.nan))
  before = state(learner)
  logs = learner.train_step(frames, logits, seed, (v, gradient))
  assert not logs["is_made"]
  assert not learner.train_step(frames, logits, seed)["is_made"]
  for a, b in zip(state(learner), before, strict=True):
    np.testing.assert_array_equal(a, b)
  learner.reset(1, 1e-3)
  assert learner.train_step(frames, logits, seed)["is_made"]


def test_a_step_takes_the_directions_that_it_is_given(
  eagerly, teacher, frames, logits
):
  learner = build(teacher, method="sobolev")
  seed, other = tf.constant([1, 0]), tf.constant([1, 99])
  v = PAPER.draw_directions(logits, other)
  x = frames_to_blocks(frames)
  _, gradient = projected_policy_gradient(teacher.from_blocks, x, v)
  given = learner.train_step(frames, logits, seed, (v, gradient))
  learner.reset(1, 1e-3)
  drawn = learner.train_step(frames, logits, other)
  learner.reset(1, 1e-3)
  else_drawn = learner.train_step(frames, logits, seed)
  assert given["loss"] == drawn["loss"] != else_drawn["loss"]


def test_weight_decay_takes_off_its_share_of_the_weights_alone(
  teacher, frames, logits
):
  """AdamW: w - rate * decay * w, besides the update that Adam makes."""
  ends, rate, decay = [], 1e-3, 100.0
  learner = build(teacher, method="regular")
  for given in (0.0, decay):
    learner.reset(1, rate, given)
    start = [v.numpy() for v in learner.student.trainable_variables]
    assert learner.train_step(frames, logits, tf.constant([1, 0]))["is_made"]
    ends.append([v.numpy() for v in learner.student.trainable_variables])
  for first, plain, decayed in zip(start, *ends, strict=True):
    share = rate * decay if first.ndim > 1 else 0.0
    np.testing.assert_allclose(plain - decayed, share * first, atol=1e-6)
