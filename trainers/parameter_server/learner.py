"""Training on parameter servers: what workers and servers compute (SM §4).

A batch is cut into shares. Any worker takes any share: it reads the weights as
they are, computes all gradients, and applies those of the estimators, if there
are any, at once, without waiting for anyone (Hogwild). The gradients of the
main network are gathered on the servers until the round is complete, and their
mean is applied ("sync", the paper), or each is applied at once ("async").

Networks and gradients are those of the trainers of one machine. The chief
keeps a copy of them, for tests and checkpoints.

BatchNorm: every share is normalised by its own statistics, as on machines of
their own, and moves the one shared copy of the moving ones.
"""

import contextlib

import numpy as np
import tensorflow as tf

from trainers.parameter_server import worker_batches
from trainers.parameter_server.ledger import Ledger


class ParameterServerLearner:
  """Variables and counters on the servers, and the worker's step.

  Attributes:
    model: what is trained, a `Served`.
    ledger: the counters on the servers.
  """

  def __init__(self, model, config, strategy, num_servers, settings):
    """Makes all variables; the strategy must be connected already.

    Args:
      model: what is trained; nothing of it is made yet.
      config: settings of the model's `config_class`.
      strategy: a `tf.distribute.ParameterServerStrategy`.
      num_servers: number of parameter servers.
      settings: dict that every worker must have been started with.
    """
    self.model = model
    self._config, self._settings = config, settings
    model.build_local()
    with strategy.scope():
      anchors = [_zeros([], tf.float32) for _ in range(num_servers)]
      with _by_size(anchors):
        model.build_served()
        self.ledger = Ledger(len(model.measure_names))
        self._round = _zeros([], tf.int64)
      variables = model.main_variables
      self._groups = _group_by_server(variables)
      self._gathered = []
      for group in self._groups:
        with strategy.extended.colocate_vars_with(group[0][1]):
          length = sum(v.shape.num_elements() for _, v in group)
          # The last number counts what was added to the others.
          self._gathered.append(_zeros([length + 1], tf.float32))
    self._local_ledger = Ledger(len(model.measure_names))
    self._coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
    self._steps = {
      measure: self._make_step(measure) for measure in (False, True)
    }

  def _make_step(self, measure):
    scalar = tf.TensorSpec([], tf.int64)

    @tf.function(
      input_signature=[scalar, scalar, tf.TensorSpec([], tf.float32)]
    )
    def step(number, share, rate):
      index = number * self._config.num_replicas + share
      x, y = worker_batches.draw(self._settings, index, self.model.share_specs)
      with tf.control_dependencies([x, y]):
        begun = self.ledger.begin()
      with tf.control_dependencies([begun]):
        found = self.model.work(x, y, index, measure)
      writes = list(found.writes)
      if self._config.main_updates == "sync":
        writes += self._gather(found.gradients, number)
      else:
        # A share counts as much as it does in the mean of a round.
        part = rate / self._config.num_replicas
        writes.append(self.model.apply_main(found.gradients, part))
      with tf.control_dependencies(writes):
        measures = self._in_order(found.measures) if measure else None
        self.ledger.end(begun, found.loss, measures)

    return step

  def _gather(self, gradients, number):
    """Adds a share's gradients to the round's: one message per server."""
    # What a worker that was given up on sends in a later round is left out. The
    # round is read when the gradients are there, not when the step begins.
    known = [g for g in gradients if g is not None]
    with tf.control_dependencies(known):
      is_current = tf.equal(self._round.read_value(), number)
    writes = []
    for group, gathered in zip(self._groups, self._gathered, strict=True):
      parts = [tf.reshape(gradients[place], [-1]) for place, _ in group]
      flat = tf.concat([*parts, tf.ones([1])], axis=0)
      writes.append(
        tf.raw_ops.AssignAddVariableOp(
          resource=gathered.handle,
          value=tf.where(is_current, flat, tf.zeros_like(flat)),
        )
      )
    return writes

  @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
  def _finish_round(self, rate):
    """Applies the mean of a round's gradients; nothing leaves the servers."""
    gradients = [None] * len(self.model.main_variables)
    for group, gathered in zip(self._groups, self._gathered, strict=True):
      with tf.device(gathered.device):
        total = gathered.read_value()
        mean = total[:-1] / total[-1]
        sizes = [v.shape.num_elements() for _, v in group]
        for (place, variable), part in zip(
          group, tf.split(mean, sizes), strict=True
        ):
          gradients[place] = tf.reshape(part, variable.shape)
        with tf.control_dependencies([mean]):
          gathered.assign(tf.zeros_like(total))
    self.model.apply_main(gradients, rate)
    tf.raw_ops.AssignAddVariableOp(
      resource=self._round.handle, value=tf.ones([], tf.int64)
    )

  def _in_order(self, measures):
    unknown = tf.constant(np.nan, tf.float32)
    return [measures.get(name, unknown) for name in self.model.measure_names]

  def train(self, first, last, wait, measure_last=False):
    """Makes the updates of the steps `first` to `last`.

    Args:
      first: index of the first round.
      last: index after the last round.
      wait: function of (step, is_done) that returns once is_done() is true;
        it returns whether to go on.
      measure_last: whether the shares of the last round note all measures.

    Returns:
      the step that was reached.
    """
    is_sync = self._config.main_updates == "sync"
    if first < last:
      self._round.assign(first)
    for number in range(first, last):
      rate = self.model.rate(number)
      step = self._steps[measure_last and number + 1 == last]
      for share in range(self._config.num_replicas):
        self._coordinator.schedule(step, args=(number, share, rate))
      if is_sync:
        go_on = wait(number, self._coordinator.done)
        self._finish_round(rate)
        if not go_on:
          return number + 1
    if not is_sync:
      wait(last, self._coordinator.done)
    return last

  def trackables(self, step=0):
    """What a checkpoint holds: the chief's copy, which is at `step`."""
    return {**self.model.trackables(step), "ledger": self._local_ledger}

  def pull(self):
    """Copies everything from the servers to the chief."""
    for (here, _), value in zip(
      self._pairs(), self._read_servers(), strict=True
    ):
      here.assign(value)

  @tf.function(input_signature=[])
  def _read_servers(self):
    """Reads everything at once."""
    return [tf.identity(there.read_value()) for _, there in self._pairs()]

  def push(self):
    """Copies everything from the chief to the servers."""
    for here, there in self._pairs():
      there.assign(tf.convert_to_tensor(here))

  def _pairs(self):
    """The same variables, here and on the servers."""
    return [
      *self.model.pairs(),
      *zip(self._local_ledger.variables, self.ledger.variables, strict=True),
    ]

  def placement(self):
    """Bytes on each server: the variables that workers read."""
    counts = {}
    for variable in self.model.variables:
      size = variable.shape.num_elements() * variable.dtype.size
      counts[variable.device] = counts.get(variable.device, 0) + size
    return counts


def _zeros(shape, dtype):
  return tf.Variable(tf.zeros(shape, dtype), trainable=False)


@contextlib.contextmanager
def _by_size(anchors):
  """Gives each new variable to the server that holds the fewest bytes.

  A variable that asks to stand beside another one does. It is an optimizer's
  slot, which never travels, so it does not count.
  """
  held = [0] * len(anchors)

  def place(next_creator, **arguments):
    if arguments.get("colocate_with") is not None:
      return next_creator(**arguments)
    emptiest = int(np.argmin(held))
    arguments["colocate_with"] = anchors[emptiest]
    variable = next_creator(**arguments)
    held[emptiest] += variable.shape.num_elements() * variable.dtype.size
    return variable

  with tf.variable_creator_scope(place):
    yield


def _group_by_server(variables):
  """For each server that holds some, its (place in the list, variable)."""
  groups = {}
  for place, variable in enumerate(variables):
    groups.setdefault(variable.device, []).append((place, variable))
  return list(groups.values())
