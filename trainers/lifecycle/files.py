"""Files that are replaced whole, so that a stop leaves the old or the new."""

import json
import os

from trainers.lifecycle.exit_codes import CommandError


def replace(path, content):
  """Writes bytes into a file; they are on the disk when this returns."""
  partial = f"{path}.partial"
  with open(partial, "wb") as file:
    file.write(content)
    file.flush()
    os.fsync(file.fileno())
  os.replace(partial, path)


def as_json(content):
  """An object as the bytes of a JSON file for people."""
  return f"{json.dumps(content, indent=2)}\n".encode()


def read_json(path):
  """The object in a file of a run; None if there is no such file.

  Raises:
    CommandError: it holds something else.
  """
  if not os.path.exists(path):
    return None
  try:
    with open(path, encoding="utf-8") as file:
      content = json.load(file)
    if not isinstance(content, dict):
      raise ValueError("it holds no object")
    return content
  except (OSError, ValueError, RecursionError) as error:
    reason = str(error).splitlines()[0]
    raise CommandError(
      f"{path} cannot be read ({reason}); restore it, or use another --workdir."
    ) from error
