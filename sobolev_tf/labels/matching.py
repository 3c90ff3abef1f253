"""Labels as users hold them: `y`, `(y, dy)`, `{"y": y, "d2y": d2y}`, ...

Everything after this module sees a dict of arrays or tensors by `label_name`,
in the shapes that `derivatives` returns.
"""

import re
import typing

import numpy as np
import tensorflow as tf

from sobolev_tf.labels.directional import match_directional
from sobolev_tf.labels.kinds import KINDS

_SPARSE = (tf.SparseTensor, tf.SparseTensorSpec, tf.IndexedSlices)


def label_name(order: int) -> str:
  """How users and messages call the labels of one order: y, dy, d2y, ..."""
  return {0: "y", 1: "dy"}.get(order, f"d{order}y")


def orders_of(labels: typing.Iterable[str]) -> set:
  """The orders among the names of labels, as a set of integers."""
  numbers = {"y": 0, "dy": 1}
  return {
    numbers[name] if name in numbers else int(name[1:-1])
    for name in labels
    if re.fullmatch(r"y|dy|d\d+y", name)
  }


def as_dict(labels: typing.Any, max_order: int) -> dict:
  """Names labels: `y`, `(y, dy, ...)` or a dict becomes a dict.

  Args:
    labels: an array, a tuple or list with one per order, or a dict with any of
      them and of `KINDS`; None in it means that there are none.
    max_order: the model's order.

  Raises:
    ValueError: there are none, too many, or some with another name.
  """
  names = [label_name(order) for order in range(max_order + 1)]
  if isinstance(labels, (list, tuple)) and not hasattr(labels, "shape"):
    if len(labels) > max_order + 1:
      raise ValueError(
        f"y holds {len(labels)} arrays, but a model of order {max_order} takes "
        f"{max_order + 1}: the value and one per derivative order."
      )
    labels = dict(zip(names, labels, strict=False))
  elif not isinstance(labels, dict):
    labels = {"y": labels}
  labels = {name: labels[name] for name in labels if labels[name] is not None}
  if not labels:
    raise ValueError(
      f"labels are missing; give y, or a tuple ({', '.join(names)})."
    )
  names += KINDS
  for name in labels:
    if name not in names:
      raise ValueError(
        f"labels hold {name!r}, but a model of order {max_order} takes "
        f"{', '.join(map(repr, names))}."
      )
  return {name: labels[name] for name in names if name in labels}


def match_labels(
  labels: typing.Any,
  value_shape: typing.Sequence,
  input_shape: typing.Sequence,
  dtype: tf.DType,
  max_order: int,
) -> dict:
  """Brings labels into the shapes of the model's values and derivatives.

  For a single output the output axis may be missing, or may be there although
  the network has none; a derivative of one number w.r.t. one may be `[B]`.
  Anything else must match exactly: `[B]` against `[B, 1]` would otherwise
  broadcast to all pairs.

  Args:
    labels: as in `as_dict`.
    value_shape: `[B, *out]`, the shape of the model's values.
    input_shape: `[B, *in]`.
    dtype: floating dtype of labels that are neither float32 nor float64; these
      keep their own, so that an offset can be subtracted before they are
      rounded.
    max_order: the model's order; more derivatives than this are refused.

  Returns:
    Dict of tensors by `label_name`: y `[B, *out]`, dy `[B, *out, *in]`, ...;
    of `KINDS` the tuples of `match_directional`.

  Raises:
    ValueError: there are too many labels, or one has the wrong shape.
    tf.errors.InvalidArgumentError: as ValueError, where a shape becomes known
      only as the graph runs.
  """
  matched = as_dict(labels, max_order)
  for order in orders_of(matched):
    name = label_name(order)
    shapes = accepted_shapes(order, value_shape, input_shape)
    label = tf.convert_to_tensor(matched[name])
    if label.dtype not in (tf.float32, tf.float64):
      label = tf.cast(label, dtype)
    matched[name] = _match_tensor(label, shapes, name)
  for name in KINDS:
    if name in matched:
      matched[name] = match_directional(
        name, matched[name], value_shape, input_shape, dtype, max_order
      )
  return matched


