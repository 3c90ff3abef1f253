"""Files that somebody made to hurt: nothing runs, and memory stays small."""

import glob
import hashlib
import io
import json
import os
import shutil
import zipfile
import zlib

import numpy as np
import tensorflow as tf

from sobolev_tf.export import weights
from tests.attack import commands
from tests.attack.judged import Case, Fork, judge

_TIMEOUT = 600.0  # seconds
# What opening a policy or a recording takes, TensorFlow's start among it.
_MOST_MEMORY = 500_000_000
_MARK = "was_run"


def attack(count, rng, folder, material, first=0):
  """Yields a `Case` for each file from number `first` to `count`."""
  makers = list(_MAKERS.items())
  rng.shuffle(makers)
  start = os.getcwd()
  for name, make in makers[first:count]:
    place = os.path.join(folder, "hostile")
    os.makedirs(place)
    use = make(place, material)
    os.chdir(place)  # where a hostile module would be found
    answer = Fork(use).answer(_TIMEOUT)
    os.chdir(start)
    verdict = judge(answer, lambda: False)
    words = answer.words
    if os.path.exists(os.path.join(place, _MARK)):
      verdict, words = "silent", f"its code was run. {words}"
    elif answer.grown > _MOST_MEMORY:
      verdict = "silent"
      words = f"it took {answer.grown / 1e6:.0f} MB. {words}"
    yield Case(name, verdict, words)
    shutil.rmtree(place)


def _policy(place, material):
  path = os.path.join(place, "p.npz")
  source = os.path.join(material.teachers, commands.GAME)
  shutil.copy(f"{source}.npz", path)
  shutil.copy(f"{source}.json", os.path.join(place, "p.json"))
  return path


def _weights(change):
  """A maker of a policy whose .npz has been rewritten, with its right hash."""

  def make(place, material):
    path = _policy(place, material)
    change(path)
    _edit_card(path, sha256=_digest(path))
    return commands.open_policy(path)

  return make


def _card(**changes):
  """A maker of a policy whose card says something else."""

  def make(place, material):
    path = _policy(place, material)
    _edit_card(path, **changes)
    return commands.open_policy(path)

  return make


def _features(description):
  """A maker of a recording with another features.json, and its module."""

  def make(place, material):
    folder = os.path.join(place, "recording")
    shutil.copytree(os.path.join(material.recordings, commands.GAME), folder)
    with open(os.path.join(folder, "features.json"), "w") as file:
      json.dump(description, file)
    with open(os.path.join(place, "hostile_module.py"), "w") as file:
      file.write(f"open({os.path.join(place, _MARK)!r}, 'w').close()\n")

    def use():
      import sys

      sys.path.insert(0, place)
      commands.open_recording(folder)()

    return use

  return make


def _with_json(name, text):
  """A maker of a recording one of whose JSON files is this text."""

  def make(place, material):
    folder = os.path.join(place, "recording")
    shutil.copytree(os.path.join(material.recordings, commands.GAME), folder)
    with open(os.path.join(folder, name), "w") as file:
      file.write(text)
    return commands.open_recording(folder)

  return make


def _with_frame(draw):
  """A maker of a recording whose first frame is the bytes that draw() gives."""

  def make(place, material):
    folder = os.path.join(place, "recording")
    shutil.copytree(os.path.join(material.recordings, commands.GAME), folder)
    (path,) = glob.glob(os.path.join(glob.escape(folder), "*tfrecord*"))
    episodes = [
      tf.train.Example.FromString(record)
      for record in tf.compat.v1.io.tf_record_iterator(path)
    ]
    frames = episodes[0].features.feature["steps/observation"].bytes_list
    frames.value[0] = draw()
    with tf.io.TFRecordWriter(path) as writer:
      for episode in episodes:
        writer.write(episode.SerializeToString())
    return commands.open_recording(folder)

  return make


def _png(side):
  """A PNG picture of zeros, which is small whatever its size."""

  def chunk(name, content):
    crc = zlib.crc32(name + content).to_bytes(4)
    return len(content).to_bytes(4) + name + content + crc

  packer, packed = zlib.compressobj(9), bytearray()
  for _ in range(side):
    packed += packer.compress(bytes(side + 1))
  packed += packer.flush()
  head = 2 * side.to_bytes(4) + bytes([8, 0, 0, 0, 0])
  return b"".join(
    [
      b"\x89PNG\r\n\x1a\n",
      chunk(b"IHDR", head),
      chunk(b"IDAT", bytes(packed)),
      chunk(b"IEND", b""),
    ]
  )


