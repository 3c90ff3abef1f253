"""Mends what `tf.nn.moments` does to second derivatives.

`tf.nn.moments` holds the mean constant where it computes the variance. The
variance's first derivative w.r.t. the mean is zero anyway, the second is not:
by tapes, second derivatives through layer and group normalisation are wrong,
and so is training on first ones (seen in TensorFlow 2.21).
"""

from collections.abc import Callable, Iterable

import tensorflow as tf
from tensorflow.python.eager import record

from sobolev_tf.derivatives.programs import CALLS, Program, execute

_NORMALISATIONS = (
  "GroupNorm",
  "GroupNormalization",
  "InstanceNorm",
  "LayerNorm",
  "LayerNormalization",
)


def twice_differentiable(f: Callable, x: tf.Tensor, order: int) -> Callable:
  """f, with the means of `tf.nn.moments` differentiated like anything else.

  What f computes and its first derivatives stay as they are. In a graph this
  costs nothing where f takes no moments. Eagerly f has to be traced, which is
  left out where nothing can differentiate twice.

  Args:
    f: callable of one tensor that returns one.
    x: `[B, *in]`, where f will be called.
    order: how often the caller differentiates f; what is around may do so once
      more.

  Returns:
    Callable of a tensor like x.

  Raises:
    ValueError: when called: f takes moments and cannot be run in another way.
  """
  if not tf.executing_eagerly():
    return lambda z: _in_graph(f, z)
  if order < 2 and not record.could_possibly_record():
    return f
  try:
    program = Program(f, x)
  except Exception:  # whatever a user's function does that no graph can
    return _without_normalisation(f)
  if not _takes_moments(program.operations):
    return f
  return lambda z: _mended(f, z)


def is_mean_of_moments(op: tf.Operation) -> bool:
  """Whether `tf.nn.moments` stops the gradient of a mean here."""
  if op.type != "StopGradient":
    return False
  mean = op.inputs[0].op
  users = op.outputs[0].consumers()
  return mean.type == "Mean" and all(
    user.type == "SquaredDifference"
    and any(tensor is mean.inputs[0] for tensor in user.inputs)
    for user in users
  )


def _in_graph(f, x):
  """f(x), computed again if the graph shows that f took moments."""
  graph = tf.compat.v1.get_default_graph()
  before = len(graph.get_operations())
  value = f(x)
  if _takes_moments(graph.get_operations()[before:]):
    return _mended(f, x)
  return value


def _takes_moments(operations: Iterable[tf.Operation]) -> bool:
  for op in operations:
    if is_mean_of_moments(op):
      return True
    if op.type in CALLS:
      body = op.graph._get_function(op.get_attr("f").name).graph
      if _takes_moments(body.get_operations()):
        return True
  return False


def _mended(f, x):
  """f(x), operation by operation, without those that stop a mean's gradient."""

  def apply(op, inputs):
    return list(inputs) if is_mean_of_moments(op) else execute(op, inputs)

  try:
    (value,) = Program(f, x).run(x, apply)
  except NotImplementedError as error:
    raise ValueError(
      "f normalises by tf.nn.moments, whose second derivatives TensorFlow "
      f"computes wrongly, and cannot be mended ({error}); use "
      "keras.layers.RMSNormalization."
    ) from error
  return value


def _without_normalisation(f):
  """f, refused if it is a network that surely takes moments."""
  for part in [f, *getattr(f, "submodules", ())]:
    if type(part).__name__ in _NORMALISATIONS:
      raise ValueError(
        f"f holds a {type(part).__name__}, whose second derivatives TensorFlow "
        "computes wrongly, and Python control flow, which hides it; give "
        "tf.function(f)."
      )
  return f
