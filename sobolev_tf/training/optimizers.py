"""Fused optimizers on variables that several workers may share (Hogwild).

Each update of a variable is one TensorFlow kernel. Workers that share the
variables apply their updates at once, without coordination: TensorFlow locks
one variable while its kernel runs and nothing across variables, so reads and
updates of the whole set interleave freely, but no number is ever torn.

Build an optimizer where its variables were made: outside a strategy's scope
for one shared copy, inside it for mirrored ones (the gradients must then be
the same on every replica). `apply` belongs inside `strategy.run`.
"""

import typing

import tensorflow as tf


class FusedOptimizer(tf.Module):
  """What the optimizers share: slots beside the variables and a counter.

  Attributes:
    learning_rate: used where `apply` is not given another.
    iterations: int64, how many updates have been applied, by all workers.
    slots: list with one list of variables per kind of slot; a checkpoint of
      the optimizer holds them.
  """

  def __init__(
    self,
    learning_rate: float | tf.Variable,
    starts: typing.Sequence[float],
    name: str | None = None,
  ):
    """Takes what every slot starts from, a number per kind."""
    super().__init__(name=name)
    self.learning_rate = learning_rate
    self.iterations = None
    self.slots = []
    self._starts = starts
    self._variables = None

  def build(self, variables: typing.Sequence) -> None:
    """Makes the slots; call it once, before any `tf.function` is traced."""
    if self._variables is not None:
      raise ValueError(
        "this optimizer has been built already; make one per set of variables."
      )
    self._variables = tuple(variables)
    self.iterations = tf.Variable(
      0, trainable=False, dtype=tf.int64, name="iterations"
    )
    self.slots = [
      [_slot(v, start) for v in self._variables] for start in self._starts
    ]

  def apply(
    self,
    gradients: typing.Sequence,
    variables: typing.Sequence,
    learning_rate: typing.Any = None,
  ) -> tf.Operation | None:
    """Makes one update.

    Args:
      gradients: one dense tensor per variable.
      variables: those given to `build`, in that order.
      learning_rate: a number or scalar tensor, instead of the attribute.

    Returns:
      In a graph, an operation that is done when all variables are updated.

    Raises:
      ValueError: the gradients do not fit, or `build` has not been called.
    """
    if self._variables is None:
      raise ValueError("this optimizer has no variables; call build first.")
    if [id(v) for v in variables] != [id(v) for v in self._variables]:
      raise ValueError(
        f"the {len(variables)} variable(s) are not the {len(self._variables)} "
        "that this optimizer was built for; give those, in the same order."
      )
    if len(gradients) != len(self._variables):
      raise ValueError(
        f"there are {len(self._variables)} variable(s) and {len(gradients)} "
        "gradient(s); give one for each."
      )
    rate = self.learning_rate if learning_rate is None else learning_rate
    # The raw operation changes the copy of the replica at hand; a mirrored
    # variable's own assign_add would want to coordinate.
    tf.raw_ops.AssignAddVariableOp(
      resource=self.iterations.handle, value=tf.ones([], tf.int64)
    )
    step = self.iterations.read_value()
    updates = []
    for index, (variable, gradient) in enumerate(
      zip(self._variables, gradients, strict=True)
    ):
      if gradient is None:
        raise ValueError(
          f"the gradient of {variable.name} is None: the loss does not depend "
          "on it."
        )
      slots = [kind[index] for kind in self.slots]
      updates.append(self._update(variable, gradient, slots, rate, step))
    return tf.group(*updates)

  def _update(self, variable, gradient, slots, learning_rate, step):
    raise NotImplementedError


class SharedAdam(FusedOptimizer):
  """Adam, as Keras computes it, in one kernel per variable."""

  def __init__(
    self,
    learning_rate: float | tf.Variable = 1e-3,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-7,
    name: str | None = None,
  ):
    """Takes Adam's numbers; `epsilon` stands outside the square root."""
    super().__init__(learning_rate, (0.0, 0.0), name=name)
    self._beta_1, self._beta_2, self._epsilon = beta_1, beta_2, epsilon

  def _update(self, variable, gradient, slots, learning_rate, step):
    dtype = variable.dtype
    # In double precision, since 1 - beta_2^t is a small difference at first.
    step = tf.cast(step, tf.float64)
    powers = [
      tf.cast(tf.pow(_constant(beta, tf.float64), step), dtype)
      for beta in (self._beta_1, self._beta_2)
    ]
    return tf.raw_ops.ResourceApplyAdam(
      var=variable.handle,
      m=slots[0].handle,
      v=slots[1].handle,
      beta1_power=powers[0],
      beta2_power=powers[1],
      lr=_constant(learning_rate, dtype),
      beta1=_constant(self._beta_1, dtype),
      beta2=_constant(self._beta_2, dtype),
      epsilon=_constant(self._epsilon, dtype),
      grad=gradient,
    )


class SharedMomentum(FusedOptimizer):
  """SGD with momentum, as Keras computes it, in one kernel per variable.

  `m <- momentum m - rate * g` and `w <- w + m`.
  """

  def __init__(
    self,
    learning_rate: float | tf.Variable = 1e-2,
    momentum: float = 0.9,
    name: str | None = None,
  ):
    """Takes SGD's numbers."""
    super().__init__(learning_rate, (0.0,), name=name)
    self._momentum = momentum

  def _update(self, variable, gradient, slots, learning_rate, step):
    del step
    return tf.raw_ops.ResourceApplyKerasMomentum(
      var=variable.handle,
      accum=slots[0].handle,
      lr=_constant(learning_rate, variable.dtype),
      grad=gradient,
      momentum=_constant(self._momentum, variable.dtype),
    )


class SharedRMSProp(FusedOptimizer):
  """RMSProp with shared statistics, as asynchronous actor-critics use it.

  `s <- decay s + (1 - decay) g^2` and `w <- w - rate * g / sqrt(s + epsilon)`:
  no momentum, epsilon inside the square root, and s starts at one, so that the
  first updates are no larger than the gradients.
  """

  def __init__(
    self,
    learning_rate: float | tf.Variable = 1e-3,
    decay: float = 0.99,
    epsilon: float = 0.1,
    name: str | None = None,
  ):
    """Takes RMSProp's numbers."""
    # The kernel wants a slot for momentum even where that is zero.
    super().__init__(learning_rate, (1.0, 0.0), name=name)
    self._decay, self._epsilon = decay, epsilon

  def _update(self, variable, gradient, slots, learning_rate, step):
    del step
    dtype = variable.dtype
    return tf.raw_ops.ResourceApplyRMSProp(
      var=variable.handle,
      ms=slots[0].handle,
      mom=slots[1].handle,
      lr=_constant(learning_rate, dtype),
      rho=_constant(self._decay, dtype),
      momentum=tf.zeros([], dtype),
      epsilon=_constant(self._epsilon, dtype),
      grad=gradient,
    )


def _slot(variable, start):
  """A slot that lives where its variable lives: the kernels ask for that."""
  strategy = tf.distribute.get_strategy()
  with strategy.extended.colocate_vars_with(variable):
    value = tf.fill(variable.shape, tf.cast(start, variable.dtype))
    return tf.Variable(value, trainable=False)


def _constant(value, dtype):
  """A number or a scalar tensor as `dtype`; a cast would round via float32."""
  if tf.is_tensor(value):
    return tf.cast(value, dtype)
  return tf.constant(value, dtype)
