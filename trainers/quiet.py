"""Keeps TensorFlow's notes about missing GPUs off the terminal.

They are written to descriptor 2 while TensorFlow is imported and while it looks
for devices, before any log level counts. What else is written there meanwhile
still comes.
"""

import importlib.abc
import importlib.machinery
import os
import re
import sys
import tempfile

# Of the TensorFlow files whose notes are useless on a machine without a GPU.
_NOTE = re.compile(
  rb"WARNING: All log messages before absl::InitializeLog\(\)"
  rb"|[IE]0000 [0-9:.]+ +\d+ (port|cudart_stub|cuda_platform)\.cc:"
)


def watch_for_tensorflow():
  """Makes the first `import tensorflow` of this process a quiet one."""
  if "tensorflow" not in sys.modules:
    sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
  """Finds TensorFlow once, with a loader that is quiet."""

  def find_spec(self, name, path=None, target=None):
    if name != "tensorflow":
      return None
    sys.meta_path.remove(self)
    spec = importlib.machinery.PathFinder.find_spec(name, path, target)
    if spec is not None and spec.loader is not None:
      spec.loader = _Loader(spec.loader)
    return spec


class _Loader(importlib.abc.Loader):
  """Loads a module while descriptor 2 goes through a filter."""

  def __init__(self, loader):
    self._loader = loader

  def create_module(self, spec):
    return self._loader.create_module(spec)

  def exec_module(self, module):
    with _Filter():
      self._loader.exec_module(module)
      # Otherwise it would look for them, and complain, at the first operation.
      module.config.list_physical_devices()


class _Filter:
  """Collects what is written to descriptor 2, and passes on the rest."""

  def __enter__(self):
    sys.stderr.flush()
    self._file = tempfile.TemporaryFile()
    self._terminal = os.dup(2)
    os.dup2(self._file.fileno(), 2)

  def __exit__(self, *unused):
    sys.stderr.flush()
    os.dup2(self._terminal, 2)
    os.close(self._terminal)
    self._file.seek(0)
    for line in self._file:
      if not _NOTE.match(line):
        os.write(2, line)
    self._file.close()
