"""Future work of the paper, 1: derivatives w.r.t. internal activations.

A network is `head(body(x))`. What the head makes of the activations h =
body(x) is a function like any other, so `derivatives` of the head alone gives
dy/dh, and a student of the head can be trained on it. The gradient has one
number per activation: far more than the value, and more than dy/dx.
"""

import tensorflow as tf

from sobolev_tf.derivatives.nested_tapes import derivatives
from sobolev_tf.theory import training
from sobolev_tf.training.losses import sobolev_loss

_INPUTS, _ACTIVATIONS, _UNITS = 4, 12, 32


def sub_network_errors(
  num_points: int = 40, num_steps: int = 1500, seed: int = 0
) -> dict[str, float]:
  """Trains a student of a teacher's head, with and without dy/dh.

  Args:
    num_points: training examples.
    num_steps: updates.
    seed: of the teacher, the students and the examples.

  Returns:
    dict from `"values"` and `"+ dy/dh"` to the student's mean squared
    error on 1,000 new examples, relative to the variance of y.
  """
  body = training.SmoothMLP([_INPUTS, _ACTIVATIONS], seed)
  teacher = training.SmoothMLP([_ACTIVATIONS, _UNITS, 1], seed + 1)
  # Larger weights bend the head more; as drawn it is nearly linear.
  teacher.weights[0].assign(2.5 * teacher.weights[0])

  def activations(num, draw):
    x = tf.random.stateless_normal([num, _INPUTS], [seed, draw])
    return tf.tanh(body(x))

  h, h_test = activations(num_points, 10), activations(1000, 11)
  target, y_test = derivatives(teacher, h), teacher(h_test)
  errors = {}
  for name, weight in (("values", 0.0), ("+ dy/dh", 1.0)):
    student = training.SmoothMLP([_ACTIVATIONS, _UNITS, 1], seed + 2)

    def objective(student=student, weight=weight):
      loss = sobolev_loss(derivatives(student, h), target, (1, weight))
      return tf.reduce_mean(loss.loss)

    training.minimise(objective, student.trainable_variables, num_steps)
    error = tf.reduce_mean(tf.square(student(h_test) - y_test))
    errors[name] = float(error / tf.math.reduce_variance(y_test))
  return errors
