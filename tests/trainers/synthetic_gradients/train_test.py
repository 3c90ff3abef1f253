"""The synthetic-gradient trainer: resume, faults, the real loader."""

import dataclasses
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from trainers.lifecycle import checkpoints, loop
from trainers.lifecycle.command_line import CommandError
from trainers.lifecycle.run import NotFinite
from trainers.synthetic_gradients import learner
from trainers.synthetic_gradients import train as synthetic_gradients

SMOKE = synthetic_gradients.PRESETS["smoke"]


_RESULTS = ("metrics.csv", "finished.json")


def config_of(**changes):
  return dataclasses.replace(SMOKE, **changes)


def build(config, image_shape=(32, 32, 1)):
  strategy = tf.distribute.get_strategy()
  return learner.Learner(config, strategy, image_shape, 10)


def run_here(workdir, *settings):
  return synthetic_gradients.main(
    ["synthetic_gradients", "--preset=smoke", f"--workdir={workdir}", *settings]
  )


def run_there(code_or_module, *arguments):
  return subprocess.run(
    [sys.executable, *code_or_module, *arguments],
    env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    capture_output=True,
    text=True,
    timeout=300,
  )


def results(workdir):
  return {name: (workdir / name).read_bytes() for name in _RESULTS}


def state(learner):
  return [variable.numpy() for variable in learner.variables]


<<<<<<< HEAD
=======
def test_hogwild_and_sync_are_the_same_on_one_replica():
  snapshots = []
  for updates in ("hogwild", "sync"):
    config = config_of(estimator_updates=updates)
    learner = build(config)
    take_steps(learner, config)
    snapshots.append(state(learner))
  for a, b in zip(*snapshots, strict=True):
    np.testing.assert_array_equal(a, b)


_TWO_REPLICAS = textwrap.dedent(
  """
  import dataclasses, sys
  import numpy as np
  import tensorflow as tf
  from data.digits import Digits
  from trainers.lifecycle import checkpoints
  from trainers.synthetic_gradients import replicas, train as trainer
  from trainers.synthetic_gradients.learner import Learner

  config = dataclasses.replace(
    trainer.PRESETS["smoke"], num_modules=2, num_replicas=2)
  both = replicas.build_strategy(2)
  data = Digits(num_test=50)

  def state(learner):
    return [variable.numpy() for variable in learner.variables]

  def train(updates, strategy):
    settings = dataclasses.replace(config, estimator_updates=updates)
    learner = Learner(settings, strategy, (32, 32, 1), 10)
    for step in range(3):
      logs = learner.train_step(*data.training_batch(step, 8))
    # In inference mode, so that the moving statistics take part as well.
    logits = learner.network(data.training_batch(9, 8)[0])
    return learner, logits, logs

  one = train("sync", tf.distribute.get_strategy())
  two = train("sync", both)
  for a, b in zip(state(one[0]), state(two[0]), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-5)
  np.testing.assert_allclose(one[1], two[1], rtol=1e-3, atol=1e-3)
  np.testing.assert_allclose(one[2]["loss"], two[2]["loss"], rtol=1e-5)

  # Uncoordinated updates: twice as many as steps, and elsewhere.
  wild = train("hogwild", both)
  counter = wild[0]._estimator_optimizer.iterations
  assert counter.numpy() == 6, counter
  w = wild[0].network.estimator_variables[0]
  assert not hasattr(w, "values"), "one shared copy, not one per replica"
  assert np.abs(w - one[0].network.estimator_variables[0]).max() > 1e-5

  # The rest of a run: evaluation, the measure, checkpoints.
  learner = wild[0]
  assert 0 <= learner.evaluate(data.test_batches(50))["test_accuracy"] <= 1
  x, y = data.training_batch(0, 8)
  for value in learner.asymmetries(x, y, tf.constant([0, 1])).values():
    assert value < 1e-4, value
  saved = state(learner)
  checkpoints.save(learner.trackables(), sys.argv[1], 3)
  learner.train_step(x, y)
  assert checkpoints.restore(learner.trackables(), sys.argv[1]) == 3
  for a, b in zip(saved, state(learner), strict=True):
    np.testing.assert_array_equal(a, b)
  """
)


def test_two_synchronous_replicas_equal_one_device_with_the_joined_batch(
  tmp_path,
):
  result = run_there(["-c", _TWO_REPLICAS], str(tmp_path))
  assert result.returncode == 0, result.stderr[-3000:]


