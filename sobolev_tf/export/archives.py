"""Arrays that are known in advance, from a .npz that anybody may have written.

NumPy's own reader believes what a file says: an archive of a few megabytes can
unfold to gigabytes, and a header can ask for more. Here names, sizes, shapes
and types are compared with what is wanted before anything is unfolded, so that
reading never holds more than the arrays themselves.
"""

import math
import os
import typing
import zipfile

import numpy as np

_HEADER = 1_000  # bytes, of an array; NumPy writes 128
_ENTRY = 1_000  # bytes, of an archive for each of its entries
_WIDEST = 4  # times the half precision that is wanted: worth a closer look
_ENCRYPTED = 1  # flag of a zip entry
_PLAIN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def check_size(path: str, shapes: dict, dtype: typing.Any) -> None:
  """Refuses a file that is larger than such arrays can make it.

  Args:
    path: the .npz.
    shapes: dict from a name to a shape.
    dtype: of all arrays.

  Raises:
    ValueError: it is larger.
  """
  held = sum(_num_bytes(shape, dtype) for shape in shapes.values())
  most = _WIDEST * held + _ENTRY * (len(shapes) + 1)
  size = os.path.getsize(path)
  if size > most:
    raise ValueError(
      f"{path} has {size:,} bytes, but {held:,} hold such weights; it belongs "
      "to another network."
    )


def read_arrays(path: str, shapes: dict, dtype: typing.Any) -> dict:
  """Reads arrays whose names, shapes and type are known.

  Args:
    path: the .npz.
    shapes: dict from a name to a shape.
    dtype: of all arrays.

  Returns:
    dict from a name to an array.

  Raises:
    ValueError: it is no .npz, is damaged, encrypted or packed in an unusual
      way, or holds other arrays.
  """
  check_size(path, shapes, dtype)
  try:
    with zipfile.ZipFile(path) as archive:
      entries = {
        entry.filename.removesuffix(".npy"): entry
        for entry in archive.infolist()
      }
      _check_names(path, archive.namelist(), shapes)
      return {
        name: _read(archive, entries[name], path, name, shape, np.dtype(dtype))
        for name, shape in shapes.items()
      }
  except _Unwanted as error:
    raise ValueError(str(error)) from error
  # Whatever a damaged or hostile file makes zipfile and NumPy raise.
  except Exception as error:
    sentence = (str(error) or type(error).__name__).splitlines()[0][:120]
    raise ValueError(f"{path} is no readable .npz ({sentence}).") from error


class _Unwanted(Exception):
  """A sentence about an archive that can be read and is not the one wanted."""


def _check_names(path, found, shapes):
  wanted = [f"{name}.npy" for name in shapes]
  odd = sorted(set(found) ^ set(wanted))
  if odd:
    listed = ", ".join(shown(name.removesuffix(".npy")) for name in odd[:5])
    more = f" and {len(odd) - 5} more" if len(odd) > 5 else ""
    raise _Unwanted(
      f"{path} does not hold the weights that are wanted: {listed}{more} "
      "stand(s) in only one of the two."
    )
  if len(found) != len(wanted):
    raise _Unwanted(f"{path} holds an array twice; restore it.")


def _read(archive, entry, path, name, shape, dtype):
  if entry.flag_bits & _ENCRYPTED or entry.compress_type not in _PLAIN:
    raise _Unwanted(
      f"{name} in {path} is encrypted or packed in an unusual way; save it "
      "with NumPy."
    )
  size = _num_bytes(shape, dtype)
  if entry.file_size > _WIDEST * size + _HEADER:
    raise _Unwanted(
      f"{name} in {path} unfolds to {entry.file_size:,} bytes, but "
      f"{size:,} are wanted; it belongs to another network."
    )
  with archive.open(entry) as file:
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
      raise _Unwanted(
        f"{name} in {path} has NumPy's format {version}, but (1, 0) is wanted."
      )
    header = np.lib.format.read_array_header_1_0(file, max_header_size=_HEADER)
    found_shape, is_fortran, found_dtype = header
    if (found_shape, found_dtype) != (shape, dtype):
      raise _Unwanted(
        f"{name} in {path} is {shown(found_dtype)} {shown(found_shape)}, but "
        f"{dtype} {shape} is wanted; it belongs to another network."
      )
    content = file.read(size + 1)
  if len(content) != size:
    raise _Unwanted(f"{name} in {path} is cut short or too long; restore it.")
  order = "F" if is_fortran else "C"
  return np.frombuffer(content, dtype).reshape(shape, order=order)


def _num_bytes(shape, dtype):
  return math.prod(shape) * np.dtype(dtype).itemsize


def shown(thing: typing.Any) -> str:
  """A stranger's text, short and on one line."""
  text = str(thing)
  text = text if text.isprintable() else ascii(text)
  return text if len(text) <= 60 else text[:57] + "..."
