"""Writes any network as a SavedModel that knows its derivatives.

Signatures, all in the user's units, for any batch size B:

    serving_default        x [B, *in] -> y [B, *out]
    value_and_derivatives  x -> y, dy [B, *out, *in], and so on to the order
    jvp                    x, u [B, *in] -> y, jvp [B, *out]
    hvp                    x, u -> y, hvp [B, *out, *in], the Hessian times u

After `tf.saved_model.load(PATH)` its functions `value`, `jvp`, `hvp` and
`value_and_derivatives` can be differentiated again, w.r.t. `parameters` too.
None of it needs this package. PATH/card.json says what the network is and what
it was trained on, with the sha256 of every file.
"""

import datetime
import hashlib
import json
import os
import typing

import keras
import tensorflow as tf

from sobolev_tf.derivatives.nested_tapes import derivatives
from sobolev_tf.derivatives.products import hessian_times_direction
from sobolev_tf.derivatives.taylor import jet
from sobolev_tf.export.folders import new_folder
from sobolev_tf.model import SobolevModel
from sobolev_tf.synthetic_gradients import (
  DecoupledModel,
  DecoupledNetwork,
  parts,
)

CARD = "card.json"
# What a reader of a card looks for and only the network's maker knows.
_FROM_ITS_MAKER = (
  "data",
  "settings",
  "results",
  "intended_use",
  "limits",
  "licence",
)


class ExportedModel(tf.Module):
  """A network with its derivatives, traced for any batch size.

  Attributes:
    parameters: list of its variables; a reloaded module has no other list.
  """

  def __init__(
    self,
    f: typing.Callable,
    variables: typing.Sequence,
    x: tf.TensorSpec,
    order: int = 1,
  ):
    """Traces the functions.

    Args:
      f: maps `[B, *in]` to `[B, *out]`, in the user's units.
      variables: all that f reads.
      x: specification of `[None, *in]`.
      order: up to which `value_and_derivatives` goes.
    """
    super().__init__(name="model")
    self.parameters = [_tensorflow_variable(v) for v in variables]
    x = tf.TensorSpec(x.shape, x.dtype, "x")
    u = tf.TensorSpec(x.shape, x.dtype, "u")
    names = ["y", "dy", *(f"d{j}y" for j in range(2, order + 1))]

    def value_and_derivatives(x):
      return dict(zip(names, derivatives(f, x, order), strict=True))

    def jvp(x, u):
      return dict(zip(("y", "jvp"), jet(f, x, u, 1), strict=True))

    def hvp(x, u):
      value, product = hessian_times_direction(f, x, u)
      return {"y": value, "hvp": product}

    self.value = tf.function(f, input_signature=[x])
    self.serve = tf.function(lambda x: {"y": f(x)}, input_signature=[x])
    self.value_and_derivatives = tf.function(
      value_and_derivatives, input_signature=[x]
    )
    self.jvp = tf.function(jvp, input_signature=[x, u])
    self.hvp = tf.function(hvp, input_signature=[x, u])

  @property
  def signatures(self) -> dict:
    """Functions by the names that a server knows them by."""
    return {
      "serving_default": self.serve.get_concrete_function(),
      "value_and_derivatives": (
        self.value_and_derivatives.get_concrete_function()
      ),
      "jvp": self.jvp.get_concrete_function(),
      "hvp": self.hvp.get_concrete_function(),
    }