@pytest.mark.parametrize("method", networks.METHODS)
def test_every_method_trains_what_it_should(method):
  config = config_of(method=method, num_modules=1, l2=0.0)
  learner = build(config)
  before = [v.numpy() for v in learner.network.main_variables]
  asked = [v.numpy() for v in learner.network.estimator_variables]
  logs = take_steps(learner, config, 2)
  assert np.isfinite(logs["loss"])
  moved = [
    np.any(v.numpy() != w)
    for v, w in zip(learner.network.main_variables, before, strict=True)
  ]
  # Noprop: what lies under the split does not move, what lies above does.
  below = len(learner.network.segments[0].trainable_variables)
  if method == "noprop":
    assert not any(moved[:below]) and all(moved[below:])
  elif method == "direct":
    # Its last layer starts at zero and moves from the first step on.
    assert np.any(learner.network.estimator_variables[-1])
    assert all(moved)
  else:
    assert all(moved)
  assert bool(asked) == (method not in ("backprop", "noprop"))


def test_backpropagation_is_the_unsplit_network():
  ends = []
  for num_modules in (3, 0):
    config = config_of(method="backprop", num_modules=num_modules)
    learner = build(config)
    take_steps(learner, config, 2)
    ends.append([v.numpy() for v in learner.network.main_variables])
  for a, b in zip(*ends, strict=True):
    np.testing.assert_array_equal(a, b)


def test_all_methods_start_from_the_same_network():
  starts = [
    [v.numpy() for v in build(config_of(method=m)).network.main_variables]
    for m in ("backprop", "sobolev", "direct")
  ]
  for other in starts[1:]:
    for a, b in zip(starts[0], other, strict=True):
      np.testing.assert_array_equal(a, b)


def test_critics_are_symmetric_and_the_direct_estimator_is_not():
  x, y = Digits().training_batch(0, 8)
  for method in ("critic", "vfbn", "sobolev", "direct"):
    config = config_of(method=method)
    learner = build(config)
    for estimator in learner.network.estimators:
      if method == "direct":  # out of its zero
        w = estimator.network.output.w
        w.assign(tf.random.stateless_normal(w.shape, [1, 2]))
    found = learner.asymmetries(x, y, tf.constant([0, 1]))
    assert list(found) == ["asymmetry_1", "asymmetry_2", "asymmetry_3"]
    for value in found.values():
      assert value > 0.1 if method == "direct" else value < 1e-4


def test_learning_rate_falls_after_the_papers_updates():
  paper = synthetic_gradients.PRESETS["paper"]
  schedule = networks.build_schedule(paper)
  for step, rate in (
    (0, 0.1),
    (39_999, 0.1),
    (40_001, 0.01),
    (60_001, 1e-3),
    (80_001, 1e-4),
  ):
    np.testing.assert_allclose(schedule(step), rate, rtol=1e-5)


>>>>>>> 1641fca (One guard in the compiled step, one loop for all trainers, typed and checked command lines)
def test_stopped_run_resumes_to_the_same_bytes(tmp_path, capsys):
  whole, parts = tmp_path / "whole", tmp_path / "parts"
  run_here(whole, "--num_modules=1")
  shutil.copytree(whole, parts)
  capsys.readouterr()
  # As a crash leaves it: a checkpoint of the middle, rows beyond it.
  newest = sorted(parts.glob("checkpoints/step_*"))[-1]
  assert newest.name.endswith("20")
  next(newest.glob("state.data*")).unlink()
  (parts / "finished.json").unlink()
  run_here(parts, "--num_modules=1")
  assert "Resuming at step 10" in capsys.readouterr().out
  assert results(parts) == results(whole)
  states = [
    tf.train.load_checkpoint(w / "checkpoints" / newest.name / "state")
    for w in (whole, parts)
  ]
  keys = [k for k in states[0].get_variable_to_shape_map() if k[0] != "_"]
  assert len(keys) > 50, "the optimizers' slots are among them"
  for key in keys:
    np.testing.assert_array_equal(*(s.get_tensor(key) for s in states))


