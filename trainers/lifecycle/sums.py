"""Digests of files that are finished, in the form of `sha256sum --check`.

A digit that changes in metrics.csv leaves a file that can be read and means
something else. Where the digests lie beside the files, that is noticed; files
from before they were kept are taken as they are.
"""

import hashlib
import os

from trainers.lifecycle import files

FILE = "SHA256SUMS"


def write(folder, names, **coming):
  """Writes the digests of files in a folder.

  Args:
    folder: path.
    names: of files in it.
    **coming: dict from the name of a file that is not there yet to the bytes
      that it will hold.
  """
  digests = {name: _digest(os.path.join(folder, name)) for name in names}
  for name, content in coming.items():
    digests[name] = hashlib.sha256(content).hexdigest()
  lines = "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
  files.replace(os.path.join(folder, FILE), lines.encode())


def find_change(folder, may_be_missing=()):
  """What has changed: "FILE ...", without a full stop; None if nothing has.

  Args:
    folder: path.
    may_be_missing: endings of the names of files that need not be kept; where
      there is one, it has to be as it was.
  """
  path = os.path.join(folder, FILE)
  try:
    with open(path, encoding="utf-8", opener=files.regular) as file:
      lines = file.read().splitlines()
  except FileNotFoundError:
    return None
  except (OSError, ValueError):
    return f"{FILE} cannot be read"
  if not lines or not all(map(_is_entry, lines)):
    return f"{FILE} holds something else than digests"
  for line in lines:
    digest, _, name = line.partition("  ")
    path = os.path.join(folder, name)
    if name.endswith(tuple(may_be_missing)) and not os.path.lexists(path):
      continue
    if not os.path.isfile(path):
      return f"{name} is missing"
    if _digest(path) != digest:
      return f"{name} has changed since it was written"
  return None


def _is_entry(line):
  digest, _, name = line.partition("  ")
  is_digest = len(digest) == 64 and not set(digest) - set("0123456789abcdef")
  return (
    is_digest and name and os.path.basename(name) == name and "\0" not in name
  )


def _digest(path):
  with open(path, "rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()
