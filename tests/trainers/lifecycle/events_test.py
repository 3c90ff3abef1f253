"""What TensorBoard is given, read back from the event files."""

import dataclasses

import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import (
  EventAccumulator,
)
from tensorboard.plugins.hparams import plugin_data_pb2

from trainers.lifecycle import events, run
from trainers.lifecycle.command_line import setting


@dataclasses.dataclass(frozen=True)
class Config:
  seed: int = setting(0, "fixes all draws", sweep=True)
  method: str = setting("sobolev", "what is compared", sweep=True)
  percentage: float = setting(50.0, "share of the frames", sweep=True)
  game: str = setting("pong", "of Atari", sweep=True)
  alpha: float = setting(0.1, "weight", sweep=True)
  num_steps: int = setting(9, "updates")
  sizes: tuple = setting((1, 2), "units")


def test_a_run_is_named_by_what_tells_it_from_others():
  assert events.name_of(Config()) == "pong-percentage_50-sobolev-seed_0"
  other = Config(method="regular", alpha=0.3, num_steps=5, seed=2)
  # What a sweep varies is named; a longer training is the same experiment.
  assert events.name_of(other, "runs/search/regular/0.3/tensorboard") == (
    "pong-percentage_50-regular-alpha_0.3-seed_2"
  )
  assert events.name_of(other, "runs/1/regular/tensorboard") == (
    "pong-percentage_50-regular-seed_2"
  )
  # A level that is another setting's value says nothing of this one.
  same = Config(alpha=50.0)
  assert "alpha" not in events.name_of(same, "runs/50.0/tensorboard")


def test_columns_become_grouped_tags():
  tags = {
    "test_error": "test/error",
    "train_loss": "train/loss",
    "loss": "train/loss",
    "cosine_2": "gradients/cosine_2",
    "relative_error_1": "gradients/relative_error_1",
    "gradient_norm": "gradients/gradient_norm",
    "score": "progress/score",
  }
  assert {column: events.tag_of(column) for column in tags} == tags


def read(folder):
  return EventAccumulator(str(folder)).Reload()


def numbers(folder, tag):
  return [
    (event.step, float(tf.make_ndarray(event.tensor_proto)))
    for event in read(folder).Tensors(tag)
  ]


def test_the_varied_settings_and_the_page_are_read_back(tmp_path):
  config = Config(alpha=0.3)
  folder = tmp_path / "0.3" / "tensorboard"
  written = events.Events(str(folder), config)
  written.page("python -m trainers.distillation --alpha=0.3")
  written.image("surface", np.zeros([2, 3, 3], np.uint8), 4)
  written.result({"test_error": [0.25, 0.75]})
  written.close()
  found = read(folder)
  (page,) = found.Tensors("run")
  text = page.tensor_proto.string_val[0].decode()
  assert "python -m trainers.distillation --alpha=0.3" in text
  assert "| alpha | 0.3 | 0.1 | weight |" in text
  assert "| num_steps | 9 |  | updates |" in text
  assert numbers(folder, "test_at_the_end/error") == [(0, 0.5)]
  metadata = found.SummaryMetadata("_hparams_/session_start_info")
  data = plugin_data_pb2.HParamsPluginData.FromString(
    metadata.plugin_data.content
  )
  assert set(data.session_start_info.hparams) == {
    "game",
    "percentage",
    "method",
    "alpha",
    "seed",
  }


def test_resuming_writes_the_same_curves_from_the_metrics(tmp_path):
  def train(first, last):
    objects = {"x": tf.Variable(0.0)}
    with run.open_run(str(tmp_path), Config(), ("loss",)) as this_run:
      this_run.restore(objects)
      for step in range(first, last + 1):
        this_run.log(step, {"loss": 0.5 * step})
        if step == 2:
          this_run.save(objects, step)

  folder = tmp_path / "tensorboard"
  train(1, 3)  # ends after an update that no checkpoint holds
  before = numbers(folder, "train/loss")
  train(3, 4)
  assert numbers(folder, "train/loss")[:3] == before
  assert [step for step, _ in numbers(folder, "train/loss")] == [1, 2, 3, 4]
  assert len(read(folder).Tensors("run")) == 1