def test_metrics_hold_a_column_per_border(tmp_path):
  assert run_here(tmp_path, "--method=noprop", "--num_modules=2") == 0
  rows = np.genfromtxt(tmp_path / "metrics.csv", delimiter=",", names=True)
  assert list(rows["step"]) == [10, 20]
  assert np.all(rows["cosine_2"] == 0)
  np.testing.assert_allclose(rows["relative_error_1"], 1, rtol=1e-5)
  assert np.all(np.isnan(rows["value_loss_1"]))  # Noprop predicts none
  assert np.all((rows["test_accuracy"] >= 0) & (rows["test_accuracy"] <= 1))
  assert "cosine_3" not in rows.dtype.names


def test_infinite_loss_stops_and_keeps_the_weights(tmp_path):
  config = config_of(method="backprop", learning_rate=1e30, num_steps=12)
  with pytest.raises(NotFinite, match="not finite at step") as error:
    synthetic_gradients.train(config, tmp_path)
  learner = build(config)
  step = checkpoints.restore(learner.trackables(), tmp_path / "checkpoints")
  assert f"weights of step {step} are kept" in str(error.value)
  assert loop.is_finite(learner.variables)
  assert learner._main_optimizer.iterations.numpy() == step
  assert not (tmp_path / "finished.json").exists()


def test_one_diverging_run_does_not_stop_the_others(tmp_path, capsys):
  code = run_here(
    tmp_path,
    "--method=backprop",
    "--learning_rate=1e9,0.1",
    "--num_steps=12",
  )
  assert code == 1
  assert (tmp_path / "0.1" / "finished.json").exists()
  assert not (tmp_path / "1000000000.0" / "finished.json").exists()
  assert "is not finite" in capsys.readouterr().err


def test_faults_give_one_sentence_and_leave_no_folder(tmp_path):
  count = len(os.sched_getaffinity(0))
  cases = {
    (f"--num_replicas={count + 1}", f"--batch_size={count + 1}"): "lower it",
    ("--num_replicas=3",): "cannot share it equally; give a multiple",
    ("--num_modules=4",): "split at 0 to 3 places, but num_modules is 4",
    ("--dataset=cifar10", f"--data_dir={tmp_path}"): "download_and_prepare",
    ("--width=0",): "must be above 0",
    ("--width=inf",): "give a finite number",
    ("--drops=2",): "must be 1 or less",
    ("--drops=0.6,0.4",): "give each later one a larger share",
    ("--num_modules=0",): "without a split, which is backpropagation",
    ("--method=noprop", "--estimator_loss=l2"): "counts only with --method",
    ("--image_size=64",): "counts only with --dataset=imagenet or games",
    ("--method=sobolov",): "Did you mean sobolev?",
  }
  for settings, phrase in cases.items():
    with pytest.raises(CommandError, match=phrase) as error:
      run_here(tmp_path / "run", *settings)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists(), settings


def test_a_fault_ends_the_command_with_code_two(tmp_path):
  result = run_there(
    ["-m", "trainers.synthetic_gradients"],
    "--preset=smoke",
    "--num_modules=9",
    f"--workdir={tmp_path / 'run'}",
  )
  assert result.returncode == 2
  lines = [x for x in result.stderr.splitlines() if x.startswith("error:")]
  assert len(lines) == 1 and "Traceback" not in result.stderr


def test_cifar10_trains_at_full_width_through_the_real_loader(tmp_path):
  rng = np.random.default_rng(0)
  features = tfds.features.FeaturesDict(
    {
      "id": tfds.features.Text(),
      "image": tfds.features.Image(shape=(32, 32, 3)),
      "label": tfds.features.ClassLabel(num_classes=10),
    }
  )

  def example(index):
    picture = rng.integers(0, 256, [32, 32, 3], dtype=np.uint8)
    return {"id": f"e{index}", "image": picture, "label": index % 10}

  tfds.dataset_builders.store_as_tfds_dataset(
    name="cifar10",
    version="3.0.2",
    features=features,
    split_datasets={
      split: [(f"{split}{i}", example(i)) for i in range(10)]
      for split in ("train", "test")
    },
    data_dir=tmp_path / "tfds",
  )
  paper = synthetic_gradients.PRESETS["paper"]
  config = dataclasses.replace(
    paper,
    num_replicas=1,
    batch_size=4,
    num_steps=3,
    data_dir=str(tmp_path / "tfds"),
  )
  result = synthetic_gradients.train(config, tmp_path / "run")
  assert 0 <= result["test_accuracy"] <= 1
  assert np.isfinite(result["test_loss"])
