import numpy as np
import pytest

from data import digits


def test_a_picture_depends_on_seed_and_index_alone():
  together, labels = digits.draw("train", range(40, 48), seed=3)
  for position, index in enumerate(range(40, 48)):
    alone, label = digits.draw("train", [index], seed=3)
    np.testing.assert_array_equal(alone[0], together[position])
    assert label[0] == labels[position]
  other, _ = digits.draw("train", range(40, 48), seed=4)
  assert np.all(np.any(other != together, axis=(1, 2, 3)))


def test_splits_share_no_digit():
  train, train_labels = digits._glyphs("train")
  test, test_labels = digits._glyphs("test")
  assert len(train) + len(test) == 1797
  assert len(test) == 450
  # Scanned digits can coincide by chance in 8x8 pixels; these do not.
  assert not {i.tobytes() for i in train} & {i.tobytes() for i in test}
  for labels in (train_labels, test_labels):
    assert np.bincount(labels, minlength=10).min() > len(labels) / 14


def test_pictures_have_the_stated_form():
  x, y = digits.draw("test", range(50), seed=0)
  assert x.shape == (50, 32, 32, 1) and x.dtype == np.float32
  assert x.min() >= 0 and 0.8 < x.max() <= 1
  assert y.shape == (50,) and set(y) <= set(range(10))
  assert len(set(y)) > 6


def test_digit_without_clutter_lies_whole_on_the_canvas():
  """Enlarging keeps the ink per area: nothing is cut off by an edge."""
  x, _ = digits.draw("train", range(200), seed=1, clutter=0)
  images, _ = digits._glyphs("train")
  u = np.stack(
    [np.random.default_rng([1, 0, i]).random([1, 6]) for i in range(200)]
  )[:, 0]
  source = images[(u[:, 0] * len(images)).astype(int)].sum(axis=(1, 2))
  scale = 1.75 + 0.75 * u[:, 1]
  np.testing.assert_allclose(
    x.sum(axis=(1, 2, 3)) / source, scale**2, rtol=0.06
  )


def test_upright_digit_is_its_source_enlarged():
  image = np.zeros([1, 8, 8], np.float32)
  image[0, 2, 5] = 1
  offsets = np.broadcast_to(np.arange(16) - 7.5, [1, 2, 16])
  out = digits._sample(
    image, offsets, np.array([2.0]), np.array([0.0]), np.array([[4.0, 4.0]])
  )[0]
  row, column = np.indices([16, 16])
  # The middle of source pixel (2, 5) lies at twice that in the enlargement.
  assert abs((row * out).sum() / out.sum() - 4.5) < 1e-5
  assert abs((column * out).sum() / out.sum() - 10.5) < 1e-5


def test_clutter_adds_scraps_to_the_same_digit():
  plain, labels = digits.draw("train", range(20), seed=2, clutter=0)
  clear, _ = digits.draw("train", range(20), seed=2, clutter=6)
  x, same = digits.draw("train", range(20), seed=2, clutter=12)
  assert np.all(clear >= 0) and np.all(labels == same)
  ink = [images.sum() for images in (plain, clear, x)]
  assert ink[0] < ink[1] < ink[2]


def test_a_scrap_never_comes_from_the_digit_that_it_hides(monkeypatch):
  # Of two digits, one blank and one black, the scrap is always the other.
  glyphs = np.stack([np.zeros([8, 8]), np.ones([8, 8])]).astype(np.float32)
  monkeypatch.setattr(digits, "_glyphs", lambda split: (glyphs, np.arange(2)))
  plain, _ = digits.draw("train", range(40), seed=0, clutter=0)
  x, labels = digits.draw("train", range(40), seed=0, clutter=1)
  assert set(labels) == {0, 1}
  assert np.all(x[labels == 0].any(axis=(1, 2, 3)))
  np.testing.assert_array_equal(x[labels == 1], plain[labels == 1])


def test_training_batches_follow_each_other_without_repeats():
  data = digits.Digits(seed=5)
  x0, y0 = data.training_batch(0, 8)
  x1, _ = data.training_batch(1, 8)
  expected, labels = digits.draw("train", range(16), seed=5)
  np.testing.assert_array_equal(np.concatenate([x0, x1]), expected)
  np.testing.assert_array_equal(y0.argmax(axis=1), labels[:8])
  assert y0.dtype == np.float32 and np.all(y0.sum(axis=1) == 1)


def test_test_pictures_do_not_depend_on_the_seed():
  batches = [list(digits.Digits(s, num_test=70).test_batches(32)) for s in "ab"]
  assert [len(y) for _, y in batches[0]] == [32, 32, 6]
  for (x, y), (other_x, other_y) in zip(*batches, strict=True):
    np.testing.assert_array_equal(x, other_x)
    np.testing.assert_array_equal(y, other_y)


def test_unknown_split_is_named():
  with pytest.raises(ValueError, match="train, test"):
    digits.draw("validation", [0], seed=0)
