"""Many small networks trained on parts of the data by one compiled call.

Trials differ in their size, L2, weights and the examples they see. None of
these is worth compiling anew: a trial's network is part of a larger one whose
other units are masked, and all else is a variable that the loss reads.
"""

import dataclasses
import typing

import keras
import numpy as np
import tensorflow as tf

from sobolev_tf.model import SobolevModel
from sobolev_tf.training import lbfgs
from sobolev_tf.training.minimisers import FlatLoss
from sobolev_tf.training.objective import Objective
from sobolev_tf.training.resident_loss import ResidentLoss
from sobolev_tf.training.scaling import Scaling

MAX_WIDTH = 32
_TOLERANCE = 1e-7
# See `minimisers`: XLA compiles larger Jacobians anew at every call.
_ROWS_FOR_XLA = 8


@dataclasses.dataclass(frozen=True)
class Settings:
  """What one trial is trained with.

  Attributes:
    width: units of both hidden layers.
    l2: of the kernels.
    weights: tuple of arrays, one per derivative order, in standardised units;
      all zero trains on values alone.
  """

  width: int
  l2: float
  weights: tuple


class _Mask(keras.layers.Layer):
  """Multiplies hidden units by 0 or 1."""

  def build(self, input_shape: typing.Sequence) -> None:
    self.units = self.add_weight(
      name="units", shape=input_shape[1:], initializer="ones", trainable=False
    )

  def call(self, h: tf.Tensor) -> tf.Tensor:
    return h * self.units


class Trials:
  """Trains networks on the same data, again and again.

  Attributes:
    labels: tuple of arrays in standardised units.
  """

  def __init__(self, x: np.ndarray, labels: typing.Sequence) -> None:
    """Compiles nothing yet.

    Args:
      x: `[N, d]`, float64.
      labels: tuple y `[N, k]`, dy `[N, k, d]`, ..., float64; NaN is unknown.
    """
    inputs, outputs = x.shape[1], labels[0].shape[1]
    order = max(len(labels) - 1, 1)
    self._sizes = (inputs, MAX_WIDTH, MAX_WIDTH, outputs)
    self._masks = [_Mask(dtype="float64") for _ in range(2)]
    layers = []
    for units, mask in zip(self._sizes[1:3], self._masks, strict=True):
      layers += [keras.layers.Dense(units, "tanh", dtype="float64"), mask]
    layers.append(keras.layers.Dense(outputs, dtype="float64"))
    network = keras.Sequential(
      [keras.Input([inputs], dtype="float64"), *layers]
    )
    model = SobolevModel(network, order, scaling="standard", dtype="float64")
    model.build((None, inputs))
    model.scaling.adapt([(x, labels)])
    self._weights = [
      tf.Variable(tf.zeros(label.shape[1:], tf.float64), trainable=False)
      for label in labels[1:]
    ]
    model.objective = Objective.of(
      derivative_weights=[_reader(weight) for weight in self._weights] or 0.0,
      order=order,
    )
    self._model = model
    self._loss = ResidentLoss(model, x, labels, np.ones(len(x)))
    self._flat = FlatLoss(self._loss, 0)
    examples = self._loss.examples.labels.values()
    self.labels = tuple(label.numpy() for label in examples)
    rows = outputs * inputs ** max(len(labels) - 2, 0)
    self._run = tf.function(
      self._iterate, jit_compile=rows <= _ROWS_FOR_XLA, autograph=False
    )
    self._predict = tf.function(self._derive, autograph=False)

  @property
  def scaling(self) -> Scaling:
    """The `Scaling` that all trials share."""
    return self._model.scaling

  def train(
    self,
    settings: Settings,
    seed: typing.Sequence,
    weights: np.ndarray,
    iterations: int,
  ) -> tuple:
    """Trains one network.

    Args:
      settings: `Settings`.
      seed: of the initial weights.
      weights: `[N]`, of the examples; their mean should be 1.
      iterations: at most.

    Returns:
      Pair of the loss and the position that `predict` and `network` take.
    """
    for mask in self._masks:
      mask.units.assign(np.arange(MAX_WIDTH) < settings.width)
    for variable, weight in zip(self._weights, settings.weights, strict=True):
      variable.assign(weight)
    self._loss.l2.assign(settings.l2)
    self._loss.sample_weight.assign(weights)
    position = self._initial(settings.width, seed)
    state = self._run(lbfgs.start(position), tf.constant(iterations))
    return float(state.loss), state.position

  def predict(self, settings: Settings, position: tf.Tensor) -> tuple:
    """Values and derivatives at all examples, in standardised units."""
    for mask in self._masks:
      mask.units.assign(np.arange(MAX_WIDTH) < settings.width)
    return tuple(term.numpy() for term in self._predict(position))

  def network(
    self, settings: Settings, position: tf.Tensor
  ) -> keras.Sequential:
    """A plain Keras network with the weights of `position`."""
    self._flat.write(position)
    width = settings.width
    sizes = (self._sizes[0], width, width, self._sizes[-1])
    network = keras.Sequential(
      [
        keras.Input([sizes[0]], dtype="float64"),
        *(keras.layers.Dense(n, "tanh", dtype="float64") for n in sizes[1:3]),
        keras.layers.Dense(sizes[3], dtype="float64"),
      ]
    )
    cut = []
    for layer, weight in enumerate(self._model.trainable_variables):
      fan_in, fan_out = sizes[layer // 2], sizes[layer // 2 + 1]
      whole = weight.numpy()
      cut.append(whole[:fan_out] if layer % 2 else whole[:fan_in, :fan_out])
    network.set_weights(cut)
    return network

  def _initial(self, width, seed):
    """Glorot's uniform weights for a width, zero elsewhere: `[n]`."""
    rng = np.random.default_rng(seed)
    used = (self._sizes[0], width, width, self._sizes[-1])
    parts = []
    for layer in range(3):
      whole = np.zeros(self._sizes[layer : layer + 2])
      fan_in, fan_out = used[layer : layer + 2]
      limit = np.sqrt(6 / (fan_in + fan_out))
      draw = rng.uniform(-limit, limit, [fan_in, fan_out])
      whole[:fan_in, :fan_out] = draw
      parts += [whole.ravel(), np.zeros(self._sizes[layer + 1])]
    return tf.constant(np.concatenate(parts))

  def _iterate(self, state, count):
    tolerance = tf.constant(_TOLERANCE, tf.float64)
    return lbfgs.iterate(self._flat, state, count, tolerance)

  def _derive(self, position):
    self._flat.write(position)
    _, comparison = self._model.objective.on_examples(
      lambda z: self._model.evaluate_network(z, False),
      self._loss.examples,
      self._model.scaling,
      0,
    )
    return [term.predicted for term in comparison.terms]


def _reader(variable):
  """A weight that a schedule would be: it is read at every step."""
  return lambda step: variable.read_value()
