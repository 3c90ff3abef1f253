"""Archives from a stranger: refused in a sentence, without unfolding them."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from sobolev_tf.export.archives import read_arrays

SHAPES = {"a/w": (2, 3), "b": (4,)}
ARRAYS = {
  "a/w": np.arange(6, dtype=np.float16).reshape(2, 3),
  "b": np.ones(4, np.float16),
}


def encoded(array):
  file = io.BytesIO()
  np.lib.format.write_array(file, array, version=(1, 0))
  return file.getvalue()


def header(text, version=1):
  size = len(text).to_bytes(2 if version == 1 else 4, "little")
  return b"\x93NUMPY" + bytes([version, 0]) + size + text.encode()


def write(path, packing=zipfile.ZIP_DEFLATED, **changes):
  """Writes the arrays; `changes` are bytes by name, None to leave one out."""
  contents = {name: encoded(array) for name, array in ARRAYS.items()} | changes
  with zipfile.ZipFile(path, "w", packing) as archive:
    for name, content in contents.items():
      if content is not None:
        archive.writestr(f"{name}.npy", content)
  return str(path)


def refused(path, phrase):
  tracemalloc.start()
  try:
    with pytest.raises(ValueError, match=phrase) as error:
      read_arrays(path, SHAPES, np.float16)
    peak = tracemalloc.get_traced_memory()[1]
  finally:
    tracemalloc.stop()
  assert "\n" not in str(error.value) and len(str(error.value)) < 500
  assert peak < 1_000_000


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_writes_is_read(tmp_path, save):
  path = str(tmp_path / "a.npz")
  save(path, **{**ARRAYS, "a/w": np.asfortranarray(ARRAYS["a/w"])})
  found = read_arrays(path, SHAPES, np.float16)
  for name, array in ARRAYS.items():
    np.testing.assert_array_equal(found[name], array)


def test_a_bomb_is_not_unfolded(tmp_path):
  bomb = encoded(np.zeros(10_000_000, np.float16))
  path = write(tmp_path / "a.npz", b=bomb)
  refused(path, "unfolds to 20,000,128 bytes|belongs to another network")


def test_a_bomb_that_lies_about_its_size_is_not_unfolded(tmp_path):
  bomb = encoded(np.zeros(200_000, np.float16))
  path = tmp_path / "a.npz"
  write(path, b=bomb)
  size = len(bomb).to_bytes(4, "little")
  content = path.read_bytes()
  assert content.count(size) >= 2  # in the entry and in the directory
  path.write_bytes(content.replace(size, (136).to_bytes(4, "little")))
  refused(str(path), "shape|is float16|no readable .npz")


@pytest.mark.parametrize(
  "text",
  [
    "{'descr': '<f2', 'fortran_order': False, 'shape': (1000000000000,)}",
    "{'descr': '<f2', 'fortran_order': False, 'shape': (-4,)}",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (4,)}",
    "{'descr': '|O', 'fortran_order': False, 'shape': (4,)}",
    "{'descr': [('x', '<f2')], 'fortran_order': False, 'shape': (4,)}",
    "{'descr': '<f2', 'fortran_order': False, 'shape': 'x'}",
    "{'descr': '<f2', 'fortran_order': False}",
    "__import__('os').abort()",
    "(" * 900,
    "",
    "\x00",
  ],
)
@pytest.mark.parametrize("version", [1, 2])
def test_hostile_headers_are_refused(tmp_path, text, version):
  path = write(tmp_path / "a.npz", b=header(text, version) + b"\0" * 8)
  refused(path, "b in .*|no readable .npz")


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_unusual_packing_is_refused(tmp_path, packing):
  refused(write(tmp_path / "a.npz", packing), "packed in an unusual way")


def test_encryption_is_refused(tmp_path):
  path = tmp_path / "a.npz"
  write(path)
  content = bytearray(path.read_bytes())
  for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
    start = content.find(mark)
    while start >= 0:
      content[start + place] |= 1
      start = content.find(mark, start + 4)
  path.write_bytes(content)
  refused(str(path), "is encrypted")


def test_other_files_are_refused(tmp_path):
  path = tmp_path / "a.npz"
  np.save(path.with_suffix(".npy"), ARRAYS["b"])
  path.with_suffix(".npy").rename(path)
  refused(str(path), "no readable .npz")
  for content in (b"", b"PK\x05\x06" + b"\0" * 18, b"\0" * 200):
    path.write_bytes(content)
    refused(str(path), "no readable .npz|stand")


def test_missing_further_and_doubled_arrays_are_named(tmp_path):
  path = tmp_path / "a.npz"
  refused(write(path, b=None), "b stand")
  refused(write(path, **{"../c\n": b"x"}), r"\.\./c\\n' stand")
  refused(write(path, **{"x" * 500: b"x"}), "xxx... stand")
  write(path)
  with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning):
    archive.writestr("b.npy", encoded(ARRAYS["b"]))
  refused(str(path), "holds an array twice")


def test_content_of_another_length_is_refused(tmp_path):
  path = tmp_path / "a.npz"
  whole = encoded(ARRAYS["b"])
  refused(write(path, b=whole[:-1]), "cut short or too long")
  refused(write(path, b=whole + b"x"), "cut short or too long")


def test_every_damaged_byte_is_noticed_or_harmless(tmp_path):
  path = tmp_path / "a.npz"
  write(path)
  content = path.read_bytes()
  for place in range(len(content)):
    damaged = bytearray(content)
    damaged[place] ^= 0x55
    path.write_bytes(damaged)
    try:
      found = read_arrays(str(path), SHAPES, np.float16)
    except ValueError as error:
      assert "\n" not in str(error)
      continue
    for name, array in ARRAYS.items():
      np.testing.assert_array_equal(found[name], array)
