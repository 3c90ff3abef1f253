"""Random access to the records of TFRecord files.

TensorFlow reads such files from front to back, and then the order of examples
depends on an iterator's history. With the place of every record known, any
order can be read, and a run resumes in the middle of one at no cost.

Finding the places takes one small read per record when the files are opened
(about 1.3 million for ImageNet), and 16 bytes of memory for each. After that
every record is one read of its own: keep the files on a local solid-state
disk. Checksums are not compared.
"""

import concurrent.futures
import os
import struct

import numpy as np

_HEADER = 12  # length, 8 bytes, and its checksum
_FOOTER = 4  # checksum of the data
_NUM_THREADS = 16  # most of the time goes into waiting for the disk


class RecordFiles:
  """The records of several files, numbered through."""

  def __init__(self, paths, counts):
    """Finds the records.

    Args:
      paths: the files.
      counts: how many records each should hold.

    Raises:
      ValueError: a file is cut short, or holds another number of records.
    """
    self._paths = [os.fspath(path) for path in paths]
    with concurrent.futures.ThreadPoolExecutor(_NUM_THREADS) as threads:
      found = list(threads.map(_find_records, self._paths, counts))
    self._starts = np.concatenate([starts for starts, _ in found])
    self._sizes = np.concatenate([sizes for _, sizes in found])
    self._ends = np.cumsum([len(starts) for starts, _ in found])

  def __len__(self):
    return len(self._starts)

  def read(self, index):
    """The bytes of one record."""
    with open(self._path(index), "rb", buffering=0) as file:
      return os.pread(
        file.fileno(), int(self._sizes[index]), int(self._starts[index])
      )

  def place(self, index):
    """Names a record's place, for people."""
    return f"{self._path(index)}, byte {self._starts[index]}"

  def _path(self, index):
    return self._paths[np.searchsorted(self._ends, index, side="right")]


def _find_records(path, count):
  """Starts and sizes (int64) of the data of a file's records."""
  offset = found = 0
  if os.path.exists(path) and not os.path.isfile(path):
    raise ValueError(f"{path} is no regular file; prepare the data set again.")
  with open(path, "rb", buffering=0) as file:
    end = os.fstat(file.fileno()).st_size
    # No more than there can be, whatever was promised.
    most = min(count, end // (_HEADER + _FOOTER))
    starts, sizes = np.zeros([most], np.int64), np.zeros([most], np.int64)
    while offset < end and found < most:
      header = os.pread(file.fileno(), 8, offset)
      size = struct.unpack("<Q", header)[0] if len(header) == 8 else end
      starts[found] = offset + _HEADER
      offset += _HEADER + size + _FOOTER
      if offset > end:
        break
      sizes[found] = size
      found += 1
  if offset != end or found != count:
    raise ValueError(
      f"{path} should hold {count} whole records and nothing else, but it has "
      f"{found}; it is damaged or of another version: prepare the data set "
      "again."
    )
  return starts, sizes