def match_arrays(
  labels: typing.Any,
  value_shape: typing.Sequence,
  input_shape: typing.Sequence,
  max_order: int,
) -> dict:
  """As `match_labels`, of whole arrays, which keep their dtype.

  Masked elements of a NumPy array become NaN, "unknown".

  Args:
    labels: as in `as_dict`.
    value_shape: `[N, *out]`.
    input_shape: `[N, *in]`.
    max_order: the model's order.

  Raises:
    ValueError: there are too many labels, or one is no array of real numbers
      or has the wrong shape.
  """
  matched = {}
  for name, label in as_dict(labels, max_order).items():
    if name in KINDS:
      matched[name] = _as_real_parts(label, name)
      continue
    label = as_real_array(label, name)
    (order,) = orders_of([name])
    shapes = accepted_shapes(order, value_shape, input_shape)
    if not _fits(label.shape, shapes):
      raise ValueError(_misfit(name, shapes, label.shape))
    wanted = [-1 if dim is None else dim for dim in shapes[0].as_list()]
    wanted[0] = label.shape[0]
    reshape = tf.reshape if tf.is_tensor(label) else np.reshape
    matched[name] = reshape(label, wanted)
  return matched


def _as_real_parts(label, name):
  """A label along directions, of arrays; `match_directional` does the rest."""
  if not isinstance(label, (list, tuple)):
    raise ValueError(
      f"{name} must be a tuple {KINDS[name].formula}, but it is a "
      f"{type(label).__name__}."
    )
  return tuple(as_real_array(part, name) for part in label)


def as_real_array(values: typing.Any, name: str) -> typing.Any:
  """A NumPy array or a tensor of real numbers; masked elements become NaN.

  Raises:
    ValueError: it is no array, sparse, ragged, or not of real numbers.
  """
  refuse_odd_array(values, name)
  if isinstance(values, np.ma.MaskedArray):
    if not np.ma.is_masked(values):
      return values.data
    floating = values.dtype if values.dtype.kind == "f" else np.float64
    return values.astype(floating).filled(np.nan)
  return values if tf.is_tensor(values) else np.asarray(values)


def refuse_odd_array(values: typing.Any, name: str) -> None:
  """Refuses what is no dense array of real numbers.

  Args:
    values: what the user gave.
    name: how the message calls it.

  Raises:
    ValueError: it is no array, sparse, ragged, or not of real numbers.
  """
  if isinstance(values, _SPARSE) or hasattr(values, "tocsr"):
    raise ValueError(
      f"{name} is sparse, but derivatives need a dense array; convert it with "
      "tf.sparse.to_dense(...) or .toarray()."
    )
  if isinstance(values, (tf.RaggedTensor, tf.RaggedTensorSpec)):
    raise ValueError(
      f"{name} is ragged, but derivatives need a dense array; convert it with "
      ".to_tensor()."
    )
  if not hasattr(values, "shape"):
    raise ValueError(
      f"{name} must be an array, but it is a {type(values).__name__}; convert "
      "it with np.asarray(...)."
    )
  # What has no dtype of its own (a table of columns) is judged as an array.
  dtype = getattr(values, "dtype", None)
  if dtype is None:
    dtype = np.asarray(values).dtype
  kind = tf.as_dtype(dtype) if isinstance(dtype, tf.DType) else np.dtype(dtype)
  kind = np.dtype(getattr(kind, "as_numpy_dtype", kind))
  if kind.kind not in "fiub":
    raise ValueError(
      f"{name} must hold real numbers, but its dtype is {dtype}; convert it to "
      "float32 or float64."
    )


