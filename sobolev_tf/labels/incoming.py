"""What users hand to `fit`, `evaluate` and `predict`: arrays and data sets."""

import itertools
import math
import types
import typing
import warnings

import keras
import numpy as np
import tensorflow as tf

from sobolev_tf.derivatives.arguments import check_real, check_whole
from sobolev_tf.labels.kinds import KINDS
from sobolev_tf.labels.matching import (
  orders_of,
  readable,
  refuse_odd_array,
)

_ROWS_AT_ONCE = 8192
# What Keras counts with, and the least of each; no epoch is a rehearsal.
_COUNTS = {
  "epochs": 0,
  "initial_epoch": 0,
  "batch_size": 1,
  "validation_batch_size": 1,
  "steps_per_epoch": 1,
  "validation_steps": 1,
  "steps": 1,
}
# Beyond this ratio of root mean squares one order drowns the other.
_LARGEST_RATIO = 1e3


def is_data_set(x: typing.Any) -> bool:
  """Whether x brings its labels along, batch by batch."""
  return isinstance(
    x, (tf.data.Dataset, keras.utils.PyDataset, types.GeneratorType)
  ) or not (
    hasattr(x, "shape") or isinstance(x, (list, tuple, dict)) or x is None
  )


def check_inputs(
  x: typing.Any, input_shape: typing.Sequence | None = None
) -> None:
  """Refuses inputs that are not one array `[N, *in]`.

  Args:
    x: what the user gave: an array, or the specification of one.
    input_shape: `(None, *in)`, or None where it is not known yet.

  Raises:
    ValueError: x is not one dense array of real numbers, or has another shape.
  """
  if isinstance(x, (list, tuple, dict)):
    raise ValueError(
      f"x is a {type(x).__name__} of {len(x)}, but derivatives are taken with "
      "respect to one array [N, *in]; concatenate several inputs into one and "
      "split it inside the network."
    )
  refuse_odd_array(x, "x")
  if np.ma.is_masked(x):
    raise ValueError(
      "x has masked elements, but every input must be known; leave their rows "
      "out."
    )
  shape = tf.TensorShape(x.shape)
  if shape.rank == 0:
    raise ValueError("x must be an array [N, *in], but it is one number.")
  if input_shape is None or _takes(input_shape, shape):
    return
  wanted = tf.TensorShape(input_shape)
  single = shape.is_compatible_with(wanted[1:])
  raise ValueError(
    f"x must have shape {readable(wanted)}, but it has shape "
    f"{readable(shape)}{'; for a single point give x[None]' if single else ''}."
  )


def as_inputs(x: typing.Any, input_shape: typing.Sequence) -> typing.Any:
  """x that passed `check_inputs`, with the axis that x `[N]` lacks."""
  if isinstance(x, np.ma.MaskedArray):
    x = x.data
  if len(x.shape) == 1 and len(input_shape) == 2:
    return tf.expand_dims(x, 1) if tf.is_tensor(x) else np.asarray(x)[:, None]
  return x


def _takes(input_shape, shape):
  wanted = tf.TensorShape(input_shape)
  axis_left_out = shape.rank == 1 and wanted.as_list() == [None, 1]
  return axis_left_out or shape.is_compatible_with(wanted)


def refuse_unknown_inputs(x: typing.Any, dtype: str = "float64") -> None:
  """Refuses x `[N, *in]` with NaN, infinity or more than a dtype can hold.

  Args:
    x: array of real numbers.
    dtype: in which the network computes.

  Raises:
    ValueError: there is such a number.
  """
  low, high = known_range(x)
  size = max(abs(low), abs(high))
  for start in range(0, len(x), _ROWS_AT_ONCE):
    rows = np.asarray(x[start : start + _ROWS_AT_ONCE])
    if rows.dtype.kind == "f" and not np.isfinite(rows).all():
      wrong = ~np.isfinite(rows).reshape(len(rows), -1).all(axis=1)
      raise ValueError(
        f"x holds NaN or infinity, first in row {start + np.argmax(wrong)}; "
        "only labels may be NaN, which means unknown."
      )
  if low <= high and size > float(np.finfo(dtype).max):
    raise ValueError(
      f"x reaches {size:.3g}, which is beyond {dtype}; change its units."
    )


def check_labels(labels: dict, dtype: str, active_order: int) -> None:
  """Refuses labels that training cannot use.

  Args:
    labels: of `match_arrays`.
    dtype: in which the network computes.
    active_order: the highest order that training needs.

  Raises:
    ValueError: one is infinite or larger than the dtype can hold, or an order
      that takes part in training has no known label.
  """
  largest = float(np.finfo(dtype).max)
  for name, label, order in _arrays(labels):
    low, high = known_range(label)
    size = max(abs(low), abs(high))
    if low > high and order <= active_order:
      raise ValueError(
        f"{name} holds no known label, only NaN; leave it out, or give it the "
        "weight 0."
        if order
        else "y holds no known label, only NaN; to train on derivatives alone "
        'leave it out: {"dy": dy}.'
      )
    if low <= high and np.isinf(size):
      raise ValueError(
        f"{name} holds infinite labels; replace them by NaN, which means "
        "unknown."
      )
    if low <= high and size > largest:
      raise ValueError(
        f"{name} reaches {size:.3g}, which is beyond {dtype}; change its units."
      )


