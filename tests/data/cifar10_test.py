"""The real loader on a small data set in TFDS' own form on disk."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data import cifar10


def write_small_cifar10(data_dir, splits=("train", "test"), num_train=100):
  """Writes random pictures as TFDS would write CIFAR-10; returns them."""
  rng = np.random.default_rng(0)
  features = tfds.features.FeaturesDict(
    {
      "id": tfds.features.Text(),
      "image": tfds.features.Image(shape=(32, 32, 3)),
      "label": tfds.features.ClassLabel(num_classes=10),
    }
  )
  examples = {
    split: [
      {
        "id": f"{split}_{i:05d}",
        "image": rng.integers(0, 256, [32, 32, 3], dtype=np.uint8),
        "label": int(rng.integers(10)),
      }
      for i in range(num_train if split == "train" else 30)
    ]
    for split in splits
  }
  tfds.dataset_builders.store_as_tfds_dataset(
    name="cifar10",
    version=cifar10.VERSION,
    features=features,
    split_datasets={
      split: list(enumerate(rows)) for split, rows in examples.items()
    },
    data_dir=data_dir,
    disable_shuffling=True,
  )
  return examples


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
  folder = tmp_path_factory.mktemp("tfds")
  return folder, write_small_cifar10(folder)


def pictures(examples):
  return np.stack([example["image"] for example in examples])


def test_test_pictures_are_standardised_by_the_training_pictures(stored):
  folder, examples = stored
  training = pictures(examples["train"]).astype(np.float64)
  mean, deviation = training.mean(axis=(0, 1, 2)), training.std(axis=(0, 1, 2))
  batches = list(cifar10.Cifar10(folder).test_batches(20))
  assert [len(y) for _, y in batches] == [20, 10]
  x = np.concatenate([x for x, _ in batches])
  expected = (pictures(examples["test"]) - mean) / deviation
  np.testing.assert_allclose(x, expected, atol=1e-4)
  y = np.concatenate([y for _, y in batches])
  assert list(y) == [example["label"] for example in examples["test"]]


def test_training_pictures_are_shifted_and_mirrored_originals(stored):
  folder, examples = stored
  data = cifar10.Cifar10(folder, seed=3)
  x, y = data.training_batch(1, 40)
  mean, deviation = data._moments
  raw = np.rint(x * deviation + mean).astype(np.uint8)
  padded = np.pad(pictures(examples["train"]), [(0, 0), (4, 4), (4, 4), (0, 0)])
  labels = np.array([example["label"] for example in examples["train"]])
  places = {}  # a crop's bytes -> which picture, where, mirrored or not
  for row in range(9):
    for column in range(9):
      crops = padded[:, row : row + 32, column : column + 32]
      for flipped in (False, True):
        for index, crop in enumerate(crops[:, :, ::-1] if flipped else crops):
          place = (index, row, column, flipped)
          places.setdefault(crop.tobytes(), []).append(place)
  found = [place for picture in raw for place in places[picture.tobytes()]]
  assert len(found) == 40  # each is a crop of exactly one picture
  assert list(labels[[f[0] for f in found]]) == list(y.argmax(axis=1))
  for axis in (1, 2):  # every shift of 0 to 8 pixels comes up
    assert {f[axis] for f in found} == set(range(9))
  assert len({f[3] for f in found}) == 2


def test_an_epoch_visits_every_picture_once(stored):
  folder, _ = stored
  data = cifar10.Cifar10(folder, seed=1)
  counts = [np.zeros(10), np.zeros(10)]
  for epoch in range(2):
    for step in range(4):
      _, y = data.training_batch(4 * epoch + step, 25)
      counts[epoch] += y.sum(axis=0)
  np.testing.assert_array_equal(*counts)
  np.testing.assert_array_equal(
    counts[0], np.bincount(data._training[1], minlength=10)
  )
  assert np.any(data._order(0) != data._order(1))


def test_a_batch_depends_on_seed_and_step_alone(stored):
  folder, _ = stored
  one, other = (cifar10.Cifar10(folder, seed=8) for _ in range(2))
  for step in range(3):
    one.training_batch(step, 10)
  for a, b in zip(
    one.training_batch(7, 10), other.training_batch(7, 10), strict=True
  ):
    np.testing.assert_array_equal(a, b)
  different, _ = cifar10.Cifar10(folder, seed=9).training_batch(7, 10)
  assert np.any(different != one.training_batch(7, 10)[0])


def test_missing_data_set_says_how_to_get_it(tmp_path):
  with pytest.raises(ValueError) as error:
    cifar10.Cifar10(tmp_path)
  sentence = str(error.value)
  assert "download_and_prepare" in sentence
  assert str(tmp_path) in sentence and "--data_dir=DIR" in sentence
  assert "\n" not in sentence


def test_missing_split_is_named(tmp_path):
  write_small_cifar10(tmp_path, splits=("train",), num_train=3)
  with pytest.raises(ValueError, match="has no test split, only train"):
    cifar10.Cifar10(tmp_path)


def test_batch_larger_than_the_data_set_is_refused(stored):
  folder, _ = stored
  with pytest.raises(ValueError, match="101 does not fit into 100"):
    cifar10.Cifar10(folder).training_batch(0, 101)
