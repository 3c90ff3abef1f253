"""Peak memory and time of a decoupled step on ResNet-50.

    python -m benchmarks.decoupled_memory [--batch_size=32] [--width=1]
        [--image_size=224] [--method=all] [--num_modules=1,3]

Each row is a process of its own, which builds the trainer's learner and makes
some steps on random pictures. "Step" is what the steps add to the peak of the
process: activations, gradients and the kernels' scratch space; the rest is
TensorFlow, weights and optimizers. A segment through which no true gradient
has to pass frees its activations before the next one runs.
"""

import dataclasses
import itertools
import json
import resource
import subprocess
import sys
import time

import numpy as np
import tensorflow as tf

from benchmarks import timing
from trainers.synthetic_gradients.config import PRESETS
from trainers.synthetic_gradients.learner import SyntheticGradientLearner
from trainers.synthetic_gradients.networks import METHODS

_NUM_CLASSES = 1000


def peak_bytes():
  """Largest memory that this process has had resident."""
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(config, steps):
  """Makes steps with the trainer's learner.

  Args:
    config: a `trainers.synthetic_gradients.config.Config`.
    steps: how many to time; one before them compiles.

  Returns:
    dict with `base` and `peak` in bytes, and `seconds` per step.
  """
  shape = (config.image_size, config.image_size, 3)
  strategy = tf.distribute.get_strategy()
  learner = SyntheticGradientLearner(config, strategy, shape, _NUM_CLASSES)
  x = tf.random.stateless_normal([config.batch_size, *shape], [0, 1])
  y = tf.one_hot(np.arange(config.batch_size), _NUM_CLASSES)
  base = peak_bytes()
  times = []
  for _ in range(steps + 1):
    start = time.perf_counter()
    learner.train_step(x, y)["loss"].numpy()
    times.append(time.perf_counter() - start)
  return {
    "base": base,
    "peak": peak_bytes(),
    "seconds": float(np.median(times[1:])),
  }


def measure_elsewhere(method, num_modules, given):
  """Calls `measure` in a fresh process, with the other arguments given."""
  command = [
    *(sys.executable, "-m", "benchmarks.decoupled_memory", "--child"),
    *(f"--method={method}", f"--num_modules={num_modules}"),
    *(f"--batch_size={given.batch_size}", f"--width={given.width}"),
    *(f"--image_size={given.image_size}", f"--steps={given.steps}"),
  ]
  result = subprocess.run(command, capture_output=True, text=True, check=False)
  if result.returncode:
    raise RuntimeError(
      f"{' '.join(command[1:])} ended with code {result.returncode}: "
      f"{result.stderr[-500:]}"
    )
  return json.loads(result.stdout.splitlines()[-1])


def make_table(rows, batch_size):
  """Renders the measurements as Markdown.

  Args:
    rows: dict from (method, number of modules) to what `measure` returns.
    batch_size: pictures per step.
  """
  lines = [
    "| method | modules | peak, GB | step, GB | ms per picture |",
    "|---|---|---|---|---|",
  ]
  for (method, number), row in rows.items():
    step = row["peak"] - row["base"]
    lines.append(
      f"| {method} | {number} | {row['peak'] / 1e9:.2f} | {step / 1e9:.2f} "
      f"| {row['seconds'] / batch_size * 1e3:.0f} |"
    )
  return "\n".join(lines) + "\n"


def cases(methods, numbers):
  """Pairs (method, number of modules); backpropagation has none."""
  names = METHODS if methods == "all" else methods.split(",")
  pairs = itertools.product(names, map(int, numbers.split(",")))
  return dict.fromkeys(
    (name, 0 if name == "backprop" else number) for name, number in pairs
  )


def read_arguments(arguments=None):
  """Reads the command line."""
  parser = timing.build_parser("decoupled_memory", __doc__)
  parser.add_argument(
    "--method", default="backprop,critic,sobolev", help="methods, or all"
  )
  parser.add_argument("--num_modules", default="1,3", help="splits: 1, 3")
  parser.add_argument("--batch_size", type=int, default=32)
  parser.add_argument("--image_size", type=int, default=224)
  parser.add_argument("--width", type=float, default=1.0)
  parser.add_argument(
    "--steps", type=int, default=2, help="timed steps, after the first"
  )
  parser.add_argument(
    "--child", action="store_true", help="measure one case here, print JSON"
  )
  return parser.parse_args(arguments)


def main(arguments=None):
  """Prints the table, and writes it if a folder is given."""
  given = read_arguments(arguments)
  chosen = cases(given.method, given.num_modules)
  if given.child:
    ((method, number),) = chosen
    config = dataclasses.replace(
      PRESETS["smoke_imagenet"],
      method=method,
      num_modules=number,
      batch_size=given.batch_size,
      image_size=given.image_size,
      width=given.width,
    )
    print(json.dumps(measure(config, given.steps)))
    return
  rows = {}
  for method, number in chosen:
    print(f"{method}, {number} module(s) ...", file=sys.stderr, flush=True)
    rows[method, number] = measure_elsewhere(method, number, given)
  text = (
    f"`python -m benchmarks.decoupled_memory --method={given.method} "
    f"--num_modules={given.num_modules} --batch_size={given.batch_size} "
    f"--image_size={given.image_size} --width={given.width}` on "
    f"{timing.machine()}.\n\n{make_table(rows, given.batch_size)}"
  )
  timing.publish(text, given.output, "decoupled_memory")


if __name__ == "__main__":
  main()
