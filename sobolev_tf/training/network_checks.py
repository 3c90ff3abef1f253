"""What a network can never learn, found out before it is trained."""

import contextlib
import typing
import warnings

import keras
import tensorflow as tf

from sobolev_tf.derivatives.directions import random_directions
from sobolev_tf.derivatives.nested_tapes import projected_derivatives
from sobolev_tf.training.keras_internals import flatten_layers

# Activations and layers without a second derivative.
_PIECEWISE_LINEAR = {
  "hard_shrink",
  "hard_sigmoid",
  "hard_tanh",
  "leaky_relu",
  "relu",
  "relu6",
  "soft_shrink",
  "threshold",
}
_PIECEWISE_LINEAR_LAYERS = (
  keras.layers.LeakyReLU,
  keras.layers.MaxPooling1D,
  keras.layers.MaxPooling2D,
  keras.layers.MaxPooling3D,
  keras.layers.PReLU,
  keras.layers.ReLU,
)


@contextlib.contextmanager
def kept(variables: typing.Sequence) -> typing.Iterator:
  """Restores the values of variables at the end."""
  before = [tf.identity(variable) for variable in variables]
  try:
    yield
  finally:
    for variable, value in zip(variables, before, strict=True):
      variable.assign(value)


def refuse_coupled_examples(
  f: typing.Callable, z: tf.Tensor, variables: typing.Sequence
) -> None:
  """Refuses a network whose output for one example depends on another.

  Args:
    f: the network as it is trained.
    z: `[B, *in]` in scaled units, B at least 2.
    variables: all of the network's; they are left as they were.

  Raises:
    ValueError: it normalises with batch statistics, or the like.
  """
  others = tf.concat([z[:1], 1 - 2 * z[1:]], axis=0)
  with kept(variables):
    first, again, changed = f(z), f(z), f(others)
  tolerance = 1e-4 * tf.reduce_max(tf.abs(first))
  is_random = tf.reduce_max(tf.abs(again - first)) > tolerance
  is_moved = tf.reduce_max(tf.abs(changed[0] - first[0])) > tolerance
  if is_moved and not is_random:
    raise ValueError(
      "network mixes the examples of a batch (by batch statistics, say), so "
      "that an example has no derivative of its own; normalise with constants "
      "(is_training=False) or within each example."
    )


def refuse_vanishing_derivatives(
  f: typing.Callable,
  z: tf.Tensor,
  variables: typing.Sequence,
  order: int,
  network: typing.Any = None,
) -> None:
  """Refuses an order of derivatives that is zero whatever the weights.

  Derivatives along random directions are taken at the weights as they are, and
  only where they vanish at weights that are shaken as well: an output layer
  that starts at zero can be trained.

  Args:
    f: the network.
    z: `[B, *in]` in scaled units.
    variables: the trainable ones; they are left as they were.
    order: the highest order that is to be trained.
    network: to name a layer of, where it is a Keras layer.

  Raises:
    ValueError: an order from 2 on is zero, as it is for ReLU networks.

  Warns:
    the first derivative is zero at z.
  """
  if _first_vanishing(f, z, order) is None:
    return
  with kept(variables):
    for i, variable in enumerate(variables):
      noise = tf.random.stateless_normal(
        tf.shape(variable), [i, 0], dtype=variable.dtype
      )
      variable.assign(variable + 0.1 * noise)
    vanishing = _first_vanishing(f, z, order)
  if vanishing == 1:
    warnings.warn(
      "the network's first derivative is exactly zero at the data, so that "
      "nothing can be learnt from dy; its activations may be saturated: try "
      'scaling="standard".',
      stacklevel=4,
    )
  elif vanishing is not None:
    raise ValueError(
      f"derivatives of order {vanishing} of the network are zero whatever its "
      f"weights, so that they cannot be learnt{_culprit(network)}; use tanh, "
      "GELU, softplus or sine, or the weight 0 for that order."
    )


def _first_vanishing(f, z, order):
  """The lowest order that is zero along random directions, or None."""
  value = f(z)
  shapes = [tf.shape(value)] + [tf.shape(z)] * (order - 1)
  directions = [
    random_directions(shape, [j, 1], z.dtype) for j, shape in enumerate(shapes)
  ]
  _, *terms = projected_derivatives(f, z, directions)
  for j, term in enumerate(terms, start=1):
    if not tf.reduce_any(term != 0):
      return j
  return None


def _culprit(network):
  if not isinstance(network, keras.layers.Layer):
    return ", as in every network that is linear in pieces (ReLU, max-pooling)"
  for layer in flatten_layers(network):
    activation = getattr(layer, "activation", None)
    name = getattr(activation, "__name__", None)
    if name in _PIECEWISE_LINEAR:
      return f": the layer {layer.name!r} ({name}) is linear in pieces"
    if isinstance(layer, _PIECEWISE_LINEAR_LAYERS):
      kind = type(layer).__name__
      return f": the layer {layer.name!r} ({kind}) is linear in pieces"
  return ""