def _edit_card(path, **changes):
  card = path.removesuffix("npz") + "json"
  with open(card, encoding="utf-8") as file:
    content = json.load(file)
  with open(card, "w", encoding="utf-8") as file:
    json.dump(weights.seal({**content, **changes}), file)


def _digest(path):
  with open(path, "rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()


def _rewrite(path, packing=zipfile.ZIP_DEFLATED, **contents):
  with zipfile.ZipFile(path) as archive:
    kept = {name: archive.read(name) for name in archive.namelist()}
  with zipfile.ZipFile(path, "w", packing) as archive:
    for name, content in {**kept, **contents}.items():
      archive.writestr(name, content)


def _header(shape, dtype="<f2"):
  text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}}}\n"
  return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def _bomb(path, megabytes=1_000):
  """Puts an entry of zeros into the archive; returns its size, unfolded."""
  header = _header((megabytes * 500_000,))
  with zipfile.ZipFile(path) as archive:
    kept = {name: archive.read(name) for name in archive.namelist()}
  with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
    for name, content in kept.items():
      if name != "policy/b.npy":
        archive.writestr(name, content)
    with archive.open("policy/b.npy", "w") as entry:
      entry.write(header)
      for _ in range(megabytes):
        entry.write(bytes(1_000_000))
  return len(header) + megabytes * 1_000_000


def _lying_bomb(path):
  size = _bomb(path, 700).to_bytes(4, "little")
  with open(path, "rb") as file:
    content = file.read()
  with open(path, "wb") as file:
    file.write(content.replace(size, (134).to_bytes(4, "little")))


def _encrypt(path):
  with open(path, "rb") as file:
    content = bytearray(file.read())
  start = content.find(b"PK\x01\x02")
  while start >= 0:
    content[start + 8] |= 1
    start = content.find(b"PK\x01\x02", start + 4)
  with open(path, "wb") as file:
    file.write(content)


def _npy(path):
  with open(path, "wb") as file:
    np.lib.format.write_array(file, np.zeros(10, np.float16))


def _pickle(path):
  objects = io.BytesIO()
  np.lib.format.write_array(objects, np.array([{}], object), allow_pickle=True)
  _rewrite(path, **{"policy/b.npy": objects.getvalue()})


_DICTIONARY = "tensorflow_datasets.core.features.features_dict.FeaturesDict"
_EVIL = {"pythonClassName": "hostile_module.Evil", "text": {}}
_MAKERS = {
  "a zip bomb of weights": _weights(_bomb),
  "a zip bomb that lies about its size": _weights(_lying_bomb),
  "a header of 1e12 numbers": _weights(
    lambda path: _rewrite(path, **{"policy/w.npy": _header((10**12,))})
  ),
  "a header of a negative shape": _weights(
    lambda path: _rewrite(path, **{"policy/w.npy": _header((-1, 3))})
  ),
  "encrypted weights": _weights(_encrypt),
  "weights packed with LZMA": _weights(
    lambda path: _rewrite(path, zipfile.ZIP_LZMA)
  ),
  "an .npy named .npz": _weights(_npy),
  "a pickle among the weights": _weights(_pickle),
  "an array with a path for a name": _weights(
    lambda path: _rewrite(path, **{"../../x.npy": _header((1,))})
  ),
  "a card with a list for a kind": _card(kind=["teacher"]),
  "a card with a number for a game": _card(game=3),
  "a card with a path for a game": _card(game="../../pong"),
  "a card with numbers for actions": _card(action_names=[1, 2, 3]),
  "a card of ten million actions": _card(action_names=["A"] * 10_000_000),
  "a card that is nested deeply": _card(kind=json.loads("[" * 900 + "]" * 900)),
  "a recording whose features are code": _features(
    {
      "pythonClassName": _DICTIONARY,
      "featuresDict": {"features": {"index": _EVIL}},
    }
  ),
  "a recording whose features are code in the old form": _features(
    {"type": "hostile_module.Evil", "content": {}}
  ),
  "a recording whose features are code within JSON text": _features(
    {
      "pythonClassName": _DICTIONARY,
      "jsonFeature": {
        "json": json.dumps(
          {"a": {"type": "hostile_module.Evil", "content": {}}}
        )
      },
    }
  ),
  "a recording with nested features": _with_json(
    "features.json", '{"featuresDict":' * 50_000
  ),
  "a recording with a frame of 900 MB": _with_frame(lambda: _png(30_000)),
  "a recording with a frame that is none": _with_frame(
    lambda: b"GIF89a" + bytes(99)
  ),
  "a recording of 1e15 frames": _with_json(
    "recording.json",
    '{"game": "pong", "action_names": ["A", "B", "C"], "num_frames": 1e15}',
  ),
}
