"""Training ResNet-50 on ImageNet's files and on frames of games."""

import dataclasses
import shutil

import numpy as np
import pytest
import tensorflow as tf

from data import game_frames, imagenet_stand_in
from trainers.lifecycle.command_line import CommandError
from trainers.synthetic_gradients import config as table1_config
from trainers.synthetic_gradients import networks
from trainers.synthetic_gradients import train as synthetic_gradients
from trainers.synthetic_gradients.learner import SyntheticGradientLearner

PRESETS = table1_config.PRESETS
SMALL = dataclasses.replace(
  PRESETS["desk_games"],
  width=0.07,
  num_modules=1,
  image_size=32,
  batch_size=4,
  num_steps=2,
  evaluate_every=2,
  checkpoint_every=1,
)


@pytest.fixture(scope="module")
def games(tmp_path_factory):
  folder = tmp_path_factory.mktemp("games")
  game_frames.write_game_frames(folder, game_frames.GAMES[:6], 5, 2)
  return str(folder)


def test_stopped_run_on_games_resumes_to_the_same_bytes(
  games, tmp_path, eagerly
):
  config = dataclasses.replace(SMALL, data_dir=games)
  whole, parts = tmp_path / "whole", tmp_path / "parts"
  result = synthetic_gradients.train(config, whole)
  shutil.copytree(whole, parts)
  # As a crash leaves it: a checkpoint of the middle, rows beyond it.
  newest = sorted(parts.glob("checkpoints/step_*"))[-1]
  next(newest.glob("state.data*")).unlink()
  (parts / "finished.json").unlink()
  assert synthetic_gradients.train(config, parts) == result
  for name in ("metrics.csv", "finished.json"):
    assert (parts / name).read_bytes() == (whole / name).read_bytes()
  states = [
    tf.train.load_checkpoint(folder / "checkpoints" / newest.name / "state")
    for folder in (whole, parts)
  ]
  keys = [k for k in states[0].get_variable_to_shape_map() if k[0] != "_"]
  assert len(keys) > 300
  for key in keys:
    np.testing.assert_array_equal(*(s.get_tensor(key) for s in states))
  rows = np.genfromtxt(parts / "metrics.csv", delimiter=",", names=True)
  assert rows["step"] == 2
  assert rows["test_top5_accuracy"] >= rows["test_accuracy"]
  assert np.isfinite(rows["cosine_1"])


def test_imagenet_trains_through_the_real_loader(tmp_path, capsys, eagerly):
  broken = [("broken.JPEG", b"no picture")]
  imagenet_stand_in.write_stand_in(
    tmp_path / "tfds", 11, 3, {"train": broken, "validation": broken}
  )
  config = dataclasses.replace(
    SMALL,
    dataset="imagenet",
    method="critic",
    num_steps=1,
    data_dir=str(tmp_path / "tfds"),
  )
  result = synthetic_gradients.train(config, tmp_path / "run")
  assert np.isfinite(result["test_loss"])
  assert (
    "could not be decoded and were skipped: broken" in capsys.readouterr().out
  )


def test_top5_counts_the_five_most_probable(games, eagerly):
  config = dataclasses.replace(SMALL, method="backprop")
  learner = SyntheticGradientLearner(
    config, tf.distribute.get_strategy(), (32, 32, 3), 8
  )
  (segment,) = learner.network.segments
  # The output starts at zero, so its bias alone speaks: 7 is the best class.
  segment.output.b.assign(np.arange(8))
  batch = np.zeros([8, 32, 32, 3], np.float32), np.arange(8)
  found = learner.evaluate([batch, batch])
  assert found["test_accuracy"] == 1 / 8
  assert found["test_top5_accuracy"] == 5 / 8
  log_sum = np.log(np.exp(np.arange(8)).sum())
  np.testing.assert_allclose(found["test_loss"], log_sum - 3.5, rtol=1e-6)


def test_the_papers_settings():
  paper = PRESETS["paper_imagenet"]
  assert paper.batch_size == 34 * 32 and paper.num_replicas == 34
  assert (paper.l2, paper.estimator_learning_rate) == (1e-4, 1e-4)
  estimator = networks.build_estimator(paper, 512, 1000, (0, 100))
  estimator(tf.zeros([1, 8, 8, 512]), tf.zeros([1, 1000]))
  shapes = [v.shape.as_list() for v in estimator.trainable_variables]
  assert [3, 3, 512, 64] in shapes and [64, 1000] in shapes


def test_faults_are_one_sentence(games, tmp_path):
  def run_here(*settings):
    return synthetic_gradients.main(
      [
        "synthetic_gradients",
        "--preset=desk_games",
        f"--data_dir={games}",
        f"--workdir={tmp_path / 'run'}",
        *settings,
      ]
    )

  cases = {
    ("--num_modules=2",): "0, 1 or 3 places",
    ("--batch_size=1000",): "1000 does not fit into",
    (f"--data_dir={tmp_path}",): "data.game_frames --output=DIR",
    ("--dataset=imagenet",): "ILSVRC2012_img_train.tar",
    ("--image_size=0",): "must be 1 or more",
  }
  for settings, phrase in cases.items():
    with pytest.raises(CommandError, match=phrase) as error:
      run_here("--width=0.07", *settings)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists(), settings


def test_backpropagation_is_trained_once_for_all_numbers_of_modules(
  monkeypatch, tmp_path
):
  trained = []

  def train(config, workdir):
    trained.append((config.method, config.num_modules))
    return {"test_accuracy": 0.5}

  monkeypatch.setattr(synthetic_gradients, "train", train)
  synthetic_gradients.main(
    [
      "synthetic_gradients",
      "--preset=desk_games",
      "--method=backprop,critic",
      "--num_modules=1,3",
      f"--workdir={tmp_path}",
    ]
  )
  assert trained == [("backprop", 1), ("critic", 1), ("critic", 3)]
