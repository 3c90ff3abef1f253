"""A Keras model around one network, which may be a Sonnet module."""

import typing

import keras
import tensorflow as tf

from sobolev_tf.training.keras_internals import (
  flatten_layers,
  is_saving_as_hdf5,
)
from sobolev_tf.training.network_checks import kept

_PRECISIONS = ("float32", "float64")
_NOT_AS_HDF5 = (
  "a model with derivative losses cannot be saved as .h5; use "
  'save("x.keras"), or save_weights("x.weights.h5").'
)


class ModelOfModules(keras.Model):
  """Shows Keras the variables of Sonnet modules.

  Keras tracks Keras variables alone. A Sonnet module stays the one owner of
  its variables; this class shows them to the optimizer, to `get_weights`, to
  `save_weights` and to `tf.train.Checkpoint`, after the model's own weights.
  """

  def _sonnet_variables(self):
    """All variables of the model that Keras does not find."""
    raise NotImplementedError

  @property
  def variables(self) -> list:
    """As in Keras, with a Sonnet network's variables at the end."""
    return super().variables + self._sonnet_variables()

  @property
  def weights(self) -> list:
    """As in Keras, with a Sonnet network's variables at the end."""
    return super().weights + self._sonnet_variables()

  def save_own_variables(self, store: typing.Any) -> None:
    """As in Keras, for `save_weights`."""
    for i, variable in enumerate(self._sonnet_variables()):
      store[str(i)] = variable.numpy()

  def load_own_variables(self, store: typing.Any) -> None:
    """As in Keras, for `load_weights`."""
    variables = self._sonnet_variables()
    if len(store.keys()) != len(variables):
      raise ValueError(
        f"the file holds {len(store.keys())} variables of a Sonnet network, "
        f"but this network has {len(variables)}."
      )
    for i, variable in enumerate(variables):
      variable.assign(store[str(i)])


class OwnLoss:
  """Goes before a Keras model that has one loss of its own.

  Such a model takes none from `compile`, and holds more than a config can
  describe, so that it is not saved as a whole.

  Attributes:
    LEARNS_FROM: how the sentence goes on that refuses a loss.
    INSTEAD_OF_SAVING: how the sentence goes on that refuses to save.
  """

  LEARNS_FROM: str
  INSTEAD_OF_SAVING: str

  def compile(self, optimizer: typing.Any = "adam", **kwargs) -> None:
    """As `keras.Model.compile`, without losses and metrics.

    Args:
      optimizer: a Keras optimizer.
      **kwargs: of `keras.Model.compile`, except `loss`, `loss_weights`,
        `metrics` and `weighted_metrics`; `jit_compile` is False unless it is
        True.

    Raises:
      ValueError: one of these was given.
    """
    for name in ("loss", "loss_weights", "metrics", "weighted_metrics"):
      if kwargs.get(name) is not None:
        raise ValueError(
          f"{type(self).__name__} takes no {name}: {self.LEARNS_FROM}"
        )
    kwargs["jit_compile"] = kwargs.get("jit_compile", False) is True
    super().compile(optimizer, **kwargs)

  def get_config(self) -> dict:
    """Raises `ValueError`: no config describes the whole model."""
    raise ValueError(
      f"a {type(self).__name__} cannot be saved as a whole; "
      f"{self.INSTEAD_OF_SAVING}"
    )

  def save(self, filepath: typing.Any, *args, **kwargs) -> None:
    """Raises, before it touches a file; see `get_config`."""
    self.get_config()


