"""Times derivatives of every order and shape, and training steps on them.

    python -m benchmarks.derivatives [--output=results/benchmarks]

Four questions: what order K along a direction costs (Taylor mode against
nested tapes), what products with one direction per point cost (against the
whole Hessian), what a Jacobian costs when inputs and outputs differ in number
(forward or reverse by shape), and what a Laplacian costs. The network has two
hidden layers of 256 tanh units; a training step is the gradient of the mean
squared derivatives w.r.t. all parameters. All candidates of a row take turns in
one process with one thread, and the processor's time counts, not the clock's.
"Arithmetic" is the number of products per layer against those of the plain step
of the same library, which the ratios are against too. The rivals come with
`pip install -r requirements-bench.txt`; one that is missing is left out.
"""

import importlib.util
import os
import time

import sonnet as snt
import tensorflow as tf

from benchmarks import derivative_rivals, timing
from sobolev_tf import derivatives, jet, laplacian
from sobolev_tf.derivatives.products import PRODUCTS

_RIVALS = {
  "JAX": ("jax", derivative_rivals.jax_candidates),
  "torch.func": ("torch", derivative_rivals.torch_candidates),
}


# A whole Hessian of 10 inputs is 10 products; values share their forward pass.
_PRODUCT_ROWS = (
  (("jvp",), "2"),
  (("vjp",), "2"),
  (("hvp", "whole Hessian"), "4, and 22 for the whole"),
)


def our_candidates(inputs, outputs, points, order):
  """Calls of this library: dict from a name to a callable.

  Args:
    inputs: D.
    outputs: the network's.
    points: B.
    order: K of the derivatives along a direction.
  """
  network = snt.nets.MLP(
    [*derivative_rivals.HIDDEN, outputs], activation=tf.tanh
  )
  x = tf.random.stateless_normal([points, inputs], [0, 0])
  v = tf.random.stateless_normal([points, inputs], [0, 1])
  network(x)

  def line(t):
    return network(x + t[:, tf.newaxis] * v)

  zeros, u = tf.zeros([points]), v[:, tf.newaxis]
  ones = tf.ones([points, 1, outputs])
  measured = {
    "value": lambda: (network(x),),
    "jet": lambda: jet(network, x, v, order),
    "nested tapes": lambda: derivatives(line, zeros, order, "reverse"),
    "auto": lambda: derivatives(network, x, 1),
    "forward": lambda: derivatives(network, x, 1, "forward"),
    "reverse": lambda: derivatives(network, x, 1, "reverse"),
    "jvp": lambda: PRODUCTS["jvp"](network, x, u),
    "vjp": lambda: PRODUCTS["vjp"](network, x, ones),
    "hvp": lambda: PRODUCTS["hvp"](network, x, u),
    "whole Hessian": lambda: derivatives(network, x, 2)[::2],
    "laplacian": lambda: laplacian(network, x),
    "jets of all inputs": lambda: _laplacian_by_jets(network, x),
    "trace of the Hessian": lambda: _laplacian_by_hessian(network, x),
  }
  return {
    name: (training_call(terms, network), forward_call(terms))
    for name, terms in measured.items()
  }


def training_call(terms, network):
  """A compiled gradient of the mean squares w.r.t. parameters."""

  @tf.function
  def step():
    with tf.GradientTape() as tape:
      loss = tf.add_n([tf.reduce_mean(tf.square(term)) for term in terms()])
    return tape.gradient(loss, network.trainable_variables)

  return lambda: step()[0].numpy()


def forward_call(terms):
  """A compiled evaluation."""
  compiled = tf.function(lambda: terms()[-1])
  return lambda: compiled().numpy()


def _laplacian_by_jets(network, x):
  units = tf.eye(x.shape[1])[tf.newaxis] + tf.zeros([x.shape[0], 1, 1])
  return network(x), tf.reduce_sum(jet(network, x, units, 2)[2], axis=1)


def _laplacian_by_hessian(network, x):
  hessian = derivatives(network, x, 2, "reverse")[2]
  return network(x), tf.linalg.trace(hessian)


def time_row(columns, inputs, outputs, points, order, train, rounds):
  """Times some candidates at one size, of every library there is.

  Returns:
    Dict from (library, column) to microseconds.
  """
  candidates = {}
  libraries = {"sobolev_tf": our_candidates}
  for library, (package, make) in _RIVALS.items():
    if importlib.util.find_spec(package):
      libraries[library] = make
  for library, make in libraries.items():
    made = make(inputs, outputs, points, order)
    for column in ("value", *columns):
      if column in made:
        call = made[column][0 if train else 1]
        candidates[library, column] = (call, 1)
  return timing.interleaved(candidates, rounds, time.process_time)


