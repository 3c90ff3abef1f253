r"""Records a teacher's games for distillation (paper §4.2, SM §3).

    python -m trainers.teachers.record --game=breakout --workdir=DIR \
        --teacher=results/teachers/breakout.npz

Makes the folder DIR, a TFDS data set in the RLDS form; see
data/atari_recorder.py.
"""

import dataclasses
import os
import time

import tensorflow as tf

from data import atari, atari_recorder
from sobolev_tf.networks.atari import INPUT_SHAPE, frames_to_input
from trainers.lifecycle import command_line
from trainers.lifecycle.command_line import CommandError
from trainers.lifecycle.settings import count
from trainers.teachers import files as teacher_files
from trainers.teachers.files import Played


@dataclasses.dataclass(frozen=True)
class Config(Played):
  """Settings of a recording."""

  num_frames: int = count(
    100_000,
    "steps in all, four emulator frames each",
    "SM §3",
    maximum=10_000_000,  # 70 GB before compression
  )
  num_environments: int = count(8, "games side by side", "ours", maximum=256)


PRESETS = {
  "paper": Config(),
  "smoke": Config(num_frames=2_000, num_environments=4),
}


def record(config, folder):
  """Records one teacher.

  Args:
    config: a `Config`.
    folder: to be made.

  Returns:
    bytes on disk.

  Raises:
    CommandError: the game, the teacher or the folder do not fit.
  """
  path = config.teacher or teacher_files.default_teacher(config.game)
  try:
    game = atari.get_game(config.game)
    network, card = teacher_files.load_teacher(path, game.name)
    atari_recorder.write_recording(
      folder,
      game,
      build_policy(network, min(config.num_environments, config.num_frames)),
      config.num_frames,
      num_environments=config.num_environments,
      seed=config.seed,
      is_greedy=config.actions == "best",
      card={"teacher_sha256": card["sha256"]},
    )
  except (ValueError, OSError) as error:
    if command_line.full_disk(error):
      raise
    raise CommandError(str(error)) from error
  return sum(entry.stat().st_size for entry in os.scandir(folder))


def build_policy(network, num_environments):
  """A compiled function from uint8 frames to logits, both numpy arrays."""

  @tf.function(
    input_signature=[tf.TensorSpec([num_environments, *INPUT_SHAPE], tf.uint8)],
    autograph=False,
  )
  def logits(frames):
    return network(frames_to_input(frames))

  return lambda frames: logits(tf.constant(frames)).numpy()


def main(argv):
  """Makes the recording that the command line names."""
  command = command_line.parse(argv, Config, PRESETS, __doc__)
  (config,) = command.configs
  begun = time.monotonic()
  size = record(config, command.workdir)
  print(
    f"Recorded {config.num_frames} frames of {config.game} in "
    f"{time.monotonic() - begun:.0f} s: {command.workdir}, {size / 1e6:.1f} MB."
  )


if __name__ == "__main__":
  command_line.run_main(main)