def _arrays(labels):
  """Yields (name, array, order of the derivative) of all that labels hold."""
  for name, label in labels.items():
    if name in KINDS:
      for part in label:
        yield name, part, KINDS[name].order
    else:
      (order,) = orders_of([name])
      yield name, label, order


def known_range(values: typing.Any) -> tuple:
  """The smallest and largest known number; (inf, -inf) if none is known."""
  low, high = np.inf, -np.inf
  for start in range(0, len(values), _ROWS_AT_ONCE):
    rows = np.asarray(values[start : start + _ROWS_AT_ONCE])
    rows = rows if rows.dtype.kind == "f" else rows.astype(np.float64)
    low = min(low, np.fmin.reduce(rows, axis=None, initial=np.inf))
    high = max(high, np.fmax.reduce(rows, axis=None, initial=-np.inf))
  return float(low), float(high)


def warn_of_drowned_orders(labels: dict, weights: typing.Sequence) -> None:
  """Warns where one order of labels is far larger than another.

  Args:
    labels: of `match_arrays`; the first rows are looked at.
    weights: of the derivative orders; the ones that are plain numbers count.
  """
  sizes = {}
  for name, label in labels.items():
    if name in KINDS:
      continue  # As large as its directions happen to be.
    (order,) = orders_of([name])
    weight = weights[order - 1] if order else 1.0
    if not isinstance(weight, float) or weight == 0:
      continue
    rows = np.asarray(label[:_ROWS_AT_ONCE], np.float64)
    rows = rows - (np.nanmean(rows, axis=0) if order == 0 else 0)
    if not np.isnan(rows).all():
      sizes[name] = np.sqrt(weight * np.nanmean(rows**2))
  if not sizes:
    return
  small, large = min(sizes, key=sizes.get), max(sizes, key=sizes.get)
  if sizes[large] > _LARGEST_RATIO * sizes[small] > 0:
    warnings.warn(
      f"{large} is {sizes[large] / sizes[small]:.2g} times as large as "
      f"{small}, weights included, so that the loss hardly sees {small}; use "
      'scaling="standard" or other derivative_weights.',
      stacklevel=4,
    )


def check_sample_weight(arguments: dict) -> None:
  """Refuses sample weights that are labels, or one per label.

  Args:
    arguments: dict of what `fit` or `evaluate` was given, by name.

  Raises:
    ValueError: they are a sequence, or shaped as derivatives are, or a batch
      has more parts than `(x, y, sample_weight)`.
  """
  held_out = arguments.get("validation_data")
  _refuse_weights(arguments.get("sample_weight"), arguments.get("x"))
  if isinstance(held_out, (tuple, list)):
    _refuse_parts(held_out, "validation_data")
  for data in (arguments.get("x"), held_out):
    if isinstance(data, tf.data.Dataset):
      if isinstance(data.element_spec, tuple):
        _refuse_parts(data.element_spec, "the data set")


def check_counts(arguments: dict) -> None:
  """Refuses numbers of which Keras makes something else, or nothing.

  Args:
    arguments: dict of what `fit` or `evaluate` was given, by name.

  Raises:
    ValueError: one of epochs, steps and batch sizes is no count, or
      `validation_split` no share.
  """
  for name, least in _COUNTS.items():
    if arguments.get(name) is not None:
      check_whole(name, arguments[name], least)
  if arguments.get("validation_split"):
    check_real("validation_split", arguments["validation_split"], 0, below=1)


def _refuse_parts(parts, where):
  # Beside y alone, a third array with axes of its own is most likely dy.
  values_alone = len(parts) > 1 and hasattr(parts[1], "shape")
  if len(parts) > 3 or (
    len(parts) == 3 and _is_derivative(parts[2], even_one=values_alone)
  ):
    raise ValueError(
      f"{where} holds {len(parts)} arrays side by side, of which the third "
      "would be sample weights [N]; give all labels as one tuple: (x, (y, dy))."
    )
  is_array = hasattr(parts[0], "__array__")
  _refuse_weights((*parts, None, None)[2], parts[0] if is_array else None)


def _is_derivative(weight, even_one=False):
  """Whether an array has more than a number per example, or an axis for it."""
  shape = tf.TensorShape(getattr(weight, "shape", None))
  if shape.rank is None or shape.rank < 2:
    return False
  return even_one or shape[1:] != [1]


def _refuse_weights(weight, x):
  if isinstance(weight, (list, tuple, dict)):
    raise ValueError(
      "sample_weight must be one array [N] that weighs whole examples, but "
      f"it is a {type(weight).__name__}; weigh orders with derivative_weights."
    )
  if _is_derivative(weight):
    raise ValueError(
      "sample_weight must be one array [N] that weighs whole examples, but "
      f"it has shape {readable(weight.shape)}; give all labels as one tuple: "
      "y=(y, dy)."
    )
  if weight is not None and x is not None and not is_data_set(x):
    _refuse_numbers(np.asarray(weight), len(x))


