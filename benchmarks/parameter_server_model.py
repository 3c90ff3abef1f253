r"""How fast a parameter-server run is, from bytes, links and arithmetic.

    python -m benchmarks.parameter_server_model [--gpu_tflops=5] \
        [--output=results/benchmarks]

The model. A share of a batch reads every variable of main network and
estimators and writes a gradient for each; both cross the links of one worker
and of the servers, each in one direction. A worker does one share after the
other: overhead, reading, arithmetic, writing. Servers have the same links as
workers, and the fullest one counts.

- Nobody waits ("async", and Hogwild estimators between rounds): workers are at
  different places of their shares, so the rate is that of all workers, or that
  at which the fullest server's link can send or receive, whichever is lower.
- Rounds ("sync"): all workers read at once, compute at once, write at once; a
  phase takes as long as the fuller of a worker's and a server's link; then the
  servers apply the mean, at the speed of their memory. Stragglers are not in
  the model, so this is the best case.

The arithmetic is what `benchmarks.decoupled_step` counts, at a rate that is an
assumption: --gpu_tflops is what a GPU reaches on such networks, not its peak.
"""

import dataclasses

import tensorflow as tf

from benchmarks import decoupled_step, timing
from sobolev_tf.synthetic_gradients import DecoupledNetwork
from trainers.synthetic_gradients import networks
from trainers.synthetic_gradients.config import PRESETS

_APPLY_BYTES_PER_SECOND = 5e9  # of gradients that a server's memory applies
_PICTURES = 32  # per share, SM §4.2 and §4.3


@dataclasses.dataclass(frozen=True)
class Load:
  """What one share of a batch needs.

  Attributes:
    read: bytes that a worker reads from each variable.
    written: bytes that it sends for each, in the same order.
    multiply_adds: of all its pictures.
  """

  read: tuple
  written: tuple
  multiply_adds: float


@dataclasses.dataclass(frozen=True)
class Machine:
  """The machines and their links.

  Attributes:
    workers: number of workers.
    servers: number of parameter servers.
    gigabits: of every link, in each direction.
    flops: of a worker, per second.
    overhead: seconds per share that nothing can hide.
  """

  workers: int
  servers: int
  gigabits: float
  flops: float
  overhead: float


def fullest(sizes, servers):
  """The largest sum if each size goes to the server that holds least so far."""
  held = [0] * servers
  for size in sizes:
    held[held.index(min(held))] += size
  return max(held)


def share_seconds(load, machine):
  """The parts of a share's time when its worker is alone.

  Returns:
    (overhead, read, compute, write) in seconds.
  """
  link = machine.gigabits * 1e9 / 8
  return (
    machine.overhead,
    sum(load.read) / link,
    2 * load.multiply_adds / machine.flops,
    sum(load.written) / link,
  )


def rates(load, machine):
  """Shares per second and what limits them.

  Returns:
    dict from "async" and "sync" to (shares per second, name of the limit).
  """
  link = machine.gigabits * 1e9 / 8
  overhead, read, compute, write = share_seconds(load, machine)
  # Variables are placed in order by what is read.
  per_server = [
    machine.workers * fullest(sizes, machine.servers) / link
    for sizes in (load.read, load.written)
  ]
  free = machine.workers / (overhead + read + compute + write)
  limit = machine.workers / max(per_server)
  asynchronous = (free, "workers") if free <= limit else (limit, "server links")
  apply = fullest(load.written, machine.servers) / _APPLY_BYTES_PER_SECOND
  read_phase, write_phase = max(read, per_server[0]), max(write, per_server[1])
  parts = {
    "workers": overhead + compute,
    "server links": read_phase + write_phase,
    "applying": apply,
  }
  rate = machine.workers / sum(parts.values())
  return {
    "async": asynchronous,
    "sync": (rate, max(parts, key=parts.get)),
  }


def servers_needed(load, machine, share=0.9):
  """The fewest servers with which the links cost little.

  Args:
    load: a `Load`.
    machine: a `Machine`; its number of servers does not matter.
    share: of the rate that infinitely fast servers would allow.

  Returns:
    dict from "async" and "sync" to a number; None if no number is enough.
  """
  many = dataclasses.replace(machine, servers=len(load.read))
  found = {}
  for kind in ("async", "sync"):
    # A worker's own link stays, however many servers there are.
    wanted = share * rates(load, many)[kind][0]
    counts = range(1, len(load.read) + 1)
    found[kind] = next(
      (
        count
        for count in counts
        if rates(load, dataclasses.replace(machine, servers=count))[kind][0]
        >= wanted
      ),
      None,
    )
  return found


