"""Brings labels along directions, see `kinds.py`, into one form."""

import typing

import tensorflow as tf

from sobolev_tf.labels.kinds import KINDS


def match_directional(
  name: str,
  label: typing.Sequence,
  value_shape: typing.Sequence,
  input_shape: typing.Sequence,
  dtype: tf.DType,
  max_order: int,
) -> tuple:
  """Brings a label along directions into the shapes `[B, P, ...]`.

  An axis P of several directions per example may be missing, in all parts
  together; so may the output axis of a single output.

  Args:
    name: one of `KINDS`.
    label: `(u, J u)` for "jvp", and so on, in the user's units.
    value_shape: `[B, *out]`.
    input_shape: `[B, *in]`.
    dtype: floating dtype of the result.
    max_order: the model's order.

  Returns:
    Tuple of tensors `[B, P, *in]` or `[B, P, *out]`, see `Kind.sides`.

  Raises:
    ValueError: the parts are too few or do not fit, or the model's order is
      too low.
  """
  kind = KINDS[name]
  if not isinstance(label, (list, tuple)) or len(label) != len(kind.sides):
    raise ValueError(
      f"{name} must be a tuple {kind.formula} of {len(kind.sides)} arrays, but "
      f"it is a {type(label).__name__}"
      f"{f' of {len(label)}' if hasattr(label, '__len__') else ''}."
    )
  if kind.order > max_order:
    raise ValueError(
      f"{name} is a derivative of order {kind.order}, but the model is of "
      f"order {max_order}; give SobolevModel order={kind.order}."
    )
  outputs = tf.TensorShape(value_shape)[1:]
  if name == "hvp" and outputs.num_elements() != 1:
    raise ValueError(
      f"hvp needs a single output, but one y has shape {outputs}; give "
      '"vhvp": (v, u, v^T H u) instead.'
    )
  shapes = {"in": tf.TensorShape(input_shape)[1:], "out": outputs}
  batch = tf.TensorShape(value_shape)[:1]
  parts = [tf.cast(tf.convert_to_tensor(part), dtype) for part in label]
  wanted = [shapes[side] for side in kind.sides]
  stacked = _is_stacked(
    parts[0], kind.sides[0], wanted[0], parts[-1], wanted[-1]
  )
  return tuple(
    _match_part(f"{name}[{i}]", part, batch, shape, stacked)
    for i, (part, shape) in enumerate(zip(parts, wanted, strict=True))
  )


def _is_stacked(first, side, wanted, last, last_wanted):
  """Whether the parts have an axis of directions.

  The part shaped as x decides: the output axis of the other may be missing.
  """
  if side == "in":
    return first.shape.rank == wanted.rank + 2
  return last.shape.rank == last_wanted.rank + 2


def _match_part(name, part, batch, shape, stacked):
  lead = batch
  if stacked:
    count = part.shape[1] if part.shape.rank and part.shape.rank > 1 else None
    lead = batch.concatenate([count])
  accepted = [lead.concatenate(shape)]
  if shape.as_list() == [1]:
    accepted.append(lead)
  elif shape.rank == 0:
    accepted.append(lead.concatenate([1]))
  fits = [part.shape.is_compatible_with(s) for s in accepted]
  if part.shape.rank is None or not any(fits):
    raise ValueError(
      f"{name} must have shape {' or '.join(map(str, accepted))}, with or "
      "without an axis of directions after the first, but it has shape "
      f"{part.shape}."
    )
  part = tf.ensure_shape(part, accepted[fits.index(True)])
  if not fits[0]:
    last = len(lead)
    part = tf.expand_dims(part, last) if shape.rank else tf.squeeze(part, last)
  return part if stacked else tf.expand_dims(part, 1)