def _refuse_numbers(weight, count):
  if weight.shape[:1] != (count,):
    raise ValueError(
      f"sample_weight must be one array [N] for the {count} examples of x, but "
      f"it has shape {readable(weight.shape)}."
    )
  if weight.dtype.kind not in "fiub" or not np.isfinite(weight).all():
    raise ValueError("sample_weight must hold finite numbers alone.")


def first_batch(x: typing.Any, only_shape: bool = False) -> tuple:
  """Looks at the first batch of a data set.

  Args:
    x: what `is_data_set` says yes to.
    only_shape: never read a `tf.data.Dataset`, however little it says of its
      shapes.

  Returns:
    `(batch, x)`: a batch, or for a `tf.data.Dataset` of known shapes their
    specifications; and x as it is to be read now, since a generator gives
    each batch once only.

  Raises:
    ValueError: there is no batch.
  """
  if isinstance(x, tf.data.Dataset):
    spec = first_of(x.element_spec)
    shape = tf.TensorShape(getattr(spec, "shape", None))
    known = shape.rank is not None and None not in shape.as_list()[1:]
    # Several inputs are refused without looking at them.
    if known or only_shape or isinstance(spec, (dict, tuple, list)):
      return x.element_spec, x
  if isinstance(x, keras.utils.PyDataset):
    return x[0], x
  if not hasattr(x, "__iter__"):
    raise ValueError(
      f"x must be an array, a data set or a generator, but it is a "
      f"{type(x).__name__}."
    )
  iterator = iter(x)
  try:
    batch = next(iterator)
  except StopIteration:
    raise ValueError("the data set holds no batch.") from None
  return batch, _put_back(batch, x) if iterator is x else x


def first_of(batch: typing.Any) -> typing.Any:
  """The x of a batch `(x, labels, ...)`, or of x alone."""
  return batch[0] if isinstance(batch, (list, tuple)) else batch


def _put_back(batch, rest):
  yield batch
  yield from rest


def hold_out(arguments: dict) -> dict:
  """Turns `validation_split` of `fit` into `validation_data`, as Keras would.

  Args:
    arguments: dict of what `fit` was given, by name; x and y are arrays.

  Returns:
    The same, with the last part of the examples moved.
  """
  split = arguments.get("validation_split", 0.0)
  if not split or arguments.get("validation_data") is not None:
    return arguments
  count = len(arguments["x"])
  end = int(math.floor(count * (1.0 - split)))
  if end in (0, count):
    return arguments  # Keras says that there are too few.
  data = [arguments[name] for name in ("x", "y")]
  if arguments.get("sample_weight") is not None:
    data.append(arguments["sample_weight"])
  kept = keras.tree.map_structure(lambda a: a[:end], data)
  held = keras.tree.map_structure(lambda a: a[end:], data)
  changed = dict(zip(("x", "y", "sample_weight"), kept, strict=False))
  return {
    **arguments,
    **changed,
    "validation_data": tuple(held),
    "validation_split": 0.0,
  }


def label_batches(
  x: typing.Any, labels: dict | None = None, steps: int | None = None
) -> typing.Iterator:
  """Iterates over `(x, labels)` without holding a second copy of all data.

  Args:
    x: array `[N, *in]`, or a data set that can be read twice and yields
      `(x, labels)` or `(x, labels, sample_weight)`.
    labels: of `match_arrays`, where x is an array.
    steps: how many batches to read; needed for an endless data set.

  Yields:
    `(x, labels)`.

  Raises:
    ValueError: the data set is endless, or its kind cannot be read twice.
  """
  if isinstance(x, tf.data.Dataset):
    endless = x.cardinality() == tf.data.INFINITE_CARDINALITY
    if endless and steps is None:
      raise ValueError(
        "the data set is endless, so the scaling cannot be fitted to all of "
        "it; give steps (in fit: steps_per_epoch)."
      )
    batches = x if steps is None else x.take(steps)
    yield from (_labelled(batch) for batch in batches)
  elif isinstance(x, keras.utils.PyDataset):
    yield from (_labelled(x[i]) for i in range(steps or len(x)))
  elif hasattr(x, "shape"):
    for start in range(0, x.shape[0], _ROWS_AT_ONCE):
      rows = slice(start, start + _ROWS_AT_ONCE)
      yield x[rows], keras.tree.map_structure(lambda a, r=rows: a[r], labels)
  elif hasattr(x, "__iter__") and iter(x) is not x:
    yield from (_labelled(batch) for batch in itertools.islice(x, steps))
  else:
    raise ValueError(
      f"the scaling cannot be fitted to a {type(x).__name__}, which can be "
      "read only once; call adapt with arrays or a tf.data.Dataset before fit."
    )


def _labelled(batch):
  if not isinstance(batch, (list, tuple)) or len(batch) < 2:
    raise ValueError("the data set holds no labels; give batches (x, (y, dy)).")
  return batch[:2]
