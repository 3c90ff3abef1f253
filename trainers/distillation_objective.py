"""What a distillation step minimises, and its gradients.

What a method compares is decided when its step is traced: regular distillation
asks neither the teacher nor any gradient w.r.t. the input.
"""

import typing

import tensorflow as tf

from sobolev_tf.distillation import (
  DistillationLoss,
  attention_transfer_loss,
  kl_divergence,
  policy_directions,
  policy_distillation_loss,
  projected_policy_gradient,
)
from sobolev_tf.networks.atari import frames_to_blocks, frames_to_input


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

  def gradients(self, student, teacher, frames, teacher_logits, seed):
    """Computes the gradients of one batch.

    Args:
      student: a `StudentNetwork`.
      teacher: a `TeacherNetwork`.
      frames: uint8 `[B, 84, 84, 4]`.
      teacher_logits: what the teacher said to them, `[B, A]`.
      seed: two integers; directions and noise are functions of them.

    Returns:
      (gradients, parts): one per trainable variable of the student, and a
      `DistillationLoss` of scalars, means over the batch.
    """
    ask = {
      "regular": self._regular,
      "sobolev": self._sobolev,
      "noise": self._noise,
      "attention": self._attention,
    }[self.method]
    # What the teacher says is fetched here, outside the tape.
    loss_of_student = ask(student, teacher, frames, teacher_logits, seed)
    with tf.GradientTape() as tape:
      parts = loss_of_student()
      loss = tf.reduce_mean(parts.loss)
    means = [None if p is None else tf.reduce_mean(p) for p in parts]
    gradients = tape.gradient(loss, student.trainable_variables)
    return gradients, DistillationLoss(*means)

  def _regular(self, student, teacher, frames, teacher_logits, seed):
    del seed
    return self._match_values(student, frames_to_input(frames), teacher_logits)

  def _noise(self, student, teacher, frames, teacher_logits, seed):
    """Regular distillation at noisy states: close to matching gradients."""
    del teacher_logits  # they are of the states without noise
    s = frames_to_input(frames)
    s += self.noise * tf.random.stateless_normal(tf.shape(s), seed)
    return self._match_values(student, s, teacher(s))

  def _match_values(self, student, s, teacher_logits):
    return lambda: policy_distillation_loss(
      (student(s),), (teacher_logits,), kl=self.kl
    )

  def _sobolev(self, student, teacher, frames, teacher_logits, seed):
    if not self.alpha:
      return self._regular(student, teacher, frames, teacher_logits, seed)
    x = frames_to_blocks(frames)
    v = policy_directions(teacher_logits, seed, self.rows, self.num_projections)
    _, gradient = projected_policy_gradient(teacher.from_blocks, x, v)
    return lambda: policy_distillation_loss(
      projected_policy_gradient(student.from_blocks, x, v),
      (teacher_logits, gradient),
      self.alpha,
      kl=self.kl,
      squared=self.norm == "squared",
      unit_norm=self.unit_norm,
    )

  def _attention(self, student, teacher, frames, teacher_logits, seed):
    """Eq. (3) of SM §5 with L(p) = -log p(a), a the teacher's best action.

    L must look at the policy alone. With the divergence from the teacher, or
    the cross entropy to its probabilities, the teacher's own dL/ds is zero.
    """
    x = frames_to_blocks(frames)
    label = policy_directions(teacher_logits, seed, "argmax")  # [B, 1, A]
    _, target = projected_policy_gradient(teacher.from_blocks, x, label)

    def loss():
      log_pi, gradient = projected_policy_gradient(
        student.from_blocks, x, label
      )
      own = -tf.reduce_sum(label[:, 0] * log_pi, axis=1)  # [B]
      parts = attention_transfer_loss((own, -gradient), -target, self.alpha)
      divergence = kl_divergence(log_pi, teacher_logits)  # to look at
      return DistillationLoss(parts.loss, divergence, parts.terms[1])

    return loss
