"""The student of a finished distillation run."""

import os

from sobolev_tf.export import export_policy
from trainers.lifecycle.command_line import CommandError


def export_run(folder, output, seed=None):
  """Writes the student; see `trainers.export`."""
  path = os.path.join(folder, "student.npz")
  if seed is not None:
    raise CommandError("a distillation run has one student; leave --seed out.")
  if not os.path.exists(path):
    raise CommandError(f"{folder} is not finished; run its command again.")
  export_policy(path, output)