def accepted_shapes(
  order: int, value_shape: typing.Sequence, input_shape: typing.Sequence
) -> list:
  """The shapes that labels of one order may have; the first is the full one."""
  value_shape = tf.TensorShape(value_shape)
  batch, outputs = value_shape[:1], value_shape[1:]
  rest = tf.TensorShape(list(tf.TensorShape(input_shape)[1:]) * order)
  shapes = [batch.concatenate(outputs).concatenate(rest)]
  if outputs.as_list() == [1]:
    shapes.append(batch.concatenate(rest))
  elif outputs.rank == 0:
    shapes.append(batch.concatenate([1]).concatenate(rest))
  if shapes[0].rank > 2 and set(shapes[0].as_list()[1:]) == {1}:
    shapes.append(batch)
  return shapes


def known_rows(
  y: tf.Tensor, y_pred: tf.Tensor, sample_weight: tf.Tensor | None
) -> tuple:
  """Leaves out the examples of which a component of y is NaN.

  Args:
    y: `[B, *out]`.
    y_pred: `[B, *out]`.
    sample_weight: None, or `[B, ...]`.

  Returns:
    The three, of the examples that are left.
  """
  if not y.dtype.is_floating:
    return y, y_pred, sample_weight
  unknown = tf.math.is_nan(y)
  known = ~tf.reduce_any(unknown, axis=list(range(1, unknown.shape.rank)))
  if sample_weight is not None:
    sample_weight = tf.boolean_mask(sample_weight, known)
  y, y_pred = tf.boolean_mask(y, known), tf.boolean_mask(y_pred, known)
  return y, y_pred, sample_weight


def readable(shape: typing.Sequence) -> str:
  """A shape as messages write it: `[B, 3]`."""
  shape = tf.TensorShape(shape)
  if shape.rank is None:
    return "unknown"
  dims = ["B" if dim is None else str(dim) for dim in shape.as_list()]
  return f"[{', '.join(dims)}]"


def _match_tensor(label, shapes, name):
  if label.shape.rank is None:
    label = _checked_late(label, shapes, name)
    size = tf.shape(label)[:1]
  elif not _fits(label.shape, shapes):
    raise ValueError(_misfit(name, shapes, label.shape))
  else:
    fits = [label.shape.is_compatible_with(shape) for shape in shapes]
    # The rest of a shape that is known in part only.
    label = tf.ensure_shape(label, shapes[fits.index(True)])
    if fits[0]:
      return label
    size = tf.shape(label)[:1]
  if shapes[0][1:].is_fully_defined():
    label = tf.reshape(label, tf.concat([size, shapes[0][1:]], axis=0))
  elif label.shape.rank is not None:
    change = tf.expand_dims if shapes[0].rank > label.shape.rank else tf.squeeze
    label = change(label, axis=1)
  return tf.ensure_shape(label, shapes[0])


def _checked_late(label, shapes, name):
  """Checks a label of unknown rank when the graph runs."""
  found = tf.shape(label)
  wanted = [shape.as_list()[1:] for shape in shapes]
  fits = [
    tf.logical_and(
      tf.equal(tf.size(found), len(dims) + 1), _equal_dims(found, dims)
    )
    for dims in wanted
  ]
  check = tf.debugging.Assert(
    tf.reduce_any(fits), [_misfit(name, shapes, None), found]
  )
  with tf.control_dependencies([check] if check is not None else []):
    return tf.identity(label)


def _equal_dims(found, dims):
  """Whether a dynamic shape is `[B, *dims]`; None fits any size."""
  padded = tf.concat([found, tf.fill([len(dims) + 1], -1)], axis=0)
  known = [(i, dim) for i, dim in enumerate(dims, start=1) if dim is not None]
  return tf.reduce_all([tf.equal(padded[i], dim) for i, dim in known] or [True])


def _fits(shape, shapes):
  shape = tf.TensorShape(shape)
  return any(shape.is_compatible_with(wanted) for wanted in shapes)


def _misfit(name, shapes, found):
  wanted = " or ".join(readable(shape) for shape in shapes)
  if found is None:
    return f"{name} must have shape {wanted}, but it has shape"
  return f"{name} must have shape {wanted}, but it has shape {readable(found)}."
