"""Training on data in memory, with many updates per compiled call."""

import math
import typing

import keras
import numpy as np

from sobolev_tf.derivatives.arguments import check_real, check_whole
from sobolev_tf.labels import incoming
from sobolev_tf.training import keras_internals, minimisers
from sobolev_tf.training.resident_loss import ResidentLoss

_METHODS = {
  "adam": (minimisers.Adam, 5000),
  "lbfgs": (minimisers.LBFGS, 1000),
  "levenberg_marquardt": (minimisers.LevenbergMarquardt, 200),
}


def fit_full_batch(
  model: keras.Model,
  x: typing.Any,
  y: typing.Any,
  *,
  method: str = "adam",
  updates: int | None = None,
  updates_per_epoch: int = 100,
  batch_size: int | None = None,
  l2: float = 0.0,
  sample_weight: typing.Any = None,
  validation_split: float = 0.0,
  validation_data: tuple | None = None,
  callbacks: typing.Any = None,
  verbose: int = 0,
  jit_compile: bool | None = None,
) -> keras.callbacks.History:
  """See `SobolevModel.fit_full_batch`."""
  model.require_compile("fit_full_batch")
  _check(model, method, updates, updates_per_epoch, batch_size, l2)
  check_real("validation_split", validation_split, least=0, below=1)
  _check_data(x, y, sample_weight, validation_data)
  x, y = _as_arrays(*model.receive(x, y))
  if validation_split and validation_data is None:
    kept = int(math.floor(len(x) * (1.0 - validation_split)))
    validation_data = (x[kept:], keras.tree.map_structure(_rows_from(kept), y))
    x, y = x[:kept], keras.tree.map_structure(lambda a: a[:kept], y)
    sample_weight = None if sample_weight is None else sample_weight[:kept]
  model.prepare(x, y)

  kind, usual = _METHODS[method]
  updates = usual if updates is None else updates
  minimiser = kind(
    model,
    x,
    y,
    sample_weight=sample_weight,
    l2=l2,
    batch_size=batch_size,
    updates=updates,
    updates_per_epoch=updates_per_epoch,
    jit_compile=jit_compile,
  )
  held_out = None
  if validation_data is not None:
    held_out = ResidentLoss(
      model, *_as_arrays(*model.receive(*validation_data))
    )
  epochs = math.ceil(updates / updates_per_epoch)
  callbacks = keras.callbacks.CallbackList(
    callbacks,
    add_history=True,
    add_progbar=verbose != 0,
    model=model,
    epochs=epochs,
    steps=min(updates, updates_per_epoch),
    verbose=verbose,
  )
  _run(model, minimiser, held_out, callbacks, epochs)
  return model.history


def _run(model, minimiser, held_out, callbacks, epochs):
  """The loop over epochs, as Keras' own."""
  model.stop_training = False
  keras_internals.begin_at_no_epoch(model)
  callbacks.on_train_begin()
  first, logs = keras_internals.first_epoch(model), {}
  minimiser.begin(first)
  for epoch in range(first, epochs):
    callbacks.on_epoch_begin(epoch)
    going_on = minimiser.advance()
    logs = _numbers(minimiser.logs())
    model.warn_of_conflict()
    if held_out is not None:
      measured = _numbers(held_out.measure())
      logs.update({f"val_{name}": measured[name] for name in measured})
    if minimiser.failure:
      break
    callbacks.on_epoch_end(epoch, logs)
    if model.stop_training or not going_on:
      break
  callbacks.on_train_end(logs)
  if minimiser.failure:
    raise FloatingPointError(minimiser.failure)


def _check(model, method, updates, updates_per_epoch, batch_size, l2):
  """Refuses arguments that contradict each other, in one sentence."""
  if method not in _METHODS:
    raise ValueError(
      f"method must be one of {', '.join(map(repr, _METHODS))}, but it is "
      f"{method!r}."
    )
  for name, number in (
    ("updates", updates),
    ("updates_per_epoch", updates_per_epoch),
    ("batch_size", batch_size),
  ):
    if number is not None:
      check_whole(name, number, 1)
  if batch_size is not None and method != "adam":
    raise ValueError(
      f"method={method!r} needs all examples at every update; leave "
      'batch_size out, or take method="adam".'
    )
  if model.balance and method != "adam":
    raise ValueError(
      f"derivative_weights={model.balance.method!r} changes with every "
      f'update, which method={method!r} cannot follow; take method="adam", or '
      "compile with numbers."
    )
  check_real("l2", l2, least=0, most=1e30)
  replicas = model.distribute_strategy.num_replicas_in_sync
  if replicas > 1:
    raise ValueError(
      f"fit_full_batch trains on one device, but the model is of a strategy "
      f"with {replicas} replicas; use fit."
    )
  if model.objective.active_order:
    model.refuse_coupled_examples()


def _check_data(x, y, sample_weight, validation_data):
  """Refuses what is no set of arrays, in one sentence."""
  if incoming.is_data_set(x):
    raise ValueError(
      f"fit_full_batch needs all examples in memory, but x is a "
      f"{type(x).__name__}; give arrays x and y, or use fit."
    )
  if y is None:
    raise ValueError("labels are missing; give y, or a tuple (y, dy).")
  if validation_data is not None and not _is_pair(validation_data):
    raise ValueError(
      "validation_data must be a pair (x, y), all of whose examples weigh "
      f"alike, but it is a {type(validation_data).__name__}"
      f"{_count_of(validation_data)}."
    )
  incoming.check_sample_weight({"x": x, "sample_weight": sample_weight})


def _is_pair(data):
  return isinstance(data, list | tuple) and len(data) == 2


def _count_of(data):
  return f" of {len(data)}" if isinstance(data, list | tuple) else ""


def _as_arrays(x, y):
  x = np.asarray(x)
  y = keras.tree.map_structure(np.asarray, y)
  sizes = [len(x), *(len(label) for label in keras.tree.flatten(y))]
  if len(set(sizes)) > 1 or not sizes[0]:
    raise ValueError(
      f"x and its labels must have one number of examples, at least 1, but "
      f"they have {', '.join(map(str, sizes))}."
    )
  return x, y


def _rows_from(start):
  return lambda array: array[start:]


def _numbers(logs):
  return {name: float(value) for name, value in logs.items()}
