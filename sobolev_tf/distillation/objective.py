"""Losses that move what one network knows into another, and their measures.

Policy distillation (paper §4.2): a student policy pi(s|theta) learns to act as
a teacher policy pi*(s) does, from the teacher's probabilities and from how they
change with the input. Beside it stands the attention-transfer loss that the
supplement compares with (SM §5).
"""

import typing
from collections.abc import Callable

import tensorflow as tf

from sobolev_tf.derivatives.directions import random_directions
from sobolev_tf.derivatives.nested_tapes import projected_derivatives
from sobolev_tf.training.losses import SobolevLoss, safe_sqrt, sobolev_loss

KL_DIRECTIONS = ("student_teacher", "teacher_student")
DIRECTIONS = ("sphere", "argmax")


class DistillationLoss(typing.NamedTuple):
  """A per-example loss `[B]` and its parts, each `[B]` and without weight.

  `gradient_distance` is None where no gradients were compared.
  """

  loss: tf.Tensor
  divergence: tf.Tensor
  gradient_distance: tf.Tensor | None


def policy_distillation_loss(
  predicted: tuple,
  target: tuple,
  alpha: float = 1.0,
  *,
  kl: str = "student_teacher",
  squared: bool = False,
  unit_norm: bool = False,
) -> DistillationLoss:
  """The policy distillation objective of §4.2, per example.

      KL(pi || pi*) + alpha E_v |grad_s <log pi*, v> - grad_s <log pi, v>|

  The divergence and the norm, not squared, are as the paper writes them; the
  expectation is the mean over the directions that were drawn. Without
  gradients this is regular distillation. Nothing flows into the target.

  Args:
    predicted: the student's `(logits [B, A],)`, or `(logits, gradients)` with
      gradients `[B, P, *s]` along P directions, as `projected_policy_gradient`
      returns them.
    target: the same of the teacher, for the same states and directions.
    alpha: weight of the gradients' distance.
    kl: `"student_teacher"`, KL(pi || pi*), or `"teacher_student"`,
      KL(pi* || pi), whose gradient is that of cross entropy.
    squared: whether to square the norm.
    unit_norm: whether to scale every gradient to length 1 before it is
      compared (Srinivas & Fleuret 2018); a zero gradient stays zero.

  Returns:
    `DistillationLoss(loss, divergence, gradient_distance)`. Where the distance
    is 0 its gradient is taken as 0.

  Raises:
    ValueError: the tuples differ in length or in a shape, or `kl` is unknown.
  """
  predicted = [tf.convert_to_tensor(term) for term in predicted]
  # The teacher is given: a student must not be fitted by moving its target.
  target = [tf.stop_gradient(tf.convert_to_tensor(term)) for term in target]
  if len(predicted) != len(target) or len(predicted) not in (1, 2):
    raise ValueError(
      f"predicted holds {len(predicted)} term(s) and target {len(target)}; "
      "give the logits, or the logits and the gradients, in both."
    )
  _check_logits(predicted[0], target[0])
  if kl not in KL_DIRECTIONS:
    raise ValueError(
      f"kl must be one of {', '.join(KL_DIRECTIONS)}, but it is {kl!r}."
    )
  pair = (predicted[0], target[0])
  divergence = kl_divergence(*(pair if kl == KL_DIRECTIONS[0] else pair[::-1]))
  if len(predicted) == 1:
    return DistillationLoss(divergence, divergence, None)
  distance = _gradient_distance(predicted[1], target[1], squared, unit_norm)
  alpha = tf.cast(
    tf.convert_to_tensor(alpha, dtype_hint=distance.dtype), distance.dtype
  )
  return DistillationLoss(divergence + alpha * distance, divergence, distance)