def export(
  model: typing.Any,
  path: str | os.PathLike,
  *,
  order: int | None = None,
  input_shape: typing.Sequence | None = None,
  dtype: typing.Any = None,
  card: dict | None = None,
) -> None:
  """Writes a trained network and its derivatives; all of it or nothing.

  Args:
    model: a `SobolevModel`, another Keras model, a Sonnet module, a
      `DecoupledNetwork` or a `DecoupledModel`, called at least once. It is
      exported at inference, a decoupled network without its estimators.
    path: folder to be made.
    order: up to which derivative `value_and_derivatives` goes; None means that
      of a `SobolevModel`, else 1.
    input_shape: `[*in]`, or `[None, *in]`; needed where the model does not know
      it (Sonnet).
    dtype: of x; None means that of the first variable, or float64 where a
      `SobolevModel` was trained on numbers that float32 would blur.
    card: what only you can say: data, settings, results, intended_use, limits,
      licence, and whatever else JSON can hold.

  Raises:
    ValueError: the shape of x is unknown, the model has no variables yet, the
      card is no JSON, or the folder holds something already or cannot be
      written.
  """
  if isinstance(model, DecoupledModel):
    model = model.network
  variables = _variables(model)
  x = _specification(model, variables, input_shape, dtype)
  order = getattr(model, "order", 1) if order is None else order
  exported = ExportedModel(_at_inference(model), variables, x, order)
  with new_folder(path) as folder:
    signatures = exported.signatures
    tf.saved_model.save(exported, folder, signatures=signatures)
    written = _card(model, exported, x, signatures, card or {})
    written["sha256"] = _digests(folder)
    with open(os.path.join(folder, CARD), "w", encoding="utf-8") as file:
      file.write(_as_json(written))


def _at_inference(model):
  if isinstance(model, keras.layers.Layer):
    return lambda x: model(x, training=False)
  return model


def _variables(model):
  if isinstance(model, DecoupledNetwork):
    variables = [v for s in model.segments for v in parts.variables(s)]
  else:
    variables = parts.variables(model)
  if not variables:
    raise ValueError(
      "model has no variables yet; call it once, or train it, before export."
    )
  return variables


def _tensorflow_variable(variable):
  """A Keras variable's TensorFlow variable; others are one."""
  return variable.value if isinstance(variable, keras.Variable) else variable


def _specification(model, variables, input_shape, dtype):
  """`[None, *in]` and the dtype of x."""
  if isinstance(model, SobolevModel):
    scaling = model.scaling
    if scaling.needs_double_inputs or scaling.needs_double_values:
      dtype = dtype or "float64"
    return tf.TensorSpec(scaling.input_shape, dtype or model.compute_dtype)
  dtypes = [tf.as_dtype(variable.dtype) for variable in variables]
  dtype = dtype or next(dtype for dtype in dtypes if dtype.is_floating)
  if input_shape is None:
    input_shape = getattr(model, "input_shape", None)
  if not isinstance(input_shape, (tuple, list)):
    raise ValueError(
      "the model does not know the shape of its x; give export "
      "input_shape=[*in]."
    )
  if len(input_shape) and input_shape[0] is None:
    input_shape = input_shape[1:]
  return tf.TensorSpec([None, *input_shape], dtype)


def _card(model, exported, x, signatures, given):
  """What the network is, beside what its maker says of it."""
  sizes = [v.shape.num_elements() for v in exported.parameters]
  scaling = getattr(model, "scaling", None)
  network = getattr(model, "network", model)
  told = {name: given.get(name, "not stated") for name in _FROM_ITS_MAKER}
  return {
    **given,
    **told,
    "model": type(model).__name__,
    "network": getattr(network, "name", type(network).__name__),
    "scaling": getattr(scaling, "kind", None),
    "x": {"shape": x.shape.as_list(), "dtype": x.dtype.name},
    "signatures": {
      name: sorted(function.structured_outputs)
      for name, function in signatures.items()
    },
    "numbers_in_variables": sum(sizes),
    "tensorflow": tf.__version__,
    "exported": datetime.datetime.now(datetime.UTC).isoformat("T", "seconds"),
  }


def _as_json(card):
  try:
    return json.dumps(card, indent=2, ensure_ascii=False) + "\n"
  except TypeError as error:
    raise ValueError(
      f"card must hold what JSON can hold, but {error}; convert it."
    ) from error


def _digests(folder):
  """The sha256 of every file in a folder, by its path within."""
  digests = {}
  for root, _, names in os.walk(folder):
    for name in names:
      path = os.path.join(root, name)
      with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
      digests[os.path.relpath(path, folder)] = digest
  return dict(sorted(digests.items()))
