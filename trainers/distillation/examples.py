"""What students learn from and are tested on: a teacher and its recording."""

import functools
import os
import typing

import numpy as np
import tensorflow as tf

from data import atari, atari_recordings
from sobolev_tf.distillation.objective import policy_entropy
from sobolev_tf.export import weights
from sobolev_tf.networks.atari import frames_to_input
from trainers.lifecycle.command_line import CommandError
from trainers.teachers import files as teacher_files

_EVALUATION_BATCH = 500
_CHECKED_FRAMES = 16
# Log-probabilities of the same network, computed in batches of other sizes.
_TOLERANCE = 1e-2
# Streams of random numbers that a run's seed is split into.
_BATCHES, _HELD_OUT = 0, 1


class Baselines(typing.NamedTuple):
  """What a student's measures are to be compared with.

  Attributes:
    majority_error: the error of always predicting the action that the teacher
      prefers most often on the training frames.
    teacher_entropy: mean entropy of the teacher's policy, in nats.
  """

  majority_error: float
  teacher_entropy: float


class TeacherExamples:
  """A teacher's recording, split by time at episode borders.

  Attributes:
    game: an `atari.Game`.
    teacher: the network.
    card: what is known about it.
    recording: an `atari_recordings.Recording`.
    train: indices of the frames to learn from.
    held_out: indices of the frames to be tested on: a sample of the test
      episodes or, if the configuration asks for one, of the validation slice.
  """

  def __init__(self, config):
    """Reads everything and checks that it fits together.

    Args:
      config: settings with the fields of `config.Config`.

    Raises:
      CommandError: a file is missing, damaged or of another game, or the
        split leaves nothing to learn from or to be tested on.
    """
    path = os.path.join(config.teachers, f"{config.game}.npz")
    folder = os.path.join(config.recordings, config.game)
    try:
      self.game = atari.get_game(config.game)
      self.recording = _read_recording(folder)
      self.teacher, self.card = _read_teacher(path, config.game)
      _check_game(self.recording, self.game, folder)
      split = atari_recordings.split(
        self.recording,
        config.percentage,
        config.validation_share,
        config.reserved_percentage,
      )
    except (ValueError, OSError) as error:
      raise CommandError(str(error)) from error
    self._seed, self._batch_size = config.seed, config.batch_size
    self.train = split.train
    held_out = split.validation if config.validation_share else split.test
    self.held_out = _sample(held_out, config.num_test, config.seed)
    _check_teacher(self, folder, path)

  def training_batch(self, step, part=slice(None)):
    """The batch of a step: frames uint8 `[B, 84, 84, 4]`, logits `[B, A]`.

    Drawn from all training frames, with replacement: a function of the seed
    and the step alone. Only the frames of `part` are read.
    """
    return self.frames(self.train[self.training_rows(step)[part]])

  def training_rows(self, step):
    """Which of the training frames are a step's batch, `[B]`."""
    rng = np.random.default_rng([self._seed, _BATCHES, step])
    return rng.choice(len(self.train), self._batch_size)

  def held_out_batches(self):
    """Yields the held-out frames as (frames, logits)."""
    for first in range(0, len(self.held_out), _EVALUATION_BATCH):
      yield self.frames(self.held_out[first : first + _EVALUATION_BATCH])

  def frames(self, indices):
    """Frames uint8 `[N, 84, 84, 4]` and the teacher's logits `[N, A]`."""
    return self.recording.histories(indices), self.recording.logits[indices]

  def baselines(self):
    """The `Baselines` of the held-out frames."""
    actions = np.argmax(self.recording.logits, axis=1)
    majority = np.bincount(actions[self.train]).argmax()
    entropy = policy_entropy(self.recording.logits[self.held_out])
    return Baselines(
      float(np.mean(actions[self.held_out] != majority)),
      float(np.mean(entropy)),
    )


# The runs of one process mostly share their recording, which is large.
@functools.lru_cache(maxsize=1)
def _read_recording(folder):
  return atari_recordings.Recording(folder)


@functools.lru_cache(maxsize=1)
def _read_teacher(path, game):
  network, card = teacher_files.load_teacher(path, game)
  # Constants of a graph go wherever the graph is sent.
  weights.freeze(network)
  return network, card


def _check_game(recording, game, folder):
  if recording.game != game.name:
    raise CommandError(
      f"{folder} is a recording of {recording.game}, but --game is "
      f"{game.name}; name the folder that holds {game.name}'s."
    )
  if tuple(recording.action_names) != tuple(game.actions):
    raise CommandError(
      f"{folder} was recorded with the actions "
      f"{', '.join(recording.action_names)}, but {game.name} has "
      f"{', '.join(game.actions)}; record it anew."
    )


def _check_teacher(examples, folder, path):
  """Asks whether this teacher gave the logits that were recorded."""
  some = examples.train[:_CHECKED_FRAMES]
  frames, recorded = examples.frames(some)
  given = examples.teacher(frames_to_input(tf.constant(frames)))
  given, recorded = tf.nn.log_softmax(given), tf.nn.log_softmax(recorded)
  if not np.max(np.abs(given - recorded)) <= _TOLERANCE:
    raise CommandError(
      f"{folder} was recorded from another teacher than {path}; record it "
      "anew, or name the --teachers that it was made with."
    )


def _sample(indices, most, seed):
  if len(indices) <= most:
    return indices
  rng = np.random.default_rng([seed, _HELD_OUT])
  return np.sort(rng.choice(indices, most, replace=False))
