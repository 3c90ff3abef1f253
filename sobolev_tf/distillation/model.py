"""`DistillationModel`, the Keras way to distil a network of your own (§4.2)."""

import typing

import keras
import tensorflow as tf

from sobolev_tf.distillation import objective
from sobolev_tf.training import keras_internals
from sobolev_tf.training.network_model import NetworkModel, OwnLoss

# Evaluation draws its directions at this step, so that two evaluations of the
# same weights agree; training never takes it.
_EVALUATION_STEP = -1


class DistillationModel(OwnLoss, NetworkModel):
  """Trains a student to act as a teacher does, from states alone (§4.2).

  Student and teacher map states `[B, *s]` to the logits `[B, A]` of `A` actions
  or classes. Training matches the teacher's probabilities and how they change
  with the state; `policy_distillation_loss` defines the loss:

  ```python
  dense = keras.layers.Dense
  teacher = keras.Sequential([dense(64, "tanh"), dense(3)])  # a trained one
  student = keras.Sequential([dense(16, "tanh"), dense(3)])
  states = np.random.uniform(-1, 1, [500, 4]).astype("float32")
  model = sobolev_tf.distillation.DistillationModel(student, teacher, alpha=0.1)
  model.compile(keras.optimizers.Adam(1e-3))
  model.fit(states, epochs=2, verbose=0)
  measures = model.evaluate(states, verbose=0, return_dict=True)
  ```

  Metrics, means over the examples: `loss`; `kl`, the divergence in nats;
  `gradient_distance`, without its weight and only where gradients are compared;
  `action_error`, the share of states whose most probable actions differ.

  The weights are the student's: `model.student.save(...)` keeps it, and
  `save_weights` works as everywhere. The teacher is never trained.
  """

  LEARNS_FROM = (
    "it compares the student with its teacher; alpha weighs the gradients."
  )
  INSTEAD_OF_SAVING = (
    "it holds its teacher: save the student, model.student.save(...), or "
    "call save_weights(...)."
  )

  def __init__(
    self,
    student: typing.Any,
    teacher: typing.Callable,
    alpha: float = 1.0,
    *,
    directions: str = "sphere",
    num_projections: int = 1,
    kl: str = "student_teacher",
    squared: bool = False,
    unit_norm: bool = False,
    student_from_logits: bool = True,
    teacher_from_logits: bool = True,
    seed: int = 0,
    **kwargs: typing.Any,
  ) -> None:
    """Joins a student with its teacher.

    Args:
      student: a Keras layer or model or a Sonnet module, built or not. Its
        examples must be independent of each other: no trainable
        BatchNormalization.
      teacher: any callable of TensorFlow operations; a Keras model is called
        in inference mode.
      alpha: weight of the gradients' distance. A gradient is w.r.t. the states
        as they are given: states in 0..255 have gradients 255 times smaller
        than states in 0..1, and need an alpha as much larger. The number 0 is
        regular distillation, which differentiates nothing w.r.t. the states.
      directions: "sphere" compares random projections (the paper), "argmax" the
        log-probability of the teacher's most probable action.
      num_projections: directions per example on the sphere.
      kl: "student_teacher" (the paper) or "teacher_student".
      squared: whether the gradients' distance is squared.
      unit_norm: whether gradients are scaled to length 1 first.
      student_from_logits: False if the student returns probabilities.
      teacher_from_logits: False if the teacher returns probabilities.
      seed: integer; directions are a function of (seed, optimizer step).
      **kwargs: of `keras.Model`.

    Raises:
      ValueError: an argument is out of its range.
    """
    if not 0 <= alpha < float("inf"):
      raise ValueError(f"alpha must be finite and not negative, not {alpha}.")
    if directions not in objective.DIRECTIONS or num_projections < 1:
      raise ValueError(
        f"directions must be one of {', '.join(objective.DIRECTIONS)} and "
        f"num_projections at least 1, but they are {directions!r} and "
        f"{num_projections}."
      )
    if kl not in objective.KL_DIRECTIONS:
      raise ValueError(
        f"kl must be one of {', '.join(objective.KL_DIRECTIONS)}, but it is "
        f"{kl!r}."
      )
    if not callable(teacher):
      raise ValueError(
        "teacher must be a callable from states to logits, but it is a "
        f"{type(teacher).__name__}."
      )
    super().__init__(student, **kwargs)
    self.alpha = alpha
    self._directions = {
      "directions": directions,
      "num_projections": num_projections,
    }
    self._comparison = {"kl": kl, "squared": squared, "unit_norm": unit_norm}
    self._seed = seed
    # In a function, so that Keras does not take the teacher for a part of it.
    ask = _inference(teacher)
    self._teacher = lambda s: _logits(ask(s), teacher_from_logits)
    self._student_from_logits = student_from_logits
    names = ["kl", "action_error"] + (["gradient_distance"] if alpha else [])
    self._measures = {name: keras.metrics.Mean(name=name) for name in names}

  @property
  def student(self) -> typing.Any:
    """The student as it was given."""
    return self.network

  def build(self, input_shape: typing.Any) -> None:
    """Builds the student for states of `input_shape`."""
    self._output_shape = self.build_network((None, *input_shape[1:]))

  def call(self, s: typing.Any, training: typing.Any = None) -> tf.Tensor:
    """What the student returns for states `[B, *s]`."""
    return self.evaluate_network(tf.cast(s, self.compute_dtype), training)

  def train_step(self, data: typing.Any) -> dict:
    """One optimizer step on a batch of states; returns the metrics."""
    s = self._states(data)
    if self.alpha:
      self.refuse_coupled_examples()
    with tf.GradientTape() as tape:
      found, logits, target = self._compare(s, self.optimizer.iterations, True)
      loss = tf.reduce_mean(found.loss) + sum(self.losses)
      # Keras sums gradients over replicas.
      share = loss / self.distribute_strategy.num_replicas_in_sync
      share = self.optimizer.scale_loss(share)
    variables = self.trainable_weights
    self.optimizer.apply(tape.gradient(share, variables), variables)
    return self._log(loss, found, logits, target)

  def test_step(self, data: typing.Any) -> dict:
    """Compares student and teacher on a batch; returns the metrics."""
    found, logits, target = self._compare(
      self._states(data), _EVALUATION_STEP, False
    )
    loss = tf.reduce_mean(found.loss) + sum(self.losses)
    return self._log(loss, found, logits, target)

  def _states(self, data):
    s, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if y is not None or sample_weight is not None:
      raise ValueError(
        "DistillationModel learns from states alone, fit(states): the teacher "
        "gives the targets; leave out labels and sample weights."
      )
    if not self.built:
      self.build(s.shape)
    return tf.cast(s, self.compute_dtype)

  def _compare(self, s, step, training):
    """Loss, the student's logits and the teacher's, for states `s`."""
    target = tf.stop_gradient(self._teacher(s))
    if self._output_shape[1:] != tuple(target.shape[1:]):
      raise ValueError(
        f"the student returns {self._output_shape} and the teacher "
        f"{tuple(target.shape)}; both must return logits [B, A] of the same "
        "actions."
      )

    def student(z):
      output = self.evaluate_network(z, training)
      return _logits(output, self._student_from_logits)

    if not self.alpha:
      predicted, targets = (student(s),), (target,)
    else:
      seed = tf.stack([tf.constant(self._seed, tf.int64), _as_int64(step)])
      v = objective.policy_directions(target, seed, **self._directions)
      predicted = objective.projected_policy_gradient(student, s, v)
      targets = objective.projected_policy_gradient(self._teacher, s, v)
    found = objective.policy_distillation_loss(
      predicted, targets, self.alpha, **self._comparison
    )
    return found, predicted[0], target

  def _log(self, loss, found, logits, target):
    measured = {
      "kl": found.divergence,
      "gradient_distance": found.gradient_distance,
      "action_error": objective.action_prediction_error(logits, target),
    }
    for name, metric in self._measures.items():
      metric.update_state(measured[name])
    keras_internals.loss_tracker(self).update_state(loss, tf.shape(logits)[0])
    return self.get_metrics_result()


def _inference(network):
  """A Keras layer in inference mode; any other callable as it is."""
  if isinstance(network, keras.layers.Layer):
    return lambda s: network(s, training=False)
  return network


def _logits(output, from_logits):
  if from_logits:
    return output
  # A probability that was rounded to zero has no logarithm.
  return tf.math.log(tf.maximum(output, keras.config.epsilon()))


def _as_int64(step):
  return tf.cast(tf.convert_to_tensor(step), tf.int64)
