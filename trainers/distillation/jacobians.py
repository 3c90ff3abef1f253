"""A teacher's derivatives on the training frames, computed once."""

import numpy as np
import tensorflow as tf

from sobolev_tf.derivatives.nested_tapes import derivatives
from sobolev_tf.networks.atari import BLOCKS_SHAPE, frames_to_blocks

_BATCH = 200  # frames; more at once only need more memory


class TeacherJacobians:
  """The gradients of a teacher's log-policy for every action, frame by frame.

  What a step compares is linear in its direction v: grad_s <log pi*(s), v> is
  the sum of v_a grad_s log pi*(a|s). Where few frames are drawn many times,
  that sum costs less than asking the teacher each time.
  """

  def __init__(self, teacher, frames):
    """Asks the teacher, one backward pass for every action.

    Args:
      teacher: a `TeacherNetwork`.
      frames: uint8 `[N, 84, 84, 4]`.
    """
    self._jacobians = np.empty(
      [len(frames), teacher.num_actions, np.prod(BLOCKS_SHAPE)], np.float32
    )

    @tf.function(reduce_retracing=True, autograph=False)
    def jacobian(frames):
      _, rows = derivatives(
        lambda x: tf.nn.log_softmax(teacher.from_blocks(x)),
        frames_to_blocks(frames),
      )
      return tf.reshape(rows, [-1, *self._jacobians.shape[1:]])

    for first in range(0, len(frames), _BATCH):
      part = slice(first, first + _BATCH)
      self._jacobians[part] = jacobian(tf.constant(frames[part]))

  def project(self, rows, directions):
    """Computes projected gradients as `projected_policy_gradient` gives them.

    Args:
      rows: which of the frames, `[B]`.
      directions: array `[B, P, A]`.

    Returns:
      float32 `[B, P, 21, 21, 64]`, w.r.t. the input that `frames_to_blocks`
      makes.
    """
    projected = np.empty(
      [*directions.shape[:2], self._jacobians.shape[2]], np.float32
    )
    # One after the other, no Jacobian is copied.
    for number, row in enumerate(rows):
      np.matmul(directions[number], self._jacobians[row], out=projected[number])
    return projected.reshape([*directions.shape[:2], *BLOCKS_SHAPE])


class Cache:
  """Holds the Jacobians of one teacher and recording at a time."""

  def __init__(self):
    self._key = self._jacobians = None

  def get(self, examples, most):
    """The `TeacherJacobians` of a run's training frames, if they are small.

    None where they take too much memory.

    Args:
      examples: a `TeacherExamples`.
      most: GiB that they may take.
    """
    if size(len(examples.train), examples.game.num_actions) > most:
      return None
    key = examples.teacher, examples.recording, len(examples.train)
    if self._key != key:
      self._key = self._jacobians = None  # never two of them in memory
      frames, _ = examples.frames(examples.train)
      self._jacobians = TeacherJacobians(examples.teacher, frames)
      self._key = key
    return self._jacobians


def size(num_frames, num_actions):
  """Memory that the Jacobians of that many frames take, in GiB."""
  floats = num_frames * num_actions * int(np.prod(BLOCKS_SHAPE))
  return floats * np.dtype(np.float32).itemsize / 2**30
