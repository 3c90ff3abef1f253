"""A function as the operations that TensorFlow records of it.

`Program` traces a function once and runs its operations again, one by one, in
a way that the caller chooses: as they are (`execute`), or with the Taylor rule
of each operation (`taylor.py`). It knows nothing of Keras or Sonnet, so
that it serves both, and anything else made of TensorFlow operations.
"""

import inspect
import typing

import tensorflow as tf

CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_INPUTS = ("Placeholder", "PlaceholderWithDefault")


class Program:
  """The operations between x and f(x)."""

  def __init__(self, f: typing.Callable, x: tf.Tensor):
    """Traces f for inputs of x's shape and dtype.

    Args:
      f: callable of one tensor that returns one, or a sequence of them.
      x: tensor; only its shape and dtype count.
    """

    def traced(z):
      outputs = f(z)
      if not isinstance(outputs, (list, tuple)):
        outputs = [outputs]
      return [tf.convert_to_tensor(output) for output in outputs]

    # In eager mode nobody asked for AutoGraph; in a graph it is at work.
    compiled = tf.function(traced, autograph=not tf.executing_eagerly())
    self._concrete = compiled.get_concrete_function(
      tf.TensorSpec(x.shape, x.dtype)
    )

  @property
  def operations(self) -> list:
    """All of them, those that no output needs too."""
    return self._concrete.graph.get_operations()

  def run(self, x: tf.Tensor, apply: typing.Callable) -> list:
    """Runs the operations at x.

    Args:
      x: what stands for the input: a tensor, or anything that `apply` takes.
      apply: function of (operation, list of inputs) to the list of outputs.

    Returns:
      List of what stands for the outputs of f.
    """
    graph = self._concrete.graph
    variables = {id(v.handle): v for v in graph.variables}

    def apply_or_read(op, inputs):
      if op.type == "ReadVariableOp" and id(inputs[0]) in variables:
        # Read through the variable: active tapes then watch it.
        return [variables[id(inputs[0])].read_value()]
      return apply(op, inputs)

    feeds = [x, *self._concrete.captured_inputs]
    return _run_graph(graph, feeds, apply_or_read)


def execute(op: tf.Operation, inputs: typing.Sequence) -> list:
  """Runs one operation of a graph again, on other inputs.

  Active tapes record it as they record any other.

  Args:
    op: `tf.Operation`.
    inputs: list of its tensors.

  Returns:
    List of its outputs.

  Raises:
    NotImplementedError: TensorFlow offers no way to run it by its name.
  """
  if op.type == "Const":
    return [tf.constant(tf.make_ndarray(op.get_attr("value")))]
  function = getattr(tf.raw_ops, op.type, None)
  holds_functions = any("func" in attr.type for attr in op.op_def.attr)
  if function is None or holds_functions:
    raise NotImplementedError(f"{op.type} cannot be run again.")
  outputs = function(**_arguments(op, inputs, inspect.signature(function)))
  if isinstance(outputs, (list, tuple)):
    return list(tf.nest.flatten(outputs))
  return [outputs] if op.outputs else []


def _arguments(op, inputs, signature):
  """The inputs and attributes of an operation by `tf.raw_ops`' names.

  `tf.raw_ops` renames some of them (`split_dim` to `axis`), in order.
  """
  given = _grouped_inputs(op, inputs)
  inferred = {
    name
    for argument in op.op_def.input_arg
    for name in (
      argument.type_attr,
      argument.number_attr,
      argument.type_list_attr,
    )
  }
  for attribute in op.op_def.attr:
    if attribute.name in signature.parameters or attribute.name not in inferred:
      given[attribute.name] = op.get_attr(attribute.name)
  known = [name for name in signature.parameters if name != "name"]
  free = [name for name in known if name not in given]
  renamed = {name: free.pop(0) for name in given if name not in known and free}
  return {renamed.get(name, name): value for name, value in given.items()}


def _grouped_inputs(op, inputs):
  """Inputs by the names of the operation's arguments; lists where it says."""
  remaining, arguments = list(inputs), {}
  for argument in op.op_def.input_arg:
    if argument.number_attr:
      count = op.get_attr(argument.number_attr)
    elif argument.type_list_attr:
      count = len(op.get_attr(argument.type_list_attr))
    else:
      arguments[argument.name] = remaining.pop(0)
      continue
    arguments[argument.name] = remaining[:count]
    del remaining[:count]
  return arguments


def _run_graph(graph, feeds, apply):
  values = {
    placeholder.ref(): value
    for placeholder, value in zip(graph.inputs, feeds, strict=True)
  }
  for op in _needed(graph):
    inputs = [values[tensor.ref()] for tensor in op.inputs]
    if op.type in CALLS:
      body = graph._get_function(op.get_attr("f").name).graph
      # A gradient that somebody took may have added outputs to the body.
      outputs = _run_graph(body, inputs, apply)[: len(op.outputs)]
    else:
      outputs = apply(op, inputs)
    values.update(
      (tensor.ref(), value)
      for tensor, value in zip(op.outputs, outputs, strict=True)
    )
  return [values[tensor.ref()] for tensor in graph.outputs]


def _needed(graph):
  """In order: what the outputs depend on, and what has an effect of its own."""
  wanted, chosen = {tensor.op for tensor in graph.outputs}, []
  for op in reversed(graph.get_operations()):
    acts = op.op_def.is_stateful and op.type != "ReadVariableOp"
    if op.type not in _INPUTS and (op in wanted or acts):
      chosen.append(op)
      wanted.update(tensor.op for tensor in op.inputs)
  return reversed(chosen)
