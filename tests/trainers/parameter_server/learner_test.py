"""Servers and workers compute what one machine computes."""

import os
import subprocess
import textwrap

from tests import warm_python

# Servers cannot be stopped within a process, hence one of its own.
_IN_ONE_PROCESS = textwrap.dedent(
  """
  import dataclasses, os, socket, time
  import keras
  import numpy as np
  import tensorflow as tf
  tf.config.threading.set_inter_op_parallelism_threads(8)
  from data.digits import Digits
  from trainers.lifecycle.command_line import CommandError
  from trainers.parameter_server import chief, cluster, local_cluster
  from trainers.parameter_server import sockets, worker_batches
  from trainers.parameter_server.learner import ParameterServerLearner
  from trainers.synthetic_gradients.learner import SyntheticGradientLearner
  from trainers.synthetic_gradients.served import ServedClassifier

  config = dataclasses.replace(
    ServedClassifier.presets["smoke"], num_modules=1, drops=(0.05,))
  settings = dataclasses.asdict(config)
  data = Digits(config.seed)
  kept = worker_batches.register(
    lambda index: data.training_batch(index, 4), settings)
  ports = local_cluster.free_ports(4)
  places = [f"127.0.0.1:{port}" for port in ports]
  jobs = {"chief": places[:1], "ps": places[1:3], "worker": places[3:]}
  member = lambda *who: cluster.Cluster(jobs, *who, "loopback")
  servers = [
    cluster.serve(member(*who)) for who in (("ps", 0), ("ps", 1), ("worker", 0))
  ]
  strategy = cluster.connect(member("chief", 0))

  # Nobody but this machine may reach a port.
  devices = {}
  for one in sockets._internet_sockets():
    if one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
      device = one.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16)
      devices[one.getsockname()[1]] = device.rstrip(b"\\0")
  for port in ports:
    assert devices[port] == b"lo", devices

  def wait(step, is_done):
    while not is_done():
      time.sleep(1e-3)
    return True

  def by_hand(learner, rates, is_sync):
    '''The same shares, one after the other, on this machine.'''
    network = learner.network
    parts = learner.trackables()
    sgd = keras.optimizers.SGD(momentum=config.momentum)
    sgd.build(network.main_variables)
    @tf.function
    def look(x, y):
      found = network.gradients(x, y, True)
      parts["estimator_optimizer"].apply(
        found.estimators, network.estimator_variables)
      return found.main, found.loss
    losses = []
    for step, rate in enumerate(rates):
      gradients = []
      for share in range(2):
        main, loss = look(*data.training_batch(2 * step + share, 4))
        losses.append(float(loss))
        gradients.append(main)
        if not is_sync:
          sgd.learning_rate.assign(rate / 2)
          sgd.apply(main, network.main_variables)
      if is_sync:
        sgd.learning_rate.assign(rate)
        means = [sum(pair) / 2 for pair in zip(*gradients, strict=True)]
        sgd.apply(means, network.main_variables)
    return losses, sgd.momentums

  local = lambda: SyntheticGradientLearner(
    config, tf.distribute.get_strategy(), (32, 32, 1), 10)
  for updates in ("sync", "async"):
    kind = dataclasses.replace(config, main_updates=updates)
    learner = ParameterServerLearner(
      ServedClassifier(kind), kind, strategy, 2, settings)
    learner.push()
    held = sorted(learner.placement().values())
    assert len(held) == 2 and held[1] < 2 * held[0], held
    assert learner.train(0, 3, wait, measure_last=True) == 3
    learner.pull()
    reference = local()
    # The learning rate falls after the first of the twenty steps.
    rates = [0.1, 0.01, 0.01]
    losses, momentums = by_hand(reference, rates, updates == "sync")
    mine = learner.model.local
    for a, b in zip(
      [*mine.network.variables, *mine.trackables()["main_optimizer"].momentums,
       *mine.trackables()["estimator_optimizer"].slots[1]],
      [*reference.network.variables, *momentums,
       *reference.trackables()["estimator_optimizer"].slots[1]],
      strict=True,
    ):
      np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-3, atol=2e-5)
    entry = learner.ledger.read()
    assert entry.started == entry.finished == 6
    np.testing.assert_allclose(entry.loss, sum(losses), rtol=1e-4)
    assert entry.measured == 2 and np.isfinite(entry.measures).all()
    # One worker is alone: nothing comes between its reads and writes.
    assert list(entry.staleness[:2]) == [6, 0] and entry.staleness.sum() == 6
    # There and back again.
    before = [v.numpy() for v in mine.variables]
    learner.train(3, 4, wait)
    learner.push()
    learner.pull()
    for a, b in zip(before, mine.variables, strict=True):
      np.testing.assert_array_equal(a, b.numpy())
    if updates == "sync":  # what comes in behind its round is left out
      learner._round.assign(8)
      learner._coordinator.schedule(learner._steps[False], args=(7, 0, 0.1))
      wait(8, learner._coordinator.done)
      for gathered in learner._gathered:
        assert not gathered.numpy().any()

  # A loss that is not finite is counted, and the others are still summed.
  learner.model.network.main_variables[0].assign_add(
    np.full(learner.model.network.main_variables[0].shape, np.nan))
  before = learner.ledger.read()
  learner.train(4, 5, wait)
  news = learner.ledger.read().since(before)
  assert news.not_finite == 2 and news.loss == 0.0, news

  # A worker that was started otherwise says so.
  plain = dataclasses.replace(config, method="noprop")
  learner = ParameterServerLearner(
    ServedClassifier(plain), plain, strategy, 2, {**settings, "seed": 7})
  try:
    with chief.named_failures():
      learner.train(0, 1, wait)
  except CommandError as error:
    assert "seed is 0 there and 7 here" in str(error), error
  else:
    raise AssertionError("nobody noticed")
  print("reached the end", flush=True)
  os._exit(0)  # the servers' threads would stay
  """
)


def test_two_servers_and_a_worker_compute_what_one_machine_computes():
  result = subprocess.run(
    [warm_python.command(), "-c", _IN_ONE_PROCESS],
    env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert result.returncode == 0, result.stderr[-3000:]
  assert "reached the end" in result.stdout
