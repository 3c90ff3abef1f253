"""Rows drawn from stored Jacobians."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from sobolev_tf.labels.rows import sample_rows
from sobolev_tf.model import SobolevModel
from sobolev_tf.training.objective import Objective
from sobolev_tf.training.scaling import Scaling

_RNG = np.random.default_rng(0)
_X, _Y = _RNG.normal(size=[6, 3]), _RNG.normal(size=[6, 2, 4])
_JACOBIAN = _RNG.normal(size=[6, 2, 4, 3])
_FIRST, _SECOND = _RNG.normal(size=[3, 5]), _RNG.normal(size=[5, 8])


def _network(z):
  return tf.reshape(tf.tanh(z @ _FIRST) @ _SECOND, [-1, 2, 4])


@pytest.mark.parametrize(
  ("loss", "rows", "kind"),
  [("l2", 1, None), ("l2", 3, "standard"), ("l1", 3, "standard")],
)
def test_the_mean_loss_over_the_draws_is_that_of_the_whole(loss, rows, kind):
  scaling = Scaling(kind, order=1, dtype="float64")
  scaling.build((None, 3), (None, 2, 4))
  if kind:
    scaling.adapt([(_X, (_Y, _JACOBIAN))])
  objective = Objective.of("l2", loss, [0.7])

  def mean_loss(x, labels):
    return tf.reduce_mean(
      objective(_network, tf.constant(x), labels, scaling, 0)[0]
    ).numpy()

  # All rows at once are the whole, to the last digits.
  (batch,) = sample_rows(_X, _Y, _JACOBIAN, 8, batch_size=6, loss=loss)
  whole = mean_loss(_X, {"y": _Y, "dy": _JACOBIAN})
  np.testing.assert_allclose(mean_loss(*batch), whole, rtol=1e-12)
  drawn = sample_rows(_X, _Y, _JACOBIAN, rows, batch_size=6, loss=loss)
  losses = []
  for _ in range(40):
    losses.append(mean_loss(*drawn[0]))
    drawn.on_epoch_end()
  error = np.std(losses) / np.sqrt(len(losses))
  assert 0 < error < 0.1 * whole
  assert abs(np.mean(losses) - whole) < 4 * error


class _Counted:
  """Stored Jacobians that count the numbers which are read of them."""

  def __init__(self, array):
    self._array, self.shape, self.read = array, array.shape, 0

  def __getitem__(self, index):
    found = self._array[index]
    self.read += np.size(found)
    return found


def test_only_the_rows_that_are_drawn_are_read(tmp_path):
  path = tmp_path / "jacobians.npy"
  np.save(path, _JACOBIAN)
  stored = _Counted(np.load(path, mmap_mode="r"))
  drawn = sample_rows(_X, _Y, stored, 2, batch_size=4)
  assert stored.read == 0
  assert len(drawn) == 2
  batches = [drawn[step] for step in range(2)]
  assert stored.read == 6 * 2 * 3
  for x, labels in batches:
    v, product = labels["vjp"]
    for b, point in enumerate(x):
      (i,) = np.flatnonzero((_X == point).all(axis=1))
      np.testing.assert_allclose(labels["y"][b], _Y[i])
      np.testing.assert_allclose(np.sum(v[b] ** 2, axis=(1, 2)), 8 / 2)
      wanted = np.einsum("rpq,pqi->ri", v[b], _JACOBIAN[i])
      np.testing.assert_allclose(product[b], wanted, rtol=1e-12)


def test_draws_are_a_function_of_seed_epoch_and_step():
  def batches(seed, epochs):
    drawn = sample_rows(_X, _Y, _JACOBIAN, 2, batch_size=4, seed=seed)
    for _ in range(epochs):
      drawn.on_epoch_end()
    return drawn[1][1]["vjp"][0]

  np.testing.assert_array_equal(batches(3, 2), batches(3, 2))
  assert (batches(3, 2) != batches(3, 1)).any()
  assert (batches(3, 2) != batches(4, 2)).any()


def test_fit_takes_them_and_learns():
  x = np.linspace(-1, 1, 64, dtype=np.float32)[:, np.newaxis]
  y = np.concatenate([2 * x, -x], axis=1)
  dy = np.tile(np.float32([[[2], [-1]]]), [64, 1, 1])
  keras.utils.set_random_seed(0)
  network = keras.Sequential([keras.layers.Dense(2)])
  model = SobolevModel(network, scaling="standard")
  model.compile(keras.optimizers.Adam(0.1))
  drawn = sample_rows(x, y, dy, rows=1, batch_size=4)
  model.fit(drawn, epochs=4, verbose=0)
  np.testing.assert_allclose(model.predict_with_derivatives(x)[1], dy, atol=0.5)


@pytest.mark.parametrize(
  ("arguments", "message"),
  [
    ((_X, _Y, _JACOBIAN[:, 0], 1), "jacobian must have shape"),
    ((_X, _Y, _JACOBIAN, 9), "rows must be 1 to 8"),
    ((_X[:4], _Y, _JACOBIAN, 1), "jacobian must have shape"),
  ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(arguments, message):
  with pytest.raises(ValueError, match=message) as refusal:
    sample_rows(*arguments)
  assert str(refusal.value).endswith(".")
  with pytest.raises(ValueError, match="huber"):
    sample_rows(_X, _Y, _JACOBIAN, 1, loss="huber")