class NetworkModel(ModelOfModules):
  """What Keras needs to know of a network that it did not make.

  Without `dtype` the model computes in what the network returns.
  """

  def __init__(self, network: keras.layers.Layer | tf.Module, **kwargs):
    """Wraps a network.

    Args:
      network: a Keras layer or model, or a Sonnet module, built or not.
      **kwargs: of `keras.Model`; `dtype` defaults to the network's.

    Raises:
      ValueError: network is neither, has several inputs, or computes in half
        precision; or Keras runs on another backend than TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
      raise ValueError(
        "sobolev_tf needs Keras' TensorFlow backend, but Keras runs on "
        f"{keras.backend.backend()}; set KERAS_BACKEND=tensorflow before "
        "keras is imported."
      )
    is_keras = isinstance(network, keras.layers.Layer)
    if _is_legacy_keras(network):
      raise ValueError(
        f"network is a {type(network).__name__} of Keras 2 (tf_keras), whose "
        "regularisers, dropout and normalisation this model would not see; "
        "build it with Keras 3 (import keras)."
      )
    if not (is_keras or isinstance(network, tf.Module)):
      raise ValueError(
        "network must be a Keras model or layer or a Sonnet module, but it is "
        f"a {type(network).__name__}."
      )
    _refuse_several_inputs(network)
    dtype = kwargs.pop("dtype", None)
    super().__init__(dtype=dtype or _likely_dtype(network, is_keras), **kwargs)
    self._dtype_is_given = dtype is not None
    self.network = network
    self._is_keras = is_keras
    self._refuse_half_precision()

  def build_network(self, input_shape: typing.Sequence) -> tuple:
    """Makes the network's variables and takes over the dtype it computes in.

    Args:
      input_shape: `(None, *in)`.

    Returns:
      The shape of its output, `(None, *out)`.

    Raises:
      ValueError: the network returns something else than one tensor, or
        computes in half precision.
    """
    if self._is_keras:
      output = self.network(keras.KerasTensor(input_shape, self.compute_dtype))
    else:
      # Its variables must outlive a graph being traced, and those that it has
      # already, such as moving averages, stay as they are.
      with tf.init_scope(), kept(module_variables(self.network)):
        output = self._call_module(input_shape)
    output = _only(output)
    if getattr(output, "shape", None) is None:
      raise ValueError(
        "network must return one tensor [B, *out], but it returns a "
        f"{type(output).__name__}."
      )
    dtype = keras.backend.standardize_dtype(output.dtype)
    self._refuse_half_precision(dtype)
    if not self._dtype_is_given and dtype in _PRECISIONS:
      self.dtype_policy = dtype
    return (None, *output.shape[1:])

  def evaluate_network(self, z: tf.Tensor, training: bool) -> tf.Tensor:
    """The network's output at z; a Sonnet module is called with z alone."""
    if self._is_keras:
      output = self.network(z, training=training)
    else:
      output = self.network(z)
    return tf.cast(_only(output), self.compute_dtype)

  @property
  def declared_input_shape(self) -> tuple | None:
    """The shape `(None, *in)` that a Keras network says it takes, or None."""
    inputs = getattr(self.network, "inputs", None)
    if isinstance(inputs, (list, tuple)) and len(inputs) == 1:
      return (None, *inputs[0].shape[1:])
    return None

  @property
  def network_variables(self) -> list:
    """All variables of the network alone."""
    return (
      self.network.variables if self._is_keras else self._sonnet_variables()
    )

  @property
  def losses(self) -> list:
    """As in Keras; a Sonnet network has no regularisation losses."""
    return self.network.losses if self._is_keras else []

  def get_config(self) -> dict:
    """As in Keras; only a Keras network can be described by a config.

    Raises:
      ValueError: the network is a Sonnet module, or Keras wants the config for
        its old format, which knows nothing of derivative losses.
    """
    if is_saving_as_hdf5():
      # keras.models.save_model asks here first; it has opened the file by now.
      raise ValueError(_NOT_AS_HDF5)
    if not self._is_keras:
      raise ValueError(
        "a model of a Sonnet network cannot be saved as a whole; use "
        'save_weights("x.weights.h5") or tf.train.Checkpoint(model=model), '
        "and build the network in code before restoring."
      )
    network = keras.saving.serialize_keras_object(self.network)
    return {**super().get_config(), "network": network}

  @classmethod
  def from_config(
    cls, config: dict, custom_objects: dict | None = None
  ) -> "NetworkModel":
    """As in Keras: the inverse of `get_config`."""
    network = keras.saving.deserialize_keras_object(
      config["network"], custom_objects=custom_objects
    )
    return cls(**{**config, "network": network})

  def build_from_config(self, config: dict) -> None:
    """As in Keras; a loaded model can be exported as a called one can."""
    super().build_from_config(config)
    if self.built and config.get("input_shape"):
      self(keras.KerasTensor(config["input_shape"], self.compute_dtype))

  def save(
    self,
    filepath: typing.Any,
    overwrite: bool = True,
    zipped: bool | None = None,
    **kwargs,
  ) -> None:
    """As in Keras; refuses before it touches a file.

    Raises:
      ValueError: the network is a Sonnet module, or the file is of Keras' old
        format, which knows nothing of derivative losses.
    """
    if not self._is_keras:
      self.get_config()
    if str(filepath).endswith((".h5", ".hdf5")):
      raise ValueError(_NOT_AS_HDF5)
    return super().save(filepath, overwrite, zipped, **kwargs)

  def refuse_coupled_examples(self) -> None:
    """Refuses layers whose derivatives cannot be trained.

    Raises:
      ValueError: the network trains a BatchNormalization, which mixes a batch's
        examples.
    """
    for layer in flatten_layers(self):
      if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable:
        raise ValueError(
          f"network trains the BatchNormalization {layer.name!r}, which mixes "
          "the examples of a batch, so that an example has no derivative of "
          "its own; set its trainable to False or use RMSNormalization."
        )

  def _sonnet_variables(self):
    return [] if self._is_keras else module_variables(self.network)

  def _call_module(self, input_shape):
    """Calls a Sonnet module on zeros of the dtype that it takes."""
    example = [1 if dim is None else dim for dim in input_shape]
    dtypes = [self.compute_dtype]
    if not self._dtype_is_given:
      dtypes += [dtype for dtype in _PRECISIONS if dtype not in dtypes]
    errors = []
    for dtype in dtypes:
      try:
        return self.network(tf.zeros(example, dtype))
      except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
        errors.append(error)
    raise errors[0]

  def _refuse_half_precision(self, dtype=None):
    dtypes = [("the network", dtype or self.compute_dtype)]
    if self._is_keras:
      dtypes += [
        (f"the layer {layer.name!r}", layer.compute_dtype)
        for layer in flatten_layers(self.network)
      ]
    for where, dtype in dtypes:
      if dtype in ("float16", "bfloat16"):
        raise ValueError(
          f"{where} computes in {dtype}, but derivatives need float32 or "
          'float64; give it dtype="float32".'
        )


def module_variables(module: tf.Module) -> list:
  """All variables of a Sonnet module, also while it has none."""
  # Sonnet's own property raises where there is no variable yet, which is the
  # ordinary state of a module that builds itself at its first call.
  return list(tf.Module.variables.fget(module))


def _likely_dtype(network, is_keras):
  """The dtype to build a network with: its own as far as that is known."""
  if is_keras:
    return network.dtype_policy
  floating = [v for v in module_variables(network) if v.dtype.is_floating]
  return floating[0].dtype.name if floating else None


def _is_legacy_keras(network):
  return any(
    base.__module__.startswith(("tf_keras", "tensorflow.python.keras"))
    for base in type(network).__mro__
  )


def _refuse_several_inputs(network):
  inputs = getattr(network, "inputs", None)
  if isinstance(inputs, (list, tuple)) and len(inputs) > 1:
    raise ValueError(
      f"network has {len(inputs)} inputs, but derivatives are taken with "
      "respect to one; give it one Input and split that inside the network."
    )


def _only(output):
  """The one tensor of a network's output, which may stand in a container."""
  if isinstance(output, dict):
    output = list(output.values())
  if isinstance(output, (list, tuple)) and len(output) == 1:
    return output[0]
  return output
