"""The regression networks of several seeds and their compiled step."""

import keras
import tensorflow as tf

from sobolev_tf import derivatives, sobolev_loss
from sobolev_tf.networks.regression import RegressionMLP
from trainers.lifecycle.guard import size_of

METHODS = ("regular", "sobolev")


class RegressionLearner:
  """Networks of several seeds, their optimizer and the compiled step."""

  def __init__(
    self, method, seeds, hidden_sizes, learning_rate, weight=1.0, loss="l2"
  ):
    self.network = RegressionMLP(2, seeds, hidden_sizes)
    self.optimizer = keras.optimizers.Adam(learning_rate)
    self.optimizer.build(self.network.trainable_variables)
    self._order = METHODS.index(method)
    self._weights = (1.0, weight)[: self._order + 1]
    self._losses = ("l2", loss)[: self._order + 1]
    self._num_networks = len(seeds)
    # The optimizer's first state, to which `reset` returns.
    self._fresh = [variable.numpy() for variable in self.optimizer.variables]

  def reset(self, seeds):
    """Returns to the untrained state, so that the compiled step is reused."""
    self.network.reset(seeds)
    for variable, value in zip(
      self.optimizer.variables, self._fresh, strict=True
    ):
      variable.assign(value)

  def trackables(self):
    """What a checkpoint holds."""
    return {"network": self.network, "optimizer": self.optimizer}

  @property
  def variables(self):
    """Every variable of `trackables`."""
    return [*self.network.trainable_variables, *self.optimizer.variables]

  @tf.autograph.experimental.do_not_convert  # it takes seconds; see guard.py
  def losses(self, x, y, dy):
    """Mean Sobolev loss of each network on its batch (Eq. 1), `[S]`."""
    if self._order:
      predicted = self.network.value_and_gradient(x)
    else:
      predicted = (self.network(x),)
    target = (y, dy)[: self._order + 1]
    loss = sobolev_loss(predicted, target, self._weights, self._losses).loss
    loss = tf.reshape(loss, [self._num_networks, -1])  # [S * B] to [S, B]
    return tf.reduce_mean(loss, axis=1)

  @tf.function(jit_compile=True)
  def train_steps(self, x, y, dy, num_steps):
    """Makes `num_steps` updates inside one compiled call.

    Args:
      x: `[L, S * B, 2]`; update i uses batch i mod L.
      y: `[L, S * B, 1]`.
      dy: `[L, S * B, 1, 2]`.
      num_steps: scalar int32.

    Returns:
      losses of the last update `[S]`, and how many were made: fewer than
      `num_steps` if a loss or a gradient was not finite, which stops all
      networks before that update.
    """
    variables = self.network.trainable_variables
    losses, made = tf.zeros([self._num_networks], x.dtype), tf.constant(0)
    is_finite = True
    while is_finite and made < num_steps:
      batch = made % tf.shape(x)[0]
      with tf.GradientTape() as tape:
        candidates = self.losses(x[batch], y[batch], dy[batch])
        # The networks share nothing, so the gradient of the sum holds each
        # network's own gradient.
        total = tf.reduce_sum(candidates)
      gradients = tape.gradient(total, variables)
      is_finite = tf.math.is_finite(size_of(total, gradients))
      if is_finite:
        losses = candidates
        self.optimizer.apply(gradients, variables)
        made += 1
    return losses, made

  @tf.function(autograph=False)
  def predict(self, x):
    """Values and gradients: `[S, N, 1]` and `[S, N, 1, 2]` for `[S, N, 2]`."""
    value, gradient = derivatives(self.network, tf.reshape(x, [-1, 2]), 1)
    head = tf.shape(x)[:2]
    return (
      tf.reshape(value, tf.concat([head, [1]], axis=0)),
      tf.reshape(gradient, tf.concat([head, [1, 2]], axis=0)),
    )
