"""Folders that come into being as a whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterator


@contextlib.contextmanager
def new_folder(folder: str | os.PathLike) -> Iterator[str]:
  """Gives a folder to fill, which gets its name when all is written.

  Args:
    folder: to be made; it may exist if it is empty.

  Yields:
    Path of the folder to write into.

  Raises:
    ValueError: the folder holds something already, cannot be written, or is
      none.
  """
  folder = _as_path(folder)
  partial = folder + ".partial"
  try:
    if os.path.lexists(folder) and (
      not os.path.isdir(folder) or os.listdir(folder)
    ):
      raise ValueError(
        f"{folder} exists already and is not empty; name another folder."
      )
    shutil.rmtree(partial, ignore_errors=True)  # what an interrupted call left
    os.makedirs(partial)
    yield partial
    os.replace(partial, folder)
  except OSError as error:
    raise ValueError(
      f"{folder} cannot be written ({error.strerror}); name another folder."
    ) from error


def _as_path(folder):
  """The path as text, if files can have such a name."""
  is_path = isinstance(folder, str | bytes | os.PathLike)
  path = os.fsdecode(folder) if is_path else ""
  # TensorFlow writes UTF-8, and no name holds NUL.
  if "\0" in path or not path or path != path.encode(errors="replace").decode():
    raise ValueError(
      f"the folder to write must be a path, which no NUL or other byte than "
      f"those of UTF-8 can be in, but it is {folder!r}; name another folder."
    )
  return os.path.normpath(path)
