"""Servers and a worker distil what one machine distils."""

import os
import subprocess
import textwrap

from tests import warm_python

# Servers cannot be stopped within a process, hence one of its own.
_IN_ONE_PROCESS = textwrap.dedent(
  """
  import dataclasses, os, pathlib, sys, time
  import numpy as np
  import tensorflow as tf
  tf.config.threading.set_inter_op_parallelism_threads(8)
  from data import atari, atari_recorder
  from sobolev_tf.networks.atari import TeacherNetwork, frames_to_input
  from sobolev_tf.export.policies import load_policy, save_policy
  from sobolev_tf.training.optimizers import SharedAdam
  from trainers.distillation.examples import TeacherExamples
  from trainers.distillation.learner import DistillationLearner
  from trainers.distillation.objective import Objective
  from trainers.parameter_server import cluster, local_cluster
  from trainers.parameter_server import member as parameter_server
  from trainers.parameter_server import worker_batches
  from trainers.parameter_server.learner import ParameterServerLearner
  from trainers.distillation.served import ServedStudent

  folder = pathlib.Path(sys.argv[1])
  config = dataclasses.replace(
    ServedStudent.presets["smoke"], game="breakout",
    teachers=str(folder), recordings=str(folder / "recordings"))
  settings = parameter_server.shared_settings("distillation", config)
  kept = worker_batches.register(
    lambda index: worker.draw(index), settings, ServedStudent.share_dtypes)
  game = atari.get_game("breakout")
  teacher = TeacherNetwork(game.num_actions, seed=5)
  teacher.policy.w.assign(300 * teacher.policy.w)
  path = str(folder / "breakout.npz")
  save_policy(path, teacher,
              {"game": "breakout", "action_names": list(game.actions)})
  teacher, _ = load_policy(path)
  atari_recorder.write_recording(
    str(folder / "recordings" / "breakout"), game,
    lambda frames: teacher(frames_to_input(tf.constant(frames))).numpy(), 600)

  worker = ServedStudent(config)
  # Two shares are the batch of one machine.
  examples = TeacherExamples(config)
  halves = zip(worker.draw(6), worker.draw(7), strict=True)
  for parts, whole in zip(halves, examples.training_batch(3), strict=True):
    np.testing.assert_array_equal(np.concatenate(parts), whole)

  places = [f"127.0.0.1:{port}" for port in local_cluster.free_ports(3)]
  jobs = {"chief": places[:1], "ps": places[1:2], "worker": places[2:]}
  member = lambda *who: cluster.Cluster(jobs, *who, "loopback")
  servers = [cluster.serve(member(*who)) for who in (("ps", 0), ("worker", 0))]
  strategy = cluster.connect(member("chief", 0))

  def wait(step, is_done):
    while not is_done():
      time.sleep(1e-3)
    return True

  def by_hand(is_sync):
    reference = DistillationLearner(
      Objective.of(config), examples.teacher, game.num_actions)
    reference.reset(config.seed, config.learning_rate)
    optimizer = SharedAdam(config.learning_rate)
    variables = reference.student.trainable_variables
    optimizer.build(variables)
    objective = Objective.of(config)
    losses = []
    for step in range(3):
      found = []
      for share in range(2):
        index = 2 * step + share
        frames, logits = (tf.constant(a) for a in worker.draw(index))
        gradients, parts = objective.gradients(
          reference.student, examples.teacher, frames, logits,
          tf.constant([config.seed, index]))
        losses.append(float(parts.loss))
        found.append(gradients)
        if not is_sync:
          optimizer.apply(gradients, variables, config.learning_rate / 2)
      if is_sync:
        means = [sum(pair) / 2 for pair in zip(*found, strict=True)]
        optimizer.apply(means, variables)
    return reference.student, optimizer, losses

  for updates in ("sync", "async"):
    kind = dataclasses.replace(config, main_updates=updates)
    learner = ParameterServerLearner(
      ServedStudent(kind), kind, strategy, 1, settings)
    learner.push()
    assert learner.train(0, 3, wait, measure_last=True) == 3
    learner.pull()
    mine = learner.model.local
    student, optimizer, losses = by_hand(updates == "sync")
    entry = learner.ledger.read()
    assert entry.started == entry.finished == 6
    np.testing.assert_allclose(entry.loss, sum(losses), rtol=1e-4)
    assert entry.measured == 2 and (entry.measures > 0).all()
    assert int(mine.optimizer.iterations) == int(optimizer.iterations) > 0
    for a, b in zip(
      [*mine.student.variables, *mine.optimizer.slots[0]],
      [*student.variables, *optimizer.slots[0]], strict=True,
    ):
      scale = np.abs(b.numpy()).max()
      # Where a gradient is rounding noise, Adam's step is of any size.
      difference = np.abs(a.numpy() - b.numpy())
      assert np.mean(difference) < 1e-4 * scale, (a.name, difference.mean())
  print("reached the end", flush=True)
  os._exit(0)  # the servers' threads would stay
  """
)


def test_servers_and_a_worker_distil_what_one_machine_distils(tmp_path):
  result = subprocess.run(
    [warm_python.command(), "-c", _IN_ONE_PROCESS, str(tmp_path)],
    env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert result.returncode == 0, result.stderr[-3000:]
  assert "reached the end" in result.stdout
