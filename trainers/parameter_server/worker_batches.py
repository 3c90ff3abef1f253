"""How a chief's graph draws a batch in the process of whatever worker runs it.

A graph travels from the chief to its workers, Python functions do not. The
graph's PyFunc operation names its function by a token, though, and looks it up
in the process that executes it. So each worker registers its own function,
under the token that the chief's graph names, and nothing but three numbers
travels.
"""

import json

import tensorflow as tf

# What TensorFlow calls the first Python function of a process.
_TOKEN = "pyfunc_0"
_MARK = "settings of the worker: "


def register(draw, settings, dtypes=(tf.float32, tf.float32)):
  """Makes `draw` the function of this process.

  Call it before anything else of TensorFlow, and keep what it returns.

  Args:
    draw: function of a batch's index that returns arrays.
    settings: dict; the chief's must be the same.
    dtypes: of the arrays.

  Returns:
    An object that keeps the registration alive.
  """
  settings = json.loads(json.dumps(settings))

  def answer(wanted, index):
    wanted = json.loads(wanted)
    differences = [
      f"{name} is {settings.get(name)!r} there and {wanted.get(name)!r} here"
      for name in {**settings, **wanted}
      if settings.get(name) != wanted.get(name)
    ]
    if differences:
      raise ValueError(f"{_MARK}{'; '.join(differences)}\n")
    return draw(int(index))

  graph = tf.Graph()
  with graph.as_default():
    outputs = tf.numpy_function(
      answer, [tf.constant(""), tf.constant(0, tf.int64)], list(dtypes)
    )
  token = outputs[0].op.get_attr("token").decode()
  if token != _TOKEN:
    raise RuntimeError(
      f"the function's token is {token}, but {_TOKEN} was expected; register "
      "it before any other numpy_function."
    )
  return graph


def draw(settings, index, specs):
  """Draws a batch on the worker that executes the graph.

  Args:
    settings: the chief's, for comparison with the worker's.
    index: scalar int64 tensor.
    specs: `tf.TensorSpec`s of the arrays.

  Returns:
    list of tensors.
  """
  outputs = tf.raw_ops.PyFunc(
    input=[tf.constant(json.dumps(settings)), index],
    token=_TOKEN,
    Tout=[spec.dtype for spec in specs],
  )
  for output, spec in zip(outputs, specs, strict=True):
    output.set_shape(spec.shape)
  return outputs


def difference(error):
  """The part of an error that is about different settings; None if none is."""
  text = str(error)
  if _MARK not in text:
    return None
  return text.split(_MARK, 1)[1].splitlines()[0]
