"""A model's double in double precision."""

import keras


def in_double_precision(model: keras.Model) -> keras.Model:
  """A copy of a `SobolevModel` that computes in float64.

  Args:
    model: compiled, built and adapted.

  Returns:
    The copy, or the model itself where that is in float64 already, or where
    its network cannot be made anew: a Sonnet module or a layer of the user's
    that has no config. Those are trained in their own precision.
  """
  if model.compute_dtype == "float64":
    return model
  try:
    config = keras.saving.serialize_keras_object(model.network)
    network = keras.saving.deserialize_keras_object(_in_float64(config))
  except (TypeError, ValueError, NotImplementedError):
    return model
  twin = type(model)(
    network,
    order=model.order,
    num_projections=model.num_projections,
    scaling=model.scaling.kind,
    seed=model.seed,
    dtype="float64",
  )
  twin.build(model.scaling.input_shape)
  if twin.network.compute_dtype != "float64":
    return model
  twin.scaling.set_weights(model.scaling.get_weights())
  twin.network.set_weights(model.network.get_weights())
  twin.objective = model.objective
  return twin


def _in_float64(config):
  """A serialised layer with every precision in it set to float64."""
  if isinstance(config, dict):
    if config.get("class_name") == "DTypePolicy":
      return {**config, "config": {**config["config"], "name": "float64"}}
    return {
      key: "float64"
      if key == "dtype" and isinstance(value, str)
      else _in_float64(value)
      for key, value in config.items()
    }
  if isinstance(config, (list, tuple)):
    return type(config)(_in_float64(value) for value in config)
  return config
