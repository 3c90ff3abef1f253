"""The synthetic-gradient trainer: resume, faults, the real loader."""

import dataclasses
import os
import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tests import warm_python
from trainers.lifecycle import checkpoints, loop
from trainers.lifecycle.command_line import CommandError
from trainers.lifecycle.run import NotFinite
from trainers.synthetic_gradients import learner
from trainers.synthetic_gradients import train as synthetic_gradients

SMOKE = synthetic_gradients.PRESETS["smoke"]


_RESULTS = ("metrics.csv", "finished.json")
_FEW = ("--num_steps=4", "--evaluate_every=2", "--checkpoint_every=2")


def config_of(**changes):
  return dataclasses.replace(SMOKE, **changes)


def build(config, image_shape=(32, 32, 1)):
  strategy = tf.distribute.get_strategy()
  return learner.SyntheticGradientLearner(config, strategy, image_shape, 10)


def run_here(workdir, *settings):
  return synthetic_gradients.main(
    ["synthetic_gradients", "--preset=smoke", f"--workdir={workdir}", *settings]
  )


def run_there(code_or_module, *arguments):
  return subprocess.run(
    [warm_python.command(), *code_or_module, *arguments],
    env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    capture_output=True,
    text=True,
    timeout=300,
  )


def results(workdir):
  return {name: (workdir / name).read_bytes() for name in _RESULTS}


def state(learner):
  return [variable.numpy() for variable in learner.variables]


def test_stopped_run_resumes_to_the_same_bytes(tmp_path, capsys, eagerly):
  whole, parts = tmp_path / "whole", tmp_path / "parts"
  run_here(whole, "--num_modules=1", *_FEW)
  shutil.copytree(whole, parts)
  capsys.readouterr()
  # As a crash leaves it: a checkpoint of the middle, rows beyond it.
  newest = sorted(parts.glob("checkpoints/step_*"))[-1]
  assert newest.name.endswith("4")
  next(newest.glob("state.data*")).unlink()
  (parts / "finished.json").unlink()
  run_here(parts, "--num_modules=1", *_FEW)
  assert "Resuming at step 2" in capsys.readouterr().out
  assert results(parts) == results(whole)
  states = [
    tf.train.load_checkpoint(w / "checkpoints" / newest.name / "state")
    for w in (whole, parts)
  ]
  keys = [k for k in states[0].get_variable_to_shape_map() if k[0] != "_"]
  assert len(keys) > 50, "the optimizers' slots are among them"
  for key in keys:
    np.testing.assert_array_equal(*(s.get_tensor(key) for s in states))


def test_metrics_hold_a_column_per_border(tmp_path, eagerly):
  assert run_here(tmp_path, "--method=noprop", "--num_modules=2", *_FEW) == 0
  rows = np.genfromtxt(tmp_path / "metrics.csv", delimiter=",", names=True)
  assert list(rows["step"]) == [2, 4]
  assert np.all(rows["cosine_2"] == 0)
  np.testing.assert_allclose(rows["relative_error_1"], 1, rtol=1e-5)
  assert np.all(np.isnan(rows["value_loss_1"]))  # Noprop predicts none
  assert np.all((rows["test_accuracy"] >= 0) & (rows["test_accuracy"] <= 1))
  assert "cosine_3" not in rows.dtype.names


def test_infinite_loss_stops_and_keeps_the_weights(tmp_path, eagerly):
  config = config_of(method="backprop", learning_rate=1e30, num_steps=12)
  with pytest.raises(NotFinite, match="not finite at step") as error:
    synthetic_gradients.train(config, tmp_path)
  learner = build(config)
  step = checkpoints.restore(learner.trackables(), tmp_path / "checkpoints")
  assert f"weights of step {step} are kept" in str(error.value)
  assert loop.is_finite(learner.variables)
  assert learner._main_optimizer.iterations.numpy() == step
  assert not (tmp_path / "finished.json").exists()


def test_one_diverging_run_does_not_stop_the_others(tmp_path, capsys, eagerly):
  code = run_here(
    tmp_path,
    "--method=backprop",
    "--learning_rate=1e9,0.1",
    "--num_steps=6",
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
    num_modules=1,  # tracing three takes twenty seconds
    num_replicas=1,
    batch_size=4,
    num_steps=2,
    evaluate_every=1,  # every step is measured: one graph is enough
    data_dir=str(tmp_path / "tfds"),
  )
  result = synthetic_gradients.train(config, tmp_path / "run")
  assert 0 <= result["test_accuracy"] <= 1
  assert np.isfinite(result["test_loss"])