def make_line(label, arithmetic, times):
  """One line of Markdown per library: microseconds and ratios."""
  lines = []
  for library in dict.fromkeys(library for library, _ in times):
    plain = times[library, "value"]
    cells = [
      f"{column} {time:.0f} µs = {time / plain:.2f}"
      for (of, column), time in times.items()
      if of == library and column != "value"
    ]
    if not cells:  # This library has none of them.
      continue
    lines.append(
      f"| {label} | {library} | {plain:.0f} | {arithmetic} "
      f"| {'; '.join(cells)} |"
    )
  return lines


def _header(title):
  return [
    "",
    f"## {title}",
    "",
    "| case | library | plain, µs | arithmetic | time, and against plain |",
    "|---|---|---|---|---|",
  ]


def make_report(rounds):
  """The whole report as Markdown."""
  lines = _header("Training on K derivatives along a direction, 10 inputs")
  for order in (1, 2, 3, 4):
    columns = ("jet", "nested tapes", "nested jvp")
    times = time_row(columns, 10, 1, 256, order, True, rounds)
    lines += make_line(f"K = {order}", f"{1 + order} (jet)", times)
  lines += _header("Training on values and one product per point, 10 inputs")
  for columns, arithmetic in _PRODUCT_ROWS:
    times = time_row(columns, 10, 1, 256, 1, True, rounds)
    lines += make_line(columns[0], arithmetic, times)
  lines += _header("Training on a full Jacobian, by shape")
  for inputs, outputs in ((1, 1000), (1000, 1), (10, 100), (100, 10)):
    # The other mode takes 1,000 passes, seconds each.
    columns = ["auto"] + (["forward", "reverse"] if inputs in (10, 100) else [])
    times = time_row(columns, inputs, outputs, 256, 1, True, rounds)
    passes = min(inputs, outputs)
    arithmetic = f"{1 + passes} at {inputs} to {outputs}"
    lines += make_line(f"{inputs} inputs, {outputs} outputs", arithmetic, times)
  lines += _header("A Laplacian, one output (no training)")
  lines[-3:-3] = [
    "",
    "`laplacian` sums the second-order terms before they travel (2 + D "
    "products against 1 + 2 D), and makes the first layer's products with all "
    "inputs once for all points.",
  ]
  for inputs in (2, 10, 100, 1000):
    columns = ["laplacian", "jets of all inputs"]
    columns += ["trace of the Hessian"] if inputs <= 100 else []
    points = 256 if inputs <= 10 else 64 if inputs == 100 else 8
    times = time_row(columns, inputs, 1, points, 2, False, rounds)
    arithmetic = f"{2 + inputs} against {1 + 2 * inputs}"
    lines += make_line(f"D = {inputs}, {points} points", arithmetic, times)
  return "\n".join(lines) + "\n"


def _use_one_thread():
  tf.config.threading.set_intra_op_parallelism_threads(1)
  tf.config.threading.set_inter_op_parallelism_threads(1)
  os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
  if importlib.util.find_spec("torch"):
    import torch

    torch.set_num_threads(1)


def main(arguments=None):
  """Prints the tables, and writes them if a folder is given."""
  parser = timing.build_parser("derivatives", __doc__)
  parser.add_argument("--rounds", type=int, default=7)
  parser.add_argument(
    "--beside", default="nothing else", help="what ran beside"
  )
  given = parser.parse_args(arguments)
  _use_one_thread()
  text = (
    f"`python -m benchmarks.derivatives` on {timing.machine()}; medians of "
    f"the processor's time in {given.rounds} rounds in turns, one thread for "
    f"each library; {given.beside} ran beside.\n"
  )
  text += make_report(given.rounds)
  missing = [
    f"{library} ({package})"
    for library, (package, _) in _RIVALS.items()
    if not importlib.util.find_spec(package)
  ]
  if missing:
    text += (
      f"\nLeft out, because not installed: {', '.join(missing)}; "
      "`pip install -r requirements-bench.txt`.\n"
    )
  timing.publish(text, given.output, "derivatives")


if __name__ == "__main__":
  main()
