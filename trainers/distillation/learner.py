"""A student policy with its optimizer and the compiled steps."""

import tensorflow as tf

from sobolev_tf.distillation.objective import (
  action_prediction_error,
  kl_divergence,
  policy_directions,
  projected_policy_gradient,
)
from sobolev_tf.networks.atari import (
  StudentNetwork,
  frames_to_blocks,
  frames_to_input,
)
from sobolev_tf.synthetic_gradients import is_decayed
from sobolev_tf.training.optimizers import SharedAdam
from trainers.lifecycle.guard import Guard, size_of, update_if

_TEST_SEED = 0x50B01E5  # far from any seed that a person would choose


class DistillationLearner:
  """Student, optimizer and compiled steps.

  Attributes:
    student: a `StudentNetwork`.
    optimizer: Adam, of its variables.
  """

  def __init__(self, objective, teacher, num_actions):
    """Builds everything, all variables included; `reset` comes before use.

    Args:
      objective: an `Objective`.
      teacher: a `TeacherNetwork`; its variables stay as they are.
      num_actions: size of both policies.
    """
    self._objective = objective
    self._teacher = teacher
    self._num_actions = num_actions
    self.student = StudentNetwork(num_actions)
    self._learning_rate = tf.Variable(0.0, trainable=False)
    self._weight_decay = tf.Variable(0.0, trainable=False)
    self.optimizer = SharedAdam(self._learning_rate)
    self.optimizer.build(self.student.trainable_variables)
    self._guard = Guard()

  def reset(self, seed, learning_rate, weight_decay=0.0):
    """Returns to an untrained state, so that compiled steps are reused.

    Args:
      seed: of the initial weights.
      learning_rate: of Adam.
      weight_decay: share of each weight, times the learning rate, that an
        update takes off besides (Loshchilov and Hutter 2019); biases have none.
    """
    fresh = StudentNetwork(self._num_actions, seed=seed)
    for variable, value in zip(
      self.student.variables, fresh.variables, strict=True
    ):
      variable.assign(value)
    for variable in self._optimizer_variables:
      variable.assign(tf.zeros_like(variable))
    self._learning_rate.assign(learning_rate)
    self._weight_decay.assign(weight_decay)
    self._guard.open()

  def trackables(self):
    """What a checkpoint holds."""
    return {"student": self.student, "optimizer": self.optimizer}

  @property
  def variables(self):
    """Every variable of `trackables`."""
    return [*self.student.variables, *self._optimizer_variables]

  @property
  def _optimizer_variables(self):
    slots = self.optimizer.slots
    return [self.optimizer.iterations, *slots[0], *slots[1]]

  @tf.function(reduce_retracing=True, autograph=False)
  def train_step(self, frames, teacher_logits, seed, projection=None):
    """Makes one update.

    Args:
      frames: uint8 `[B, 84, 84, 4]`.
      teacher_logits: the teacher's logits for them, `[B, A]`.
      seed: two integers, the run's seed and the step; directions and noise
        are functions of them.
      projection: as `Objective.gradients` takes it.

    Returns:
      dict of scalar tensors, means over the batch: `loss`, `divergence` and,
      where gradients are compared, `gradient_distance`; and `is_made`, whether
      the guard admitted the update.
    """
    gradients, parts = self._objective.gradients(
      self.student,
      self._teacher,
      frames,
      teacher_logits,
      seed,
      projection,
    )
    is_made = self._guard.admits(size_of(parts.loss, gradients))
    update_if(is_made, lambda: self._apply(gradients))
    known = {k: v for k, v in parts._asdict().items() if v is not None}
    return {**known, "is_made": is_made}

  def _apply(self, gradients):
    update_if(self._weight_decay > 0.0, self._decay)
    self.optimizer.apply(gradients, self.student.trainable_variables)

  def _decay(self):
    kept = 1.0 - self._learning_rate * self._weight_decay
    for variable in self.student.trainable_variables:
      if is_decayed(variable):
        variable.assign(kept * variable)

  @tf.function(reduce_retracing=True, autograph=False)
  def predict(self, frames):
    """The student's logits `[B, A]` for uint8 frames `[B, 84, 84, 4]`."""
    return self.student(frames_to_input(frames))

  def evaluate(self, batches):
    """Both measures of Figure 4 over held-out frames.

    Args:
      batches: iterable of (frames, teacher_logits).

    Returns:
      (error, kl): the share of frames whose most probable actions differ, and
      the mean of KL(student || teacher), the paper's measure whatever the
      loss was.
    """
    error, divergence, count = 0.0, 0.0, 0
    for frames, teacher_logits in batches:
      logits = self.predict(tf.constant(frames))
      differ = action_prediction_error(logits, teacher_logits)
      error += float(tf.reduce_sum(differ))
      divergence += float(tf.reduce_sum(kl_divergence(logits, teacher_logits)))
      count += len(frames)
    return error / count, divergence / count

  @tf.function(reduce_retracing=True, autograph=False)
  def _projected_gradients(self, frames, teacher_logits):
    x = frames_to_blocks(frames)
    v = policy_directions(teacher_logits, _TEST_SEED)
    return [
      tf.reshape(
        projected_policy_gradient(network.from_blocks, x, v)[1],
        [tf.shape(x)[0], -1],
      )
      for network in (self.student, self._teacher)
    ]

  def compare_gradients(self, frames, teacher_logits):
    """The projected gradients of both policies on held-out frames.

    Args:
      frames: uint8 `[N, 84, 84, 4]`.
      teacher_logits: the teacher's logits for them, `[N, A]`.

    Returns:
      dict of means over the frames, along one direction each:
      `gradient_distance`, the objective's second term; `gradient_cosine`
      between student and teacher; `teacher_gradient_norm`, which is the
      distance of a student that sees nothing.
    """
    student, teacher = self._projected_gradients(
      tf.constant(frames), teacher_logits
    )
    norm = tf.norm(teacher, axis=1)
    cosine = tf.math.divide_no_nan(
      tf.reduce_sum(student * teacher, axis=1), tf.norm(student, axis=1) * norm
    )
    measured = {
      "gradient_distance": tf.norm(student - teacher, axis=1),
      "gradient_cosine": cosine,
      "teacher_gradient_norm": norm,
    }
    return {name: float(tf.reduce_mean(v)) for name, v in measured.items()}
