"""Batch normalisation over the joined batch of all replicas."""

import sonnet as snt
import tensorflow as tf


class BatchNorm(snt.Module):
  """Normalises each channel over batch and space, then scales and shifts.

  Sonnet has one module for a single device and another for several, both of
  which make their variables in the first call. This one makes them at once, in
  whatever strategy's scope it is built, and takes the fused kernel where there
  is one replica. Several replicas share the statistics of their joined batch,
  so that N replicas compute what one device computes on all examples.

  The paper gives neither the decay of the moving statistics nor epsilon.
  """

  def __init__(
    self,
    num_channels: int,
    decay: float = 0.99,
    epsilon: float = 1e-5,
    name: str | None = None,
  ):
    """Makes the variables.

    Args:
      num_channels: size of the last axis of the input.
      decay: of the moving mean and variance, which inference uses.
      epsilon: added to the variance.
      name: module name.
    """
    super().__init__(name=name)
    self._decay, self._epsilon = decay, epsilon
    self.scale = tf.Variable(tf.ones([num_channels]), name="scale")
    self.offset = tf.Variable(tf.zeros([num_channels]), name="offset")
    # All replicas compute the same joined statistics, so each keeps its own
    # copy and any of them will do when it is read.
    moving = {
      "trainable": False,
      "synchronization": tf.VariableSynchronization.ON_READ,
      "aggregation": tf.VariableAggregation.ONLY_FIRST_REPLICA,
    }
    self.moving_mean = tf.Variable(
      tf.zeros([num_channels]), name="moving_mean", **moving
    )
    self.moving_variance = tf.Variable(
      tf.ones([num_channels]), name="moving_variance", **moving
    )

  def __call__(self, x: tf.Tensor, is_training: bool) -> tf.Tensor:
    """Normalises x `[B, H, W, C]`.

    Args:
      x: activations.
      is_training: True takes the batch's statistics and moves the moving ones
        towards them, which couples the examples of a batch; False takes the
        moving ones.

    Returns:
      Tensor of the shape of x.
    """
    if not is_training:
      return tf.nn.batch_normalization(
        x,
        self.moving_mean,
        self.moving_variance,
        self.offset,
        self.scale,
        self._epsilon,
      )
    context = tf.distribute.get_replica_context()
    if context is not None and context.num_replicas_in_sync > 1:
      y, mean, variance = self._normalise_jointly(x, context)
    else:
      y, mean, variance = self._normalise(x)
    for moving, value in (
      (self.moving_mean, mean),
      (self.moving_variance, variance),
    ):
      moving.assign_sub((1 - self._decay) * (moving - tf.stop_gradient(value)))
    return y

  def _normalise(self, x):
    y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
      x=x,
      scale=self.scale,
      offset=self.offset,
      mean=tf.constant([], tf.float32),
      variance=tf.constant([], tf.float32),
      epsilon=self._epsilon,
      is_training=True,
    )
    # The kernel normalises by the batch's variance, but hands out the
    # unbiased estimate from n values, n/(n-1) of it.
    count = tf.cast(tf.size(x) / tf.shape(x)[-1], tf.float32)
    return y, mean, variance * (count - 1) / count

  def _normalise_jointly(self, x, context):
    mean = context.all_reduce("MEAN", tf.reduce_mean(x, axis=[0, 1, 2]))
    # Two passes: the mean of squares less the squared mean loses digits.
    variance = context.all_reduce(
      "MEAN", tf.reduce_mean(tf.square(x - mean), axis=[0, 1, 2])
    )
    y = tf.nn.batch_normalization(
      x, mean, variance, self.offset, self.scale, self._epsilon
    )
    return y, mean, variance
