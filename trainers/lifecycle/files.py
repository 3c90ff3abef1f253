"""Files that are replaced whole, so that a stop leaves the old or the new.

They are read through `regular`: a pipe in the place of a file must not make its
reader wait for ever.
"""

import errno
import json
import os
import stat

from trainers.lifecycle.exit_codes import CommandError


def regular(path, flags):
  """Opens a regular file, for `open(path, opener=files.regular)`.

  Raises:
    OSError: it is a folder, a pipe (whose reader would wait), a device (whose
      reader might never end) or the like.
  """
  descriptor = os.open(path, flags | os.O_NONBLOCK)
  if not stat.S_ISREG(os.fstat(descriptor).st_mode):
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is no regular file", path)
  return descriptor


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
    with open(path, encoding="utf-8", opener=regular) as file:
      content = json.load(file)
    if not isinstance(content, dict):
      raise ValueError("it holds no object")
    return content
  except (OSError, ValueError, RecursionError) as error:
    reason = str(error).splitlines()[0]
    raise CommandError(
      f"{path} cannot be read ({reason}); restore it, or use another --workdir."
    ) from error
