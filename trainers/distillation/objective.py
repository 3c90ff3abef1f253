"""What a distillation step minimises, and its gradients.

What a method compares is decided when its step is traced: regular distillation
asks neither the teacher nor any gradient w.r.t. the input.
"""

import typing

import tensorflow as tf

from sobolev_tf.distillation.objective import (
  DistillationLoss,
  attention_transfer_loss,
  kl_divergence,
  policy_directions,
  policy_distillation_loss,
  projected_policy_gradient,
)
from sobolev_tf.networks.atari import frames_to_blocks, frames_to_input


class Objective(typing.NamedTuple):
  """What a step minimises; the fields of `config.Config`."""

  method: str
  alpha: float
  kl: str
  norm: str
  directions: str
  unit_norm: bool
  num_projections: int
  noise: float

  @classmethod
  def of(cls, config):
    """The objective of a configuration."""
    return cls(*(getattr(config, name) for name in cls._fields))

  @property
  def compares_gradients(self):
    """Whether a step takes gradients w.r.t. the input."""
    return self.method == "attention" or bool(
      self.method == "sobolev" and self.alpha
    )

  def draw_directions(self, teacher_logits, seed):
    """The directions in which log-policies are compared.

    Args:
      teacher_logits: `[B, A]`.
      seed: two integers, which random directions are a function of.

    Returns:
      `[B, P, A]`.
    """
    directions = "argmax" if self.method == "attention" else self.directions
    return policy_directions(
      teacher_logits, seed, directions, self.num_projections
    )

  def gradients(
    self, student, teacher, frames, teacher_logits, seed, projection=None
  ):
    """Computes the gradients of one batch.

    Args:
      student: a `StudentNetwork`.
      teacher: a `TeacherNetwork`.
      frames: uint8 `[B, 84, 84, 4]`.
      teacher_logits: the teacher's logits for them, `[B, A]`.
      seed: two integers; directions and noise are functions of them.
      projection: `directions`, `[B, P, A]`, and the teacher's projected
        gradients along them, `[B, P, 21, 21, 64]`; if None, both are made
        here where they are needed.

    Returns:
      (gradients, parts): one per trainable variable of the student, and a
      `DistillationLoss` of scalars, means over the batch.
    """
    # The teacher is asked here, outside the tape.
    if self.compares_gradients:
      x = frames_to_blocks(frames)
      if projection is None:
        v = self.draw_directions(teacher_logits, seed)
        _, teacher_gradient = projected_policy_gradient(
          teacher.from_blocks, x, v
        )
      else:
        v, teacher_gradient = projection
      compare = self._attention if self.method == "attention" else self._sobolev
      loss_of_student = compare(student, x, v, teacher_logits, teacher_gradient)
    else:
      s = frames_to_input(frames)
      if self.method == "noise":
        # Close to matching gradients; the logits are of states without noise.
        s += self.noise * tf.random.stateless_normal(tf.shape(s), seed)
        teacher_logits = teacher(s)
      loss_of_student = self._match_values(student, s, teacher_logits)
    with tf.GradientTape() as tape:
      parts = loss_of_student()
      loss = tf.reduce_mean(parts.loss)
    means = [None if p is None else tf.reduce_mean(p) for p in parts]
    gradients = tape.gradient(loss, student.trainable_variables)
    return gradients, DistillationLoss(*means)

  def _match_values(self, student, s, teacher_logits):
    return lambda: policy_distillation_loss(
      (student(s),), (teacher_logits,), kl=self.kl
    )

  def _sobolev(self, student, x, v, teacher_logits, teacher_gradient):
    return lambda: policy_distillation_loss(
      projected_policy_gradient(student.from_blocks, x, v),
      (teacher_logits, teacher_gradient),
      self.alpha,
      kl=self.kl,
      squared=self.norm == "squared",
      unit_norm=self.unit_norm,
    )

  def _attention(self, student, x, label, teacher_logits, teacher_gradient):
    """Eq. (3) of SM §5 with L(p) = -log p(a), a the teacher's best action.

    L must depend on the policy alone. With the divergence from the teacher, or
    the cross entropy to its probabilities, the teacher's own dL/ds is zero.
    The directions are `label`, `[B, 1, A]`.
    """

    def loss():
      log_pi, gradient = projected_policy_gradient(
        student.from_blocks, x, label
      )
      own = -tf.reduce_sum(label[:, 0] * log_pi, axis=1)  # [B]
      parts = attention_transfer_loss(
        (own, -gradient), -teacher_gradient, self.alpha
      )
      divergence = kl_divergence(log_pi, teacher_logits)  # logged only
      return DistillationLoss(parts.loss, divergence, parts.terms[1])

    return loss