def projected_policy_gradient(
  policy: Callable, s: tf.Tensor, directions: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  """Computes log pi(s) and its projected gradient grad_s <log pi(s), v>.

  One backward pass for the whole batch and each direction, however many
  actions there are. All of it can be differentiated w.r.t. parameters.

  Args:
    policy: callable from s to logits `[B, A]`.
    s: floating tensor `[B, *s]`.
    directions: v, `[B, P, A]`: P directions per example.

  Returns:
    Log-probabilities `[B, A]`, which serve wherever logits do, and gradients
    `[B, P, *s]`.

  Raises:
    ValueError: `directions` has another rank, or as `projected_derivatives`.
  """
  directions = tf.convert_to_tensor(directions)
  if directions.shape.rank != 3:
    raise ValueError(
      "directions must have shape [B, P, A], P directions per example, but "
      f"they have shape {directions.shape}."
    )
  return projected_derivatives(
    lambda z: tf.nn.log_softmax(policy(z)), s, (directions,)
  )


def policy_directions(
  teacher_logits: tf.Tensor,
  seed: typing.Any,
  directions: str = "sphere",
  num_projections: int = 1,
) -> tf.Tensor:
  """The directions v in which log-policies are compared.

  Args:
    teacher_logits: `[B, A]`.
    seed: an integer, or a pair such as `(seed, step)`.
    directions: `"sphere"`, uniform on the unit sphere of R^A (the paper), or
      `"argmax"`, the log-probability of the teacher's most probable action
      alone (Srinivas & Fleuret 2018), which needs no seed.
    num_projections: directions per example on the sphere.

  Returns:
    `[B, P, A]`; P is 1 for `"argmax"`.

  Raises:
    ValueError: `directions` is unknown.
  """
  teacher_logits = tf.convert_to_tensor(teacher_logits)
  count, dtype = teacher_logits.shape[1], teacher_logits.dtype
  if directions == "argmax":
    best = tf.argmax(teacher_logits, axis=1)
    return tf.one_hot(best, count, dtype=dtype)[:, tf.newaxis]
  if directions != "sphere":
    raise ValueError(
      f"directions must be one of {', '.join(DIRECTIONS)}, but it is "
      f"{directions!r}."
    )
  # Each direction is a vector of length 1 by itself.
  shape = [tf.shape(teacher_logits)[0] * num_projections, count]
  v = random_directions(shape, seed, dtype)
  return tf.reshape(v, [-1, num_projections, count])


def kl_divergence(p_logits: tf.Tensor, q_logits: tf.Tensor) -> tf.Tensor:
  """KL(p || q) in nats, `[B]`, of two policies' logits `[B, A]`."""
  p, q = tf.nn.log_softmax(p_logits), tf.nn.log_softmax(q_logits)
  return tf.reduce_sum(tf.exp(p) * (p - q), axis=1)


def policy_entropy(logits: tf.Tensor) -> tf.Tensor:
  """Entropy in nats, `[B]`, of a policy's logits `[B, A]`."""
  p = tf.nn.log_softmax(logits)
  return -tf.reduce_sum(tf.exp(p) * p, axis=1)


def action_prediction_error(
  student_logits: tf.Tensor, teacher_logits: tf.Tensor
) -> tf.Tensor:
  """1 where the most probable actions differ, else 0; `[B]`, float32.

  The left measure of Figure 4. Among equally probable actions the first
  counts.
  """
  _check_logits(student_logits, teacher_logits)
  differ = tf.argmax(student_logits, axis=1) != tf.argmax(
    teacher_logits, axis=1
  )
  return tf.cast(differ, tf.float32)


def attention_transfer_loss(
  predicted: tuple, target_gradient: tf.Tensor, alpha: float = 1.0
) -> SobolevLoss:
  """Gradient-based attention transfer, Eq. (3) of the supplement's §5.

  Per example `L(g(x)) + alpha |dL(g(x))/dx - dL(f(x))/dx|_2`: the student g
  minimises its own loss and matches where the teacher f is sensitive. The
  Sobolev loss on L∘f, which it is compared with, is
  `sobolev_loss(predicted, (L(f(x)), dL(f(x))/dx), (1, alpha),
  loss=("l1", "norm"))`: it differs in the first term alone, and only unless
  L(f(x)) = 0. There a student that equals the teacher is a minimiser, here it
  need not be (Remark 2).

  Args:
    predicted: `(L(g(x)) [B], dL(g(x))/dx [B, *in])`, as `derivatives` returns
      it for the function from x to the student's loss per example.
    target_gradient: `dL(f(x))/dx`, `[B, *in]`; NaN means unknown.
    alpha: weight of the gradients' distance.

  Returns:
    `SobolevLoss(loss, terms)`, with the student's loss and the distance of the
    gradients as terms, each `[B]`. The distance is not squared, as in the
    paper; where it is 0 its gradient is taken as 0.

  Raises:
    ValueError: shapes differ.
  """
  if len(predicted) != 2:
    raise ValueError(
      "predicted must hold the student's loss and its input gradient, but it "
      f"holds {len(predicted)} term(s)."
    )
  own, gradient = (tf.convert_to_tensor(term) for term in predicted)
  if own.shape.rank != 1:
    raise ValueError(
      "predicted[0] must have shape [B], one loss per example, but it has "
      f"shape {own.shape}."
    )
  # The value term is what sets Eq. (3) apart, so only the gradients' distance
  # comes from the Sobolev loss.
  zero = tf.zeros_like(own)
  sensitivity = sobolev_loss(
    (zero, gradient), (zero, target_gradient), (1, alpha), loss=("l1", "norm")
  )
  return SobolevLoss(own + sensitivity.loss, (own, sensitivity.terms[1]))


def _check_logits(student, teacher):
  student, teacher = (
    tf.convert_to_tensor(student),
    tf.convert_to_tensor(teacher),
  )
  if student.shape.rank != 2 or not student.shape.is_compatible_with(
    teacher.shape
  ):
    raise ValueError(
      f"the student's logits have shape {student.shape} and the teacher's "
      f"{teacher.shape}; both must be [B, A] with the same actions."
    )


def _gradient_distance(student, teacher, squared, unit_norm):
  """Mean over the directions of the distance of gradients `[B, P, *s]`."""
  if student.shape.rank < 3 or not student.shape.is_compatible_with(
    teacher.shape
  ):
    raise ValueError(
      f"the student's gradients have shape {student.shape} and the teacher's "
      f"{teacher.shape}; both must be [B, P, *s] with the same directions."
    )
  if unit_norm:
    student, teacher = _to_unit_length(student), _to_unit_length(teacher)
  axes = list(range(2, student.shape.rank))
  square = tf.reduce_sum(tf.square(student - teacher), axis=axes)  # [B, P]
  return tf.reduce_mean(square if squared else safe_sqrt(square), axis=1)


def _to_unit_length(g):
  """Scales gradients `[B, P, *s]` to length 1; zero stays zero."""
  axes = list(range(2, g.shape.rank))
  square = tf.reduce_sum(tf.square(g), axis=axes, keepdims=True)
  # Where a gradient is zero, so has to be its own gradient.
  is_positive = square > 0
  scale = tf.math.rsqrt(tf.where(is_positive, square, 1))
  return g * tf.where(is_positive, scale, 0)