def forward_multiply_adds(function, *shapes):
  """Multiply-adds of a function's convolutions and matrix products."""
  specifications = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
  graph = tf.function(function).get_concrete_function(*specifications).graph
  total = 0
  for operation in graph.get_operations():
    if operation.type in ("Conv2D", "MatMul"):
      kernel = operation.inputs[1].shape
      outputs = operation.outputs[0].shape
      total += outputs.num_elements() * (kernel.num_elements() // outputs[-1])
  return total


def build_load(config, image_shape, num_classes):
  """The `Load` of a configuration, counted from its networks."""
  segments = networks.build_segments(config, num_classes)
  shapes = networks.border_shapes(segments, image_shape)
  estimators = networks.build_estimators(config, shapes, num_classes)
  network = DecoupledNetwork(segments, estimators)
  costs, shape = [], [1, *image_shape]
  for segment, above in zip(segments, [*shapes, None], strict=True):
    costs.append(
      forward_multiply_adds(lambda x, part=segment: part(x, False), shape)
    )
    shape = [1, *above] if above is not None else None
  asked = [
    forward_multiply_adds(estimator.predictor, [1, *shape])
    for estimator, shape in zip(estimators, shapes, strict=True)
  ]
  per_picture = decoupled_step.arithmetic(
    config.method, config.targets, costs, asked
  )
  read = tuple(_bytes(v) for v in network.variables)
  return Load(read, read, per_picture * _PICTURES)


def _bytes(variable):
  return variable.shape.num_elements() * variable.dtype.size


def make_table(loads, flops, overhead):
  """Renders the model as Markdown.

  Args:
    loads: dict from a name to (`Load`, number of workers).
    flops: of a worker.
    overhead: seconds per share.
  """
  lines = [
    "| network | MB per share, each way | GPU ms per share | Gbit/s | servers "
    "| async shares/s (limit) | sync shares/s (limit) | servers for 90 %, "
    "async / sync |",
    "|---|---|---|---|---|---|---|---|",
  ]
  for name, (load, workers) in loads.items():
    for gigabits in (10, 25, 100):
      for servers in (1, 4):
        machine = Machine(workers, servers, gigabits, flops, overhead)
        found, needed = rates(load, machine), servers_needed(load, machine)
        cells = [
          f"{found[k][0]:.0f} ({found[k][1]})" for k in ("async", "sync")
        ]
        lines.append(
          f"| {name}, {workers} workers | {sum(load.read) / 1e6:.1f} "
          f"| {1e3 * share_seconds(load, machine)[2]:.0f} | {gigabits} "
          f"| {servers} | {cells[0]} | {cells[1]} "
          f"| {needed['async']} / {needed['sync']} |"
        )
  return "\n".join(lines) + "\n"


def make_requests(loads, flops, overhead, gigabits=25):
  """Renders what to ask a cluster for, as Markdown.

  Servers are as many as reach 90 % of what the links allow. A server keeps the
  variables, the optimizers' slots, which are as many at most twice, and the
  round's gradients.

  Args:
    loads: dict from a name to (`Load`, number of workers).
    flops: of a worker.
    overhead: seconds per share.
    gigabits: of every link.
  """
  lines = [
    "| run | workers | updates | servers | MB of numbers on a server "
    "| Gbit/s used by a worker / a server | shares/s |",
    "|---|---|---|---|---|---|---|",
  ]
  for name, (load, workers) in loads.items():
    one = Machine(workers, 1, gigabits, flops, overhead)
    for kind, servers in servers_needed(load, one).items():
      machine = dataclasses.replace(one, servers=servers)
      rate = rates(load, machine)[kind][0]
      bits = 8e-9 * rate * sum(load.read)
      held = fullest(load.read, servers)
      lines.append(
        f"| {name} | {workers} | {kind} | {servers} | {4 * held / 1e6:.0f} "
        f"| {bits / workers:.1f} / {8e-9 * rate * held:.1f} | {rate:.0f} |"
      )
  return "\n".join(lines) + "\n"


def build_loads():
  """The networks of Table 1, with the paper's numbers of workers."""
  cifar, imagenet = PRESETS["paper"], PRESETS["paper_imagenet"]
  return {
    "CIFAR-10, backprop": (
      build_load(
        dataclasses.replace(cifar, method="backprop"), (32, 32, 3), 10
      ),
      10,
    ),
    "CIFAR-10, Sobolev, 3 modules": (build_load(cifar, (32, 32, 3), 10), 10),
    **{
      f"ResNet-50, Sobolev, {count} module(s)": (
        build_load(
          dataclasses.replace(imagenet, num_modules=count),
          (224, 224, 3),
          1000,
        ),
        34,
      )
      for count in (1, 3)
    },
  }


def main():
  """Prints the table, and writes it if a folder is given."""
  parser = timing.build_parser("parameter_server_model", __doc__)
  parser.add_argument("--gpu_tflops", type=float, default=5.0)
  parser.add_argument(
    "--overhead_ms",
    type=float,
    default=10.0,
    help="per share: scheduling, messages, starting kernels",
  )
  given = parser.parse_args()
  loads = build_loads()
  speeds = (given.gpu_tflops * 1e12, given.overhead_ms / 1e3)
  text = (
    f"`python -m benchmarks.parameter_server_model --gpu_tflops="
    f"{given.gpu_tflops} --overhead_ms={given.overhead_ms}`: a model; nothing "
    f"here was measured on GPUs. {_PICTURES} pictures a share.\n\n"
    + make_table(loads, *speeds)
    + "\nWhat to ask for, with links of 25 Gbit/s each way:\n\n"
    + make_requests(loads, *speeds)
  )
  timing.publish(text, given.output, "parameter_server_model")


if __name__ == "__main__":
  main()
