"""Handwritten digits among clutter: the data set that needs no download.

scikit-learn's digits (real handwriting, 8x8) are split into training and test
digits first. A picture is a digit at a random place, scale and rotation on a
32x32 canvas, among seven-pixel scraps of other digits of the same split. Every
picture is a function of (seed, split, index), so there are as many as wanted
and none has to be stored.
"""

import functools

import numpy as np
import sklearn.datasets

from data.pictures import Pictures

NUM_CLASSES = 10
IMAGE_SHAPE = (32, 32, 1)
SPLITS = ("train", "test")

_SIZE = 32
_SOURCE = 8
_SCRAP = 7
_SCALES = (1.75, 2.5)  # pixels of the canvas per pixel of the digit
_MAX_ANGLE = np.deg2rad(20.0)
_TEST_SHARE = 4  # every fourth digit is a test digit
_DRAWS = 6  # which digit, scale, angle, row, column, part of the digit
_TEST_SEED = 0x50B01E5  # far from any seed that a person would choose


class Digits(Pictures):
  """Batches of cluttered digits."""

  image_shape = IMAGE_SHAPE
  num_classes = NUM_CLASSES

  def __init__(self, seed=0, clutter=6, num_test=2_000):
    """Chooses the pictures.

    Args:
      seed: of the training pictures; the test pictures are always the same.
      clutter: scraps per picture.
      num_test: number of test pictures.
    """
    self._seed, self._clutter, self._num_test = seed, clutter, num_test

  def training_batch(self, step, size):
    """The batch of a step: x `[size, 32, 32, 1]` and one-hot y, float32.

    No picture comes twice: the batch of step s holds the pictures of index
    `s * size` to `(s + 1) * size`.
    """
    indices = np.arange(step * size, (step + 1) * size)
    x, y = draw("train", indices, self._seed, self._clutter)
    return x, np.eye(NUM_CLASSES, dtype=np.float32)[y]

  def test_batches(self, size=500):
    """Yields the test pictures as (x, y), y `[size]` of integers."""
    for first in range(0, self._num_test, size):
      indices = np.arange(first, min(first + size, self._num_test))
      yield draw("test", indices, _TEST_SEED, self._clutter)


def draw(split, indices, seed, clutter=6):
  """Draws pictures.

  Args:
    split: "train" or "test"; digit and scraps come from its digits alone.
    indices: sequence of N whole numbers.
    seed: whole number.
    clutter: scraps per picture.

  Returns:
    float32 array `[N, 32, 32, 1]` from 0 to 1, and the class of each digit,
    int64 `[N]`.

  Raises:
    ValueError: there is no such split.
  """
  images, labels = _glyphs(split)
  # [N, 1 + clutter, draws], from a generator per picture: a picture must not
  # depend on the others of its batch.
  u = np.stack(
    [
      np.random.default_rng([seed, SPLITS.index(split), int(index)]).random(
        [1 + clutter, _DRAWS]
      )
      for index in indices
    ]
  )
  chosen = (u[..., 0] * len(images)).astype(np.int64)
  # A scrap never comes from the digit that it hides.
  same = chosen[:, 1:] == chosen[:, :1]
  chosen[:, 1:] = np.where(
    same, (chosen[:, 1:] + 1) % len(images), chosen[:, 1:]
  )
  scale = _SCALES[0] + u[..., 1] * (_SCALES[1] - _SCALES[0])
  angle = (2 * u[..., 2] - 1) * _MAX_ANGLE

  canvas = _place_digits(
    images[chosen[:, 0]], scale[:, 0], angle[:, 0], u[:, 0]
  )
  rows = np.arange(len(canvas))[:, np.newaxis, np.newaxis]
  for k in range(1, 1 + clutter):
    scrap = _cut_scraps(images[chosen[:, k]], scale[:, k], angle[:, k], u[:, k])
    corner = (u[:, k, 3:5] * (_SIZE - _SCRAP + 1)).astype(np.int64)  # [N, 2]
    place = (
      rows,
      (corner[:, :1] + np.arange(_SCRAP))[:, :, np.newaxis],
      (corner[:, 1:] + np.arange(_SCRAP))[:, np.newaxis, :],
    )
    canvas[place] = np.maximum(canvas[place], scrap)
  return canvas[..., np.newaxis], labels[chosen[:, 0]]


@functools.cache
def _glyphs(split):
  """Digits `[M, 8, 8]`, float32 from 0 to 1, and their classes `[M]`."""
  if split not in SPLITS:
    raise ValueError(
      f"split must be one of {', '.join(SPLITS)}, but it is {split!r}."
    )
  digits = sklearn.datasets.load_digits()
  order = np.random.default_rng(0).permutation(len(digits.target))
  is_test = np.arange(len(order)) % _TEST_SHARE == 0
  chosen = order[is_test if split == "test" else ~is_test]
  images = (digits.images[chosen] / 16).astype(np.float32)
  return images, digits.target[chosen].astype(np.int64)


def _place_digits(images, scale, angle, u):
  """Whole digits on canvases `[N, 32, 32]`, each entirely within its own."""
  half = scale * _SOURCE / 2
  centre = half[:, np.newaxis] + u[:, 3:5] * (_SIZE - 2 * half[:, np.newaxis])
  axis = np.arange(_SIZE) + 0.5
  offsets = axis - centre[..., np.newaxis]  # [N, 2, 32]
  middle = np.full([len(images), 2], _SOURCE / 2)
  return _sample(images, offsets, scale, angle, middle)


def _cut_scraps(images, scale, angle, u):
  """Seven-pixel squares `[N, 7, 7]` from the inked part of digits."""
  offsets = np.broadcast_to(
    np.arange(_SCRAP) - (_SCRAP - 1) / 2, [len(images), 2, _SCRAP]
  )
  # One draw for both coordinates: its fifth and what is left within a fifth.
  place = u[:, 5] * 25
  middle = 1.5 + np.stack([place // 5, place % 5], axis=1)
  return _sample(images, offsets, scale, angle, middle)


def _sample(images, offsets, scale, angle, middle):
  """Reads turned and enlarged digits bilinearly, zero outside.

  Args:
    images: `[N, 8, 8]`.
    offsets: `[N, 2, S]`, rows and columns of the square to fill, in pixels of
      the canvas from the point that shows `middle`.
    scale: `[N]`.
    angle: `[N]`.
    middle: `[N, 2]`, row and column in the digit.

  Returns:
    float32 array `[N, S, S]`.
  """
  sine, cosine = (
    (f(angle) / scale)[:, np.newaxis, np.newaxis] for f in (np.sin, np.cos)
  )
  y, x = offsets[:, 0, :, np.newaxis], offsets[:, 1, np.newaxis, :]
  # Pixel centres lie at one half; one row and column of padding for the edge.
  row = cosine * y - sine * x + middle[:, :1, np.newaxis] + 0.5
  column = sine * y + cosine * x + middle[:, 1:, np.newaxis] + 0.5
  padded = np.pad(images, [(0, 0), (1, 1), (1, 1)])
  row, column = (np.clip(z, 0, _SOURCE + 0.999) for z in (row, column))
  top, left = row.astype(np.int64), column.astype(np.int64)
  down, right = row - top, column - left
  n = np.arange(len(images))[:, np.newaxis, np.newaxis]
  return (
    (1 - down) * (1 - right) * padded[n, top, left]
    + (1 - down) * right * padded[n, top, left + 1]
    + down * (1 - right) * padded[n, top + 1, left]
    + down * right * padded[n, top + 1, left + 1]
  ).astype(np.float32)
