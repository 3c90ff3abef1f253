"""Checkpoints that are whole or absent; damaged ones are reported and skipped.

TensorFlow writes and reads the tensors. What it does not do is done here: a
checkpoint appears under its name only once it is complete, and a damaged one
is passed over for the one before it.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile

import tensorflow as tf

from trainers.lifecycle import files

_MANIFEST = "manifest.json"
_PREFIX = "state"


def save(objects, folder, step, keep=3, notes=None):
  """Writes a checkpoint and removes the oldest ones.

  Args:
    objects: dict of names to trackable objects (modules, optimizers).
    folder: where the checkpoints of this run are.
    step: the training step that the objects are at.
    keep: how many checkpoints remain.
    notes: what else the manifest is to hold, as JSON can.
  """
  final = os.path.join(folder, f"step_{step:010d}")
  partial = final + ".partial"
  shutil.rmtree(partial, ignore_errors=True)
  os.makedirs(partial)
  tf.train.Checkpoint(**objects).write(os.path.join(partial, _PREFIX))
  digests = {
    name: _digest(partial, name) for name in sorted(os.listdir(partial))
  }
  with open(os.path.join(partial, _MANIFEST), "w", encoding="utf-8") as file:
    json.dump({"sha256": digests, "notes": notes}, file, indent=2)
  for name in [*digests, _MANIFEST, ""]:
    _sync(os.path.join(partial, name))
  shutil.rmtree(final, ignore_errors=True)
  os.rename(partial, final)
  _sync(folder)
  for old in _list(folder)[:-keep]:
    shutil.rmtree(os.path.join(folder, old))


def restore(objects, folder, report=print):
  """Restores the newest undamaged checkpoint.

  Args:
    objects: as given to `save`, with all variables created.
    folder: where the checkpoints of this run are.
    report: called with one sentence for each damaged checkpoint passed over.

  Returns:
    The step of the restored checkpoint, or 0 if there is none.
  """
  for name in reversed(_list(folder)):
    path = os.path.join(folder, name)
    damage = _damage(path)
    if damage:
      report(f"Checkpoint {name} is damaged ({damage}); trying the one before.")
      continue
    with _without_wildcards(path) as readable:
      prefix = os.path.join(readable, _PREFIX)
      status = tf.train.Checkpoint(**objects).read(prefix)
    # Restoring into a renamed attribute would be silent without this.
    status.assert_consumed()
    return int(name.removeprefix("step_"))
  return 0


def notes_of(folder, step):
  """The notes that `save` was given with an undamaged checkpoint, or None."""
  path = os.path.join(folder, f"step_{step:010d}", _MANIFEST)
  if not os.path.exists(path):
    return None
  with open(path, encoding="utf-8", opener=files.regular) as file:
    return json.load(file).get("notes")


@contextlib.contextmanager
def _without_wildcards(path):
  """A folder with the same files: TensorFlow takes its name for a pattern."""
  if not set("[]*?\\") & set(path):
    yield path
    return
  with tempfile.TemporaryDirectory() as copy:
    yield shutil.copytree(path, copy, dirs_exist_ok=True)


def _list(folder):
  if not os.path.isdir(folder):
    return []
  return sorted(
    name
    for name in os.listdir(folder)
    if name.startswith("step_") and not name.endswith(".partial")
  )


def _damage(path):
  """Says what is wrong with a checkpoint; None if nothing is."""
  try:
    manifest = os.path.join(path, _MANIFEST)
    with open(manifest, encoding="utf-8", opener=files.regular) as file:
      digests = json.load(file)["sha256"]
  except (OSError, ValueError, KeyError, TypeError):
    return f"{_MANIFEST} cannot be read"
  for name, digest in digests.items():
    if not os.path.isfile(os.path.join(path, name)):
      return f"{name} is missing"
    if _digest(path, name) != digest:
      return f"{name} has changed since it was written"
  return None


def _digest(folder, name):
  with open(os.path.join(folder, name), "rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path):
  descriptor = os.open(path, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)
