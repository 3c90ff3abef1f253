"""The real loader on a small data set in TFDS' own form on disk.

Among its pictures are a grey and a CMYK one, one that is cut off, one that is
no JPEG at all and an empty file.
"""

import io
import json

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from data import imagenet, imagenet_stand_in, inception_crop
from data.record_files import RecordFiles

SIZE = 32
BROKEN = {"cut.JPEG", "text.JPEG", "empty.JPEG"}


def with_pillow(mode, colour):
  file = io.BytesIO()
  PIL.Image.new(mode, (60, 40), colour).save(file, "JPEG", quality=95)
  return file.getvalue()


def odd_files():
  whole = imagenet_stand_in.draw_jpeg(7, (40, 50))
  return [
    ("grey.JPEG", with_pillow("L", 200)),
    ("cmyk.JPEG", with_pillow("CMYK", (0, 255, 255, 0))),
    ("cut.JPEG", whole[: len(whole) // 2]),
    ("text.JPEG", b"this is no picture"),
    ("empty.JPEG", b""),
  ]


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
  folder = tmp_path_factory.mktemp("tfds")
  imagenet_stand_in.write_stand_in(
    folder, 30, 7, {"train": odd_files(), "validation": odd_files()}
  )
  return folder


def open_stored(folder, seed=0):
  return imagenet.open_imagenet(folder, seed, SIZE)


def names(skipped):
  return {name.split(" ")[0] for name in skipped}


def test_an_epoch_visits_every_readable_picture(stored):
  data = open_stored(stored)
  assert data.num_classes == 1000 and data.image_shape == (SIZE, SIZE, 3)
  seen = []
  for x, y in data.training_batches(0, 7, 5):
    assert x.shape == [5, SIZE, SIZE, 3] and y.shape == [5, 1000]
    assert x.dtype == y.dtype == tf.float32
    assert np.abs(x).max() <= 1
    seen += list(np.argmax(y, axis=1))
  # 30 made-up pictures and 5 odd ones, labelled by their place.
  # The upper half of the one that is cut off can be read.
  assert set(seen) - {32} == set(range(35)) - {32, 33, 34}
  assert len(seen) == 35  # the unreadable ones were replaced
  assert names(data.skipped) | {"cut.JPEG"} == BROKEN


def test_hosts_and_replicas_read_every_record_of_an_epoch_once(
  tmp_path, monkeypatch
):
  imagenet_stand_in.write_stand_in(tmp_path, 12, 1)
  reads, read = [], RecordFiles.read

  def noted(self, index):
    reads.append(int(index))
    return read(self, index)

  monkeypatch.setattr(RecordFiles, "read", noted)
  # Six shares of two pictures on three hosts, in whatever order they come.
  hosts = [open_stored(tmp_path) for _ in range(3)]
  for index, host in ((0, 2), (2, 0), (1, 2), (5, 1), (3, 2), (4, 0)):
    hosts[host].training_batch(index, 2)
  assert sorted(reads) == list(range(12))
  reads.clear()
  # One host reads the joined batch of its replicas, who take their parts.
  for _ in open_stored(tmp_path).training_batches(0, 3, 4):
    pass
  assert sorted(reads) == list(range(12))


def test_a_batch_depends_on_seed_and_step_alone(stored):
  whole = list(open_stored(stored, 8).training_batches(0, 9, 8))
  resumed = list(open_stored(stored, 8).training_batches(5, 9, 8))
  single = open_stored(stored, 8).training_batch(6, 8)
  for a, b in zip(whole[5:], resumed, strict=True):
    np.testing.assert_array_equal(a[0], b[0])
    np.testing.assert_array_equal(a[1], b[1])
  np.testing.assert_array_equal(single[0], whole[6][0])
  other = open_stored(stored, 9).training_batch(6, 8)
  assert np.any(other[0] != single[0])
  # The next epoch has another order, and the same picture another crop.
  assert np.any(whole[0][1] != whole[4][1])


def test_a_single_batch_is_that_of_the_stream(stored):
  data = open_stored(stored)
  # Some of the first seven batches hold pictures that cannot be decoded.
  for step, (x, y) in enumerate(data.training_batches(0, 7, 5)):
    one_x, one_y = data.training_batch(step, 5)
    np.testing.assert_array_equal(one_x, x)
    np.testing.assert_array_equal(one_y, y)


def test_every_test_picture_is_the_middle_of_its_file(stored, caplog):
  data = open_stored(stored)
  batches = list(data.test_batches(5))
  labels = np.concatenate([y for _, y in batches])
  assert sorted(labels) == list(range(9))  # all but the three broken ones
  assert names(data.skipped) == BROKEN
  assert sum("is skipped" in line for line in caplog.messages) == 3
  assert "(3 so far)" in caplog.text
  list(data.test_batches(5))
  assert sum("is skipped" in line for line in caplog.messages) == 3

  pictures = dict(
    zip(labels, np.concatenate([x for x, _ in batches]), strict=True)
  )
  np.testing.assert_allclose(pictures[7], 200 / 127.5 - 1, atol=0.02)  # grey
  red = np.broadcast_to([1.0, -1.0, -1.0], [SIZE, SIZE, 3])
  np.testing.assert_allclose(pictures[8], red, atol=0.05)  # CMYK
  encoded = imagenet_stand_in.draw_jpeg(3)
  whole = tf.io.decode_jpeg(encoded)
  # 328 of 375 rows and 438 of 500 columns.
  middle = whole[23 : 23 + 328, 31 : 31 + 438]
  expected = tf.image.resize(middle, [SIZE, SIZE]) / 127.5 - 1
  np.testing.assert_allclose(pictures[3], expected, atol=0.02)


def test_crops_have_inceptions_areas_and_sides():
  rows, columns = np.mgrid[0:200, 0:200]
  # Red and green tell a pixel's place, so a crop tells its corners.
  picture = np.stack([rows * 255 / 199, columns * 255 / 199, rows * 0], axis=-1)
  encoded = tf.io.encode_jpeg(picture.astype(np.uint8), quality=100)
  areas, aspects, flips = [], [], []
  crop = tf.function(lambda seed: inception_crop.random_crop(encoded, seed, 48))
  for index in range(200):
    x = crop(tf.constant([index, 3], tf.int64)).numpy().astype(np.float64)
    height = (x[-1, :, 0].mean() - x[0, :, 0].mean()) / 255 * 200 * 48 / 47
    width = (x[:, -1, 1].mean() - x[:, 0, 1].mean()) / 255 * 200 * 48 / 47
    areas.append(height * abs(width) / 40_000)
    aspects.append(abs(width) / height)
    flips.append(width < 0)
  assert 0.07 < min(areas) < 0.15 and 0.8 < max(areas) < 1.05
  assert 0.7 < min(aspects) < 0.8 and 1.25 < max(aspects) < 1.45
  assert 0.4 < np.mean(flips) < 0.6
  # Even from 8 to 75 %; above that, not every shape fits into a square.
  halves = np.histogram(areas, [0.08, 0.415, 0.75])[0]
  np.testing.assert_allclose(halves[0] / halves[1], 1, atol=0.3)


def test_colour_distortion_is_an_option():
  encoded = tf.constant(imagenet_stand_in.draw_jpeg(1, (60, 80)))
  seed = tf.constant([1, 2], tf.int64)
  plain = inception_crop.random_crop(encoded, seed, 16)
  one, again = (
    inception_crop.random_crop(encoded, seed, 16, True) for _ in range(2)
  )
  np.testing.assert_array_equal(one, again)
  # The same part of the picture in other colours.
  assert np.abs(one - plain.numpy().astype(float)).mean() > 5
  means = [np.mean(x, axis=-1).ravel() for x in (one, plain)]
  assert np.corrcoef(*means)[0, 1] > 0.8


def test_missing_data_set_says_where_the_archives_go(tmp_path):
  with pytest.raises(ValueError) as error:
    imagenet.open_imagenet(tmp_path)
  sentence = str(error.value)
  for part in (str(tmp_path), "ILSVRC2012_img_train.tar", "downloads/manual"):
    assert part in sentence
  assert "\n" not in sentence


def test_damaged_files_and_missing_splits_are_named(tmp_path):
  imagenet_stand_in.write_stand_in(tmp_path, 3, 2)
  folder = tmp_path / imagenet.NAME / imagenet.VERSION
  path = next(folder.glob("*-train.tfrecord-*"))
  content = path.read_bytes()
  for wrong in (content[:-5], content[: len(content) // 2], content + b"more"):
    path.write_bytes(wrong)
    with pytest.raises(ValueError, match="should hold 3 whole records"):
      open_stored(tmp_path)
  path.write_bytes(content)
  info = json.loads((folder / "dataset_info.json").read_text())
  info["splits"] = [s for s in info["splits"] if s["name"] == "train"]
  (folder / "dataset_info.json").write_text(json.dumps(info))
  with pytest.raises(ValueError, match="has no validation split, only train"):
    open_stored(tmp_path)


def test_batch_larger_than_the_data_set_is_refused(stored):
  with pytest.raises(ValueError, match="36 does not fit into 35"):
    open_stored(stored).training_batch(0, 36)


def test_a_data_set_of_rubbish_is_given_up(tmp_path):
  rubbish = [(f"{i}.JPEG", b"rubbish") for i in range(40)]
  imagenet_stand_in.write_stand_in(tmp_path, 0, 1, {"train": rubbish})
  with pytest.raises(
    ValueError, match="32 pictures in a row cannot be decoded"
  ):
    open_stored(tmp_path).training_batch(0, 2)


def test_writing_over_a_data_set_is_refused(stored, capsys):
  assert imagenet_stand_in.main([f"--output={stored}"]) == 2
  assert "exists already" in capsys.readouterr().err
