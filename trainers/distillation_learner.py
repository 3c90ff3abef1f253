"""A student policy with its optimizer and the compiled steps.

What a method compares is decided here, once, when its step is traced: regular
distillation asks neither the teacher nor any gradient w.r.t. the input.
"""

import typing

import keras
import tensorflow as tf

from sobolev_tf.distillation import (
  DistillationLoss,
  action_prediction_error,
  attention_transfer_loss,
  kl_divergence,
  policy_directions,
  policy_distillation_loss,
  projected_policy_gradient,
)
from sobolev_tf.networks.atari import (
  StudentNetwork,
  frames_to_blocks,
  frames_to_input,
)

_TEST_SEED = 0x50B01E5  # far from any seed that a person would choose


class Objective(typing.NamedTuple):
  """What a step minimises; the fields of `distillation_config.Config`."""

  method: str
  alpha: float
  kl: str
  norm: str
  rows: str
  unit_norm: bool
  num_projections: int
  noise: float

  @classmethod
  def of(cls, config):
    """The objective of a configuration."""
    return cls(*(getattr(config, name) for name in cls._fields))


class Learner:
  """Student, optimizer and compiled steps.

  Attributes:
    student: a `StudentNetwork`.
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
    self._optimizer = keras.optimizers.Adam()
    self._optimizer.build(self.student.trainable_variables)
    self._fresh = [v.numpy() for v in self._optimizer.variables]

  def reset(self, seed, learning_rate):
    """Returns to an untrained state, so that compiled steps are reused.

    Args:
      seed: of the initial weights.
      learning_rate: of Adam.
    """
    fresh = StudentNetwork(self._num_actions, seed=seed)
    for variable, value in zip(
      self.variables, [*fresh.variables, *self._fresh], strict=True
    ):
      variable.assign(value)
    self._optimizer.learning_rate.assign(learning_rate)

  def trackables(self):
    """What a checkpoint holds."""
    return {"student": self.student, "optimizer": self._optimizer}

  @property
  def variables(self):
    """Every variable of `trackables`."""
    return [*self.student.variables, *self._optimizer.variables]

  @tf.function(reduce_retracing=True)
  def train_step(self, frames, teacher_logits, seed):
    """Makes one update.

    Args:
      frames: uint8 `[B, 84, 84, 4]`.
      teacher_logits: what the teacher said to them, `[B, A]`.
      seed: two integers, the run's seed and the step; directions and noise
        are functions of them.

    Returns:
      dict of scalar tensors, means over the batch: `loss`, `divergence` and,
      where gradients are compared, `gradient_distance`.
    """
    ask = {
      "regular": self._regular,
      "sobolev": self._sobolev,
      "noise": self._noise,
      "attention": self._attention,
    }[self._objective.method]
    # What the teacher says is fetched here, outside the tape.
    loss_of_student = ask(frames, teacher_logits, seed)
    variables = self.student.trainable_variables
    with tf.GradientTape() as tape:
      parts = loss_of_student()
      loss = tf.reduce_mean(parts.loss)
    self._optimizer.apply(tape.gradient(loss, variables), variables)
    return {
      name: tf.reduce_mean(value)
      for name, value in parts._asdict().items()
      if value is not None
    }

  def _regular(self, frames, teacher_logits, seed):
    del seed
    return self._match_values(frames_to_input(frames), teacher_logits)

  def _noise(self, frames, teacher_logits, seed):
    """Regular distillation at noisy states: close to matching gradients."""
    del teacher_logits  # they are of the states without noise
    s = frames_to_input(frames)
    s += self._objective.noise * tf.random.stateless_normal(tf.shape(s), seed)
    return self._match_values(s, self._teacher(s))

  def _match_values(self, s, teacher_logits):
    return lambda: policy_distillation_loss(
      (self.student(s),), (teacher_logits,), kl=self._objective.kl
    )

  def _sobolev(self, frames, teacher_logits, seed):
    objective = self._objective
    if not objective.alpha:
      return self._regular(frames, teacher_logits, seed)
    x = frames_to_blocks(frames)
    v = policy_directions(
      teacher_logits, seed, objective.rows, objective.num_projections
    )
    _, gradient = projected_policy_gradient(self._teacher.from_blocks, x, v)
    return lambda: policy_distillation_loss(
      projected_policy_gradient(self.student.from_blocks, x, v),
      (teacher_logits, gradient),
      objective.alpha,
      kl=objective.kl,
      squared=objective.norm == "squared",
      unit_norm=objective.unit_norm,
    )

  def _attention(self, frames, teacher_logits, seed):
    """Eq. (3) of SM §5 with L(p) = -log p(a), a the teacher's best action.

    L must look at the policy alone. With the divergence from the teacher, or
    the cross entropy to its probabilities, the teacher's own dL/ds is zero.
    """
    x = frames_to_blocks(frames)
    label = policy_directions(teacher_logits, seed, "argmax")  # [B, 1, A]
    _, target = projected_policy_gradient(self._teacher.from_blocks, x, label)

    def loss():
      log_pi, gradient = projected_policy_gradient(
        self.student.from_blocks, x, label
      )
      own = -tf.reduce_sum(label[:, 0] * log_pi, axis=1)  # [B]
      parts = attention_transfer_loss(
        (own, -gradient), -target, self._objective.alpha
      )
      divergence = kl_divergence(log_pi, teacher_logits)  # to look at
      return DistillationLoss(parts.loss, divergence, parts.terms[1])

    return loss

  @tf.function(reduce_retracing=True)
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

  @tf.function(reduce_retracing=True)
  def _distance(self, frames, teacher_logits):
    x = frames_to_blocks(frames)
    v = policy_directions(teacher_logits, _TEST_SEED)
    return policy_distillation_loss(
      projected_policy_gradient(self.student.from_blocks, x, v),
      projected_policy_gradient(self._teacher.from_blocks, x, v),
    ).gradient_distance

  def gradient_distance(self, frames, teacher_logits):
    """The objective's second term on held-out frames, whatever the loss was."""
    distance = self._distance(tf.constant(frames), teacher_logits)
    return float(tf.reduce_mean(distance))
