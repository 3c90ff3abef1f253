"""Jacobians that are stored whole and trained on row by row.

A Jacobian of O outputs has O rows `dy_o / dx`. A few of them, drawn anew for
each example at every step, are products v^T J with unit vectors v, and right on
average: a long output costs what its few rows cost, in reading and in training.
"""

from collections.abc import Sequence

import keras
import numpy as np

from sobolev_tf.labels.matching import label_name


def sample_rows(
  x: Sequence,
  y: Sequence,
  jacobian: Sequence,
  rows: int,
  *,
  batch_size: int = 32,
  loss: str = "l2",
  seed: int = 0,
) -> "SampledRows":
  """Draws a few rows of stored Jacobians for each example and step.

  ```python
  x, y = np.zeros([10, 3]), np.zeros([10, 50])
  np.save("jacobians.npy", np.zeros([10, 50, 3]))
  stored = np.load("jacobians.npy", mmap_mode="r")
  batches = sobolev_tf.sample_rows(x, y, stored, rows=4)
  model = sobolev_tf.SobolevModel(keras.Sequential([keras.layers.Dense(50)]))
  model.compile()
  model.fit(batches, epochs=5, verbose=0)
  ```

  The loss of the rows, averaged over the draws, is that of the full Jacobian:
  they are drawn without replacement, all equally often, and made longer by what
  their small number leaves out. Only the rows that are drawn are read.

  Args:
    x: `[N, *in]`, an array or anything that is indexed like one.
    y: `[N, *out]`, likewise.
    jacobian: `[N, *out, *in]` with a `shape`: an array, `np.memmap`, or a data
      set of HDF5 or Zarr; NaN means unknown.
    rows: R, how many of the O rows each example gets at a step, 1 to O.
    batch_size: how many examples there are at a step; the last batch of an
      epoch may hold fewer.
    loss: the derivative loss that the model was compiled with, "l2" or "l1";
      what the rows have to be scaled by depends on it.
    seed: integer; the order of the examples and the rows are a function of
      (seed, epoch, step).

  Returns:
    A `keras.utils.PyDataset` for `SobolevModel.fit`, of batches
    `(x, {"y": y, "vjp": (v, v^T J)})` with v `[B, R, *out]`.

  Raises:
    ValueError: shapes or numbers do not fit.
  """
  return SampledRows(x, y, jacobian, rows, batch_size, loss, seed)


class SampledRows(keras.utils.PyDataset):
  """What `sample_rows` returns: one epoch of batches at a time."""

  def __init__(
    self,
    x: Sequence,
    y: Sequence,
    jacobian: Sequence,
    rows: int,
    batch_size: int,
    loss: str,
    seed: int,
  ):
    """See `sample_rows`."""
    super().__init__()
    self._outputs = tuple(y.shape[1:])
    count = int(np.prod(self._outputs))
    wanted = (*y.shape, *x.shape[1:])
    if len(x) != len(y) or tuple(jacobian.shape) != wanted:
      raise ValueError(
        f"for x of shape {tuple(x.shape)} and y of shape {tuple(y.shape)} the "
        f"jacobian must have shape {wanted}, but it has shape "
        f"{tuple(jacobian.shape)}."
      )
    if not 1 <= rows <= count or batch_size < 1:
      raise ValueError(
        f"rows must be 1 to {count}, the number of outputs, and batch_size at "
        f"least 1, but they are {rows} and {batch_size}."
      )
    if loss not in ("l2", "l1"):
      raise ValueError(
        f'loss must be "l2" or "l1", but it is {loss!r}: the mean of other '
        "losses over a few rows is not that of all rows."
      )
    self._arrays = x, y, jacobian
    self._rows, self._batch_size, self._seed = rows, batch_size, seed
    share = count / rows
    self._length = share if loss == "l1" else np.sqrt(share)
    self._epoch = 0
    self._reorder()

  def __len__(self) -> int:
    """Batches in an epoch."""
    return -(-len(self._order) // self._batch_size)

  def __getitem__(self, step: int) -> tuple:
    """The batch of a step of the epoch."""
    start = step * self._batch_size
    examples = self._order[start : start + self._batch_size]
    drawn = self._draw(step, len(examples))  # [B, R]
    x, y, jacobian = self._arrays
    outputs = np.unravel_index(drawn, self._outputs) if self._outputs else ()
    products = np.stack(
      [
        [
          jacobian[(int(i), *(int(axis[b, r]) for axis in outputs))]
          for r in range(self._rows)
        ]
        for b, i in enumerate(examples)
      ]
    )  # [B, R, *in]
    if products.dtype.kind != "f":
      products = products.astype(np.float64)
    count = int(np.prod(self._outputs))
    v = self._length * (drawn[..., np.newaxis] == np.arange(count))
    v = v.reshape(*drawn.shape, *self._outputs).astype(products.dtype)
    labels = {
      label_name(0): np.stack([y[int(i)] for i in examples]),
      "vjp": (v, products * products.dtype.type(self._length)),
    }
    return np.stack([x[int(i)] for i in examples]), labels

  def on_epoch_end(self) -> None:
    """Draws another order for the next epoch."""
    self._epoch += 1
    self._reorder()

  def _reorder(self):
    rng = np.random.default_rng([self._seed, self._epoch])
    self._order = rng.permutation(len(self._arrays[0]))

  def _draw(self, step, size):
    """`[B, R]` outputs, of each example without replacement."""
    rng = np.random.default_rng([self._seed, self._epoch, step])
    count = int(np.prod(self._outputs))
    if self._rows == 1:
      return rng.integers(count, size=[size, 1])
    return np.stack(
      [rng.choice(count, self._rows, replace=False) for _ in range(size)]
    )
