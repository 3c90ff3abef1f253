"""A real cluster of processes: killed, restarted, resumed, stopped."""

import dataclasses
import json
import os
import signal
import subprocess
import time

import pytest

from tests import warm_python
from tests.acceptance.watched_cluster import Watched, is_alive
from trainers.lifecycle.command_line import CommandError
from trainers.lifecycle.served import Served
from trainers.parameter_server import member as parameter_server
from trainers.parameter_server.chief import COLUMNS
from trainers.synthetic_gradients import config as table1_config
from trainers.synthetic_gradients.served import ServedClassifier

# Noprop, whose graphs are the smallest, and a test after each step, so that
# there is one graph of a step: each chief traces its own, and each worker makes
# it ready. What the other methods compute on servers is learner_test's.
_TRAINING = (
  "--preset=smoke",
  "--dataset=digits",
  "--method=noprop",
  "--num_modules=1",
  "--num_steps=100000",
  "--num_test=10",
  "--evaluate_every=1",
  "--checkpoint_every=5",
)


def test_a_cluster_survives_its_members_and_ends_with_its_supervisor(tmp_path):
  workdir, python = tmp_path / "run", warm_python.command()
  with Watched(str(workdir), _TRAINING, python=python) as run:
    run.wait_for_training(1)
    run.kill("worker_0")
    run.wait_for_training(run.rows() + 5)  # the other one goes on
    run.kill("ps_0")
    run.wait_for(lambda: _resumptions(run) > 0, "a resumption")
    resumed = run.last_step()
    run.wait_for(lambda: run.last_step() > resumed, "progress")
    assert _says(run, "worker_0 ended (SIGKILL)")
    assert _says(run, "ps_0 ended (SIGKILL)")
    run.process.send_signal(signal.SIGINT)  # Ctrl-C
    assert run.process.wait(240) == 128 + signal.SIGTERM, run.tail()
    assert all(not is_alive(pid) for pid in run.all_pids())
    assert _says(run, "stopped at step") or _says(run, "stopped in step")
  stopped = run.last_step()
  newest = sorted((workdir / "checkpoints").iterdir())[-1].name
  assert int(newest.removeprefix("step_")) >= stopped > resumed > 0

  # The same run goes on, with its variables on two servers.
  with Watched(str(workdir), _TRAINING, own=("--ps=2",), python=python) as run:
    run.wait_for(lambda: run.last_step() > stopped, "progress")
    run.kill("chief")
    run.wait_for(lambda: len(run.pids()["chief"]) == 2, "another chief")
    run.wait_for(lambda: _resumptions(run) == 2, "a resumption")
    pids = run.all_pids()
    assert len(set(pids)) >= 6
    run.process.kill()  # whoever killed that had no time for the others
    deadline = time.monotonic() + 180
    while any(is_alive(pid) for pid in pids):
      assert time.monotonic() < deadline, "orphans"
      time.sleep(0.2)
  result = json.loads((workdir / "config.json").read_text())
  assert result["main_updates"] == "sync" and result["num_replicas"] == 2


def test_a_cluster_on_one_core_with_one_thread_trains(tmp_path):
  core = min(os.sched_getaffinity(0))
  settings = ["--preset=smoke", "--method=backprop", "--num_steps=2"]
  settings += ["--width=0.01", "--num_test=10", f"--workdir={tmp_path}"]
  result = subprocess.run(
    [warm_python.command(), "-m", "trainers.parameter_server.local_cluster"]
    + ["--workers=1", "--ps=1", "--", *settings, "--patience=120"],
    env={**os.environ, "TF_NUM_INTEROP_THREADS": "1"},
    preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    capture_output=True,
    text=True,
    timeout=400,
  )
  assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
  assert (tmp_path / "finished.json").exists()


def _resumptions(run):
  return sum("Resuming at step" in line for _, line in run.words)


def _says(run, phrase):
  return any(phrase in line for _, line in run.words)


def test_presets_are_those_of_one_machine():
  for name, base in table1_config.PRESETS.items():
    config = ServedClassifier.presets[name]
    assert config.num_replicas == max(base.num_replicas, 2)
    assert config.batch_size == base.batch_size
    assert config.estimator_updates == "hogwild"


def test_columns_hold_staleness_and_repetitions():
  for kind in parameter_server.EXPERIMENTS.values():
    columns = (*kind.columns(kind.presets["smoke"]), *COLUMNS)
    assert len(set(columns)) == len(columns)
    assert {"staleness", "begun_again", "finished_again"} < set(columns)


def test_every_experiment_serves_all_that_a_cluster_asks_for():
  asked = {name for name in vars(Served) if not name.startswith("_")}
  assert len(asked) > 10
  for kind in parameter_server.EXPERIMENTS.values():
    assert Served in kind.__mro__
    assert asked <= set(vars(kind)), asked - set(vars(kind))


@pytest.mark.parametrize("text", ["true", "True"])
def test_lifeline_is_true_however_it_is_written(text, monkeypatch, tmp_path):
  followed = []
  monkeypatch.setattr(
    parameter_server.lifeline, "follow_stdin", followed.append
  )
  monkeypatch.setattr(parameter_server, "_lead", lambda *_: 0)
  jobs = {"chief": ["a:1"], "ps": ["b:1"], "worker": ["c:1"]}
  task = {"type": "chief", "index": 0}
  monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": jobs, "task": task}))
  settings = ["--preset=smoke", f"--lifeline={text}", f"--workdir={tmp_path}"]
  assert parameter_server.main(["ps", *settings]) == 0
  assert followed == ["chief"]


@pytest.mark.parametrize(
  "settings, phrase",
  [
    (("--estimator_updates=sync",), "must be one of hogwild"),
    (("--seed=0,1",), "one run at a time"),
    (("--patience=soon",), "give a number"),
    (("--patience=0",), "must be above 0"),
    (("--patience=inf",), "give a finite number"),
    (("--lifeline=yes",), "give true or false"),
    (("--bind=all",), "one of loopback, any"),
    (("--index=-1",), "must be 0 or more"),
    (("--experiment=distillation", "--jacobian_gib=1"), "on a cluster"),
    (("--batch_size=9",), "cannot share it equally"),
    ((), "the members are not known"),
    (("--experiment=chess",), "synthetic_gradients, distillation"),
    (("--experiment", "distillation", "--width=1"), "width"),
    (("--experiment=distillation", "--num_replicas=3"), "do not divide"),
  ],
)
def test_a_mistake_is_one_sentence(settings, phrase, tmp_path, monkeypatch):
  monkeypatch.delenv("TF_CONFIG", raising=False)
  with pytest.raises(CommandError, match=phrase):
    parameter_server.main(
      ["ps", "--preset=smoke", f"--workdir={tmp_path / 'run'}", *settings]
    )
  assert not (tmp_path / "run").exists()


def test_settings_that_fit_no_network_are_found_before_anybody_is_waited_for(
  tmp_path, monkeypatch
):
  jobs = {"chief": ["127.0.0.1:1"], "ps": ["127.0.0.1:2"]}
  jobs["worker"] = ["127.0.0.1:3"]
  task = {"type": "chief", "index": 0}
  monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": jobs, "task": task}))
  config = dataclasses.replace(ServedClassifier.presets["smoke"], num_modules=9)
  with pytest.raises(CommandError, match="num_modules is 9"):
    parameter_server.train(
      "synthetic_gradients", config, tmp_path / "run", None, 1.0
    )
  assert not (tmp_path / "run").exists()
