"""Labels as users hold them: `y`, `(y, dy)`, `(y, dy, d2y)`, in batches."""

import keras
import tensorflow as tf

_ROWS_AT_ONCE = 8192


def label_name(order):
  """How messages call the labels of one order: y, dy, d2y, ..."""
  return {0: "y", 1: "dy"}.get(order, f"d{order}y")


def orders_of(labels):
  """The orders that a dict of labels holds, as a set of integers."""
  names = {label_name(j): j for j in range(len(labels) + 1)}
  return {names[name] for name in labels if name in names}


def match_labels(labels, value_shape, input_shape, dtype, max_order):
  """Brings labels into the shapes of the model's values and derivatives.

  For a single output the output axis may be missing, or may be there although
  the network has none. Anything else must match exactly: `[B]` against
  `[B, 1]` would otherwise broadcast to all pairs.

  Args:
    labels: `y`, or a tuple or list `(y, dy, d2y, ...)`.
    value_shape: `[B, *out]`, the shape of the model's values.
    input_shape: `[B, *in]`.
    dtype: floating dtype of labels that are neither float32 nor float64; these
      keep their own, so that an offset can be subtracted before they are
      rounded.
    max_order: the model's order; more derivatives than this are refused.

  Returns:
    Dict of tensors by `label_name`: y `[B, *out]`, dy `[B, *out, *in]`, ...

  Raises:
    ValueError: there are too many labels, or one has the wrong shape.
  """
  if not isinstance(labels, (list, tuple)):
    labels = (labels,)
  if len(labels) > max_order + 1:
    raise ValueError(
      f"y holds {len(labels)} arrays, but a model of order {max_order} takes "
      f"{max_order + 1}: the value and one per derivative order."
    )
  value_shape = tf.TensorShape(value_shape)
  inputs = tf.TensorShape(input_shape)[1:]
  batch, outputs = value_shape[:1], value_shape[1:]
  matched = {}
  for order, label in enumerate(labels):
    label = tf.convert_to_tensor(label)
    if label.dtype not in (tf.float32, tf.float64):
      label = tf.cast(label, dtype)
    rest = tf.TensorShape(list(inputs) * order)
    wanted = batch.concatenate(outputs).concatenate(rest)
    accepted = [wanted]
    if outputs.as_list() == [1]:
      accepted.append(batch.concatenate(rest))
    elif outputs.rank == 0:
      accepted.append(batch.concatenate([1]).concatenate(rest))
    fits = [label.shape.is_compatible_with(shape) for shape in accepted]
    if label.shape.rank is None or not any(fits):
      raise ValueError(
        f"{label_name(order)} must have shape "
        f"{' or '.join(_readable(shape) for shape in accepted)}, but it has "
        f"shape {_readable(label.shape)}."
      )
    # The rest of a shape that is known in part only.
    label = tf.ensure_shape(label, accepted[fits.index(True)])
    if not fits[0]:
      change = tf.expand_dims if outputs.rank else tf.squeeze
      label = change(label, axis=1)
    matched[label_name(order)] = label
  return matched


def check_sample_weight(arguments):
  """Refuses one weight per label; a weight is of a whole example.

  Args:
    arguments: dict of what `fit` or `evaluate` was given, by name.

  Raises:
    ValueError: the weights are a sequence.
  """
  held_out = arguments.get("validation_data")
  weights = [arguments.get("sample_weight")]
  if isinstance(held_out, tuple):
    weights.append((*held_out, None, None)[2])
  for data in (arguments.get("x"), held_out):
    if isinstance(data, tf.data.Dataset):
      spec = data.element_spec
      weights.append(
        (*spec, None, None)[2] if isinstance(spec, tuple) else None
      )
  if any(isinstance(weight, (list, tuple)) for weight in weights):
    raise ValueError(
      "sample_weight must be one array [N] that weighs whole examples, but "
      "it is a sequence; weigh orders with derivative_weights."
    )


def known_rows(y, y_pred, sample_weight):
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


def input_shape_of(x):
  """The shape `[None, *in]` of what `fit` was given as x, or None.

  Args:
    x: an array, a `tf.data.Dataset`, a `keras.utils.PyDataset`, or anything
      else that `fit` takes, of which the shape is not known beforehand.
  """
  if isinstance(x, tf.data.Dataset):
    x = _first(x.element_spec)
  elif isinstance(x, keras.utils.PyDataset):
    x = _first(x[0])
  shape = getattr(x, "shape", None)
  if shape is None or tf.TensorShape(shape).rank in (None, 0):
    return None
  return (None, *tf.TensorShape(shape).as_list()[1:])


def label_batches(x, y=None, steps=None):
  """Iterates over `(x, labels)` without holding a second copy of all data.

  Args:
    x: array `[N, *in]`, a `tf.data.Dataset` or a `keras.utils.PyDataset`; the
      last two yield `(x, labels)` or `(x, labels, sample_weight)`.
    y: labels where x is an array.
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
    yield from (batch[:2] for batch in (x if steps is None else x.take(steps)))
  elif isinstance(x, keras.utils.PyDataset):
    yield from (x[i][:2] for i in range(steps or len(x)))
  elif hasattr(x, "shape"):
    for start in range(0, x.shape[0], _ROWS_AT_ONCE):
      rows = slice(start, start + _ROWS_AT_ONCE)
      labels = y if isinstance(y, (list, tuple)) else (y,)
      yield x[rows], tuple(label[rows] for label in labels)
  else:
    raise ValueError(
      f"the scaling cannot be fitted to a {type(x).__name__}, which can be "
      "read only once; call adapt with arrays or a tf.data.Dataset before fit."
    )


def _first(structure):
  return structure[0] if isinstance(structure, (list, tuple)) else structure


def _readable(shape):
  if shape.rank is None:
    return "unknown"
  dims = ["B" if dim is None else str(dim) for dim in shape.as_list()]
  return f"[{', '.join(dims)}]"
