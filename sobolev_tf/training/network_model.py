"""A Keras model around one network, which may be a Sonnet module."""

import keras
import tensorflow as tf


class NetworkModel(keras.Model):
  """What Keras needs to know of a network that it did not make.

  Keras tracks Keras variables alone. A Sonnet module stays the one owner of
  its variables; this class shows them to the optimizer, to `get_weights`, to
  `save_weights` and to `tf.train.Checkpoint`, after the model's own weights.
  """

  def __init__(self, network, **kwargs):
    """Wraps a network.

    Args:
      network: a Keras layer or model, or a Sonnet module, built or not.
      **kwargs: of `keras.Model`; `dtype` defaults to the network's.

    Raises:
      ValueError: network is neither.
    """
    is_keras = isinstance(network, keras.layers.Layer)
    if not (is_keras or isinstance(network, tf.Module)):
      raise ValueError(
        "network must be a Keras model or layer or a Sonnet module, but it is "
        f"a {type(network).__name__}."
      )
    if is_keras:
      kwargs.setdefault("dtype", network.dtype_policy)
    elif _module_variables(network):
      kwargs.setdefault("dtype", _module_variables(network)[0].dtype.name)
    super().__init__(**kwargs)
    self.network = network
    self._is_keras = is_keras

  def build_network(self, input_shape):
    """Makes the network's variables.

    Args:
      input_shape: `(None, *in)`.

    Returns:
      The shape of its output, `(None, *out)`.

    Raises:
      ValueError: the network returns something else than one tensor.
    """
    if self._is_keras:
      output = self.network(keras.KerasTensor(input_shape, self.compute_dtype))
    else:
      example = [1 if dim is None else dim for dim in input_shape]
      with tf.init_scope():  # Its variables must outlive a graph being traced.
        output = self.network(tf.zeros(example, self.compute_dtype))
    if getattr(output, "shape", None) is None:
      raise ValueError(
        "network must return one tensor [B, *out], but it returns a "
        f"{type(output).__name__}."
      )
    return (None, *output.shape[1:])

  def evaluate_network(self, z, training):
    """The network's output at z; a Sonnet module is called with z alone."""
    if self._is_keras:
      return self.network(z, training=training)
    return self.network(z)

  @property
  def variables(self):
    """As in Keras, with a Sonnet network's variables at the end."""
    return super().variables + self._sonnet_variables()

  @property
  def weights(self):
    """As in Keras, with a Sonnet network's variables at the end."""
    return super().weights + self._sonnet_variables()

  @property
  def losses(self):
    """As in Keras; a Sonnet network has no regularisation losses."""
    return self.network.losses if self._is_keras else []

  def get_config(self):
    """As in Keras; only a Keras network can be described by a config."""
    if not self._is_keras:
      raise ValueError(
        "a model of a Sonnet network cannot be saved as a whole; use "
        'save_weights("x.weights.h5") or tf.train.Checkpoint(model=model), '
        "and build the network in code before restoring."
      )
    network = keras.saving.serialize_keras_object(self.network)
    return {**super().get_config(), "network": network}

  @classmethod
  def from_config(cls, config, custom_objects=None):
    """As in Keras: the inverse of `get_config`."""
    network = keras.saving.deserialize_keras_object(
      config["network"], custom_objects=custom_objects
    )
    return cls(**{**config, "network": network})

  def save(self, filepath, overwrite=True, zipped=None, **kwargs):
    """As in Keras; refuses a Sonnet network before it touches a file."""
    if not self._is_keras:
      self.get_config()
    return super().save(filepath, overwrite, zipped, **kwargs)

  def save_own_variables(self, store):
    """As in Keras, for `save_weights`."""
    for i, variable in enumerate(self._sonnet_variables()):
      store[str(i)] = variable.numpy()

  def load_own_variables(self, store):
    """As in Keras, for `load_weights`."""
    variables = self._sonnet_variables()
    if len(store.keys()) != len(variables):
      raise ValueError(
        f"the file holds {len(store.keys())} variables of a Sonnet network, "
        f"but this network has {len(variables)}."
      )
    for i, variable in enumerate(variables):
      variable.assign(store[str(i)])

  def refuse_coupled_examples(self):
    """Refuses a network whose training output mixes a batch's examples.

    Raises:
      ValueError: the network trains a BatchNormalization.
    """
    for layer in self._flatten_layers():
      if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable:
        raise ValueError(
          f"network trains the BatchNormalization {layer.name!r}, which mixes "
          "the examples of a batch, so that an example has no derivative of "
          "its own; set its trainable to False or use LayerNormalization."
        )

  def _sonnet_variables(self):
    return [] if self._is_keras else _module_variables(self.network)


def _module_variables(module):
  # Sonnet's own property raises where there is no variable yet, which is the
  # ordinary state of a module that builds itself at its first call.
  return list(tf.Module.variables.fget(module))
