"""`DecoupledModel`, the Keras way to train a decoupled network (§4.3)."""

import typing

import keras
import tensorflow as tf

from sobolev_tf.synthetic_gradients import parts
from sobolev_tf.synthetic_gradients.decoupled import (
  MEASURES,
  DecoupledNetwork,
)
from sobolev_tf.training import keras_internals
from sobolev_tf.training.network_model import ModelOfModules, OwnLoss


class DecoupledModel(OwnLoss, ModelOfModules):
  """Trains a classifier of the user's own segment by segment (§4.3).

  ```python
  dense = keras.layers.Dense
  lower, upper = dense(32, "relu"), dense(3)
  critic = sobolev_tf.synthetic_gradients.LossCritic(dense(3))
  network = sobolev_tf.synthetic_gradients.DecoupledNetwork(
    [lower, upper], [critic]
  )
  model = sobolev_tf.synthetic_gradients.DecoupledModel(network)
  model.compile(keras.optimizers.SGD(0.1, momentum=0.9))
  x = np.random.normal(size=[300, 8]).astype("float32")
  y = np.argmax(x[:, :3], axis=1)
  model.fit(x, y, epochs=5, verbose=0)
  accuracy = model.evaluate(x, y, verbose=0, return_dict=True)["accuracy"]
  ```

  Labels are classes, integers `[N]`, or weights of the classes
  `[N, classes]`. Metrics: `loss`, the mean log loss without the L2 term;
  `accuracy`; in training also what the network measures at every border K:
  `cosine_K` between synthetic and true gradient, `relative_error_K`,
  `value_loss_K`, `gradient_loss_K`, averaged over the batches.

  It trains on one device. `trainers.synthetic_gradients` shows mirrored
  replicas and uncoordinated updates of the estimators.
  """

  LEARNS_FROM = (
    "its segments learn from the log loss and from their estimators."
  )
  INSTEAD_OF_SAVING = "use save_weights(...), or save the segments."

  def __init__(self, network: DecoupledNetwork, **kwargs: typing.Any) -> None:
    """Wraps a network.

    Args:
      network: a `DecoupledNetwork`, its parts built or not.
      **kwargs: of `keras.Model`.

    Raises:
      ValueError: network is something else.
    """
    super().__init__(**kwargs)
    if not isinstance(network, DecoupledNetwork):
      raise ValueError(
        "network must be a DecoupledNetwork of segments and estimators, but it "
        f"is a {type(network).__name__}."
      )
    self.network = network
    # Layers that Keras would not find inside a Sonnet module.
    self._layers_inside = parts.keras_layers(network)
    borders = range(1, len(network.estimators) + 1)
    names = [f"{name}_{border}" for border in borders for name in MEASURES]
    self._measures = {name: keras.metrics.Mean(name=name) for name in names}
    self._accuracy = keras.metrics.Mean(name="accuracy")

  def compile(
    self,
    optimizer: typing.Any = "sgd",
    estimator_optimizer: typing.Any = "adam",
    measure: bool = True,
    **kwargs: typing.Any,
  ) -> None:
    """Chooses the optimizers; the loss is the log loss of each segment.

    Args:
      optimizer: of the segments.
      estimator_optimizer: of the estimators; the default is Adam at Keras'
        rate, where the paper has 1e-4.
      measure: whether the true gradient travels to every border, so that all
        measures are known; False saves its cost where no estimator needs it.
      **kwargs: as in `OwnLoss.compile`.

    Raises:
      ValueError: a loss or metrics were given.
    """
    super().compile(optimizer, **kwargs)
    self.estimator_optimizer = keras.optimizers.get(estimator_optimizer)
    self._measure = measure

  def build(self, input_shape: typing.Any) -> None:
    """Makes all variables for x of `input_shape`."""
    example = [1, *input_shape[1:]]
    with tf.init_scope():  # which records nothing, so nothing is asked
      outputs = self.network.activations(tf.zeros(example, self.compute_dtype))
      self._num_classes = outputs[-1].shape[-1]
      y = tf.zeros([1, self._num_classes], self.compute_dtype)
      for border, estimator in enumerate(self.network.estimators):
        estimator.make_variables(outputs[border], y)

  def call(self, x: typing.Any, training: bool = False) -> tf.Tensor:
    """Logits `[B, classes]` at x `[B, ...]`."""
    return self.network(tf.cast(x, self.compute_dtype), bool(training))

  def train_step(self, data: typing.Any) -> dict:
    """One update of segments and estimators; returns the metrics."""
    x, y = self._examples(data)
    found = self.network.gradients(x, y, self._measure)
    self.optimizer.apply(found.main, self.network.main_variables)
    if found.estimators:
      self.estimator_optimizer.apply(
        found.estimators, self.network.estimator_variables
      )
    for name, value in found.measures.items():
      self._measures[name].update_state(value)
    logs = self._log(found.loss, self.network(x), y)
    unknown = set(self._measures) - set(found.measures)
    return {name: logs[name] for name in logs if name not in unknown}

  def test_step(self, data: typing.Any) -> dict:
    """Measures loss and accuracy on a batch; returns the metrics."""
    x, y = self._examples(data)
    logits = self.network(x)
    losses = -tf.reduce_sum(y * tf.nn.log_softmax(logits), axis=-1)
    logs = self._log(tf.reduce_mean(losses), logits, y)
    return {name: logs[name] for name in ("loss", "accuracy")}

  def _examples(self, data):
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if y is None or sample_weight is not None:
      raise ValueError(
        "DecoupledModel learns from pairs, fit(x, y), without sample weights."
      )
    if not self.built:
      self.build(x.shape)
    y = tf.convert_to_tensor(y)
    if y.shape.rank == 2 and y.shape[1] == 1:
      y = y[:, 0]  # Keras gives a batch of numbers an axis of its own.
    if y.shape.rank == 1 and y.dtype.is_integer:
      y = tf.one_hot(y, self._num_classes)
    if y.shape.rank != 2 or y.shape[1] != self._num_classes:
      raise ValueError(
        f"y must hold classes, integers [N], or weights [N, "
        f"{self._num_classes}], but a batch of it has shape {y.shape} and type "
        f"{y.dtype.name}."
      )
    return tf.cast(x, self.compute_dtype), tf.cast(y, self.compute_dtype)

  def _log(self, loss, logits, y):
    right = tf.argmax(logits, axis=1) == tf.argmax(y, axis=1)
    self._accuracy.update_state(tf.cast(right, self.compute_dtype))
    keras_internals.loss_tracker(self).update_state(loss, tf.shape(y)[0])
    return self.get_metrics_result()

  def _sonnet_variables(self):
    kept = {id(v) for layer in self._layers_inside for v in layer.variables}
    return [v for v in parts.variables(self.network) if id(v) not in kept]
