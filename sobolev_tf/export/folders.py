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
    ValueError: the folder holds something already or cannot be written.
  """
  folder = os.path.normpath(os.fspath(folder))
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
