"""Times a training step of Figure 2's network against its rivals.

    python -m benchmarks.sobolev_step [--output=results/benchmarks]

The network is 2-256-256-1 with ReLU and Adam, at 20 and 100 points, in the
trainer, in `SobolevModel.fit_full_batch` (its compiled loop; compiling takes a
few seconds once) and in `SobolevModel.fit`, whose epochs are one update. All
candidates take turns in one process; medians count. The rivals come with
`pip install -r requirements-bench.txt`; one that is missing is left out.
"""

import functools
import importlib.util

import keras
import numpy as np
import tensorflow as tf

from benchmarks import rivals, timing
from sobolev_tf.model import SobolevModel
from sobolev_tf.training import minimisers
from trainers.regression.learner import RegressionLearner

_NUM_STEPS = 100
_SEEDS = 5
_RIVALS = {
  "JAX, lax.scan, jitted": ("jax", rivals.jax_steps, _NUM_STEPS),
  "PyTorch, torch.compile": (
    "torch",
    functools.partial(rivals.torch_steps, compiled=True),
    _NUM_STEPS,
  ),
  "PyTorch, eager": ("torch", rivals.torch_steps, _NUM_STEPS),
  "JENN, ReLU": ("jenn", rivals.jenn_steps, 20),
  "JENN, its default tanh": (
    "jenn",
    functools.partial(rivals.jenn_steps, activation="tanh"),
    20,
  ),
}
_OURS = "the trainer"
_OURS_SEEDS = f"the trainer, {_SEEDS} seeds side by side, per network"
_FULL_BATCH = "fit_full_batch"
_FIT = "fit, an update an epoch"
_FIT_STEPS = 10
_SHORTCUT = (_OURS, _OURS_SEEDS, _FULL_BATCH)
# Multiply-adds of one network and point, forward.
_PRODUCTS = 2 * 256 + 256 * 256 + 256


def make_examples(num_points):
  """Smooth random labels: x `[B, 2]`, y `[B, 1]`, dy `[B, 1, 2]`, float32."""
  x = np.random.default_rng(0).normal(size=[num_points, 2])
  y = np.sin(x).sum(axis=1, keepdims=True)
  dy = np.cos(x)[:, np.newaxis]
  return tuple(array.astype(np.float32) for array in (x, y, dy))


def our_steps(examples, method, num_networks):
  """The trainer's own compiled step, on `num_networks` copies of the data."""
  learner = RegressionLearner(
    method, range(num_networks), rivals.HIDDEN, rivals.LEARNING_RATE
  )
  data = [
    tf.constant(np.concatenate([array] * num_networks)[np.newaxis])
    for array in examples
  ]

  def call():
    losses, _ = learner.train_steps(*data, tf.constant(_NUM_STEPS))
    losses.numpy()

  return call


def _compiled_model(method):
  """The same network as a user would write it."""
  dense = keras.layers.Dense
  layers = [dense(units, "relu") for units in rivals.HIDDEN] + [dense(1)]
  model = SobolevModel(keras.Sequential(layers))
  model.compile(
    keras.optimizers.Adam(rivals.LEARNING_RATE),
    derivative_weights=float(method == "sobolev"),
  )
  return model


def full_batch_steps(examples, method):
  """The compiled loop of `fit_full_batch`."""
  x, y, dy = examples
  model = _compiled_model(method)
  x, labels = model.receive(x, (y, dy))
  model.prepare(x, labels)
  minimiser = minimisers.Adam(
    model,
    x,
    labels,
    sample_weight=None,
    l2=0.0,
    batch_size=None,
    updates=10**9,
    updates_per_epoch=_NUM_STEPS,
    jit_compile=None,
  )
  minimiser.begin(0)

  def call():
    minimiser.advance()
    minimiser.logs()

  return call


def fit_steps(examples, method):
  """Keras' `fit` on one batch an epoch, as of a small data set."""
  x, y, dy = examples
  model = _compiled_model(method)

  def call():
    model.fit(
      x, (y, dy), batch_size=len(x), epochs=_FIT_STEPS, shuffle=False, verbose=0
    )

  return call


def build_candidates(num_points):
  """All candidates at one size: dict from (name, method) to (call, units)."""
  examples = make_examples(num_points)
  candidates = {}
  for method in ("regular", "sobolev"):
    candidates[_OURS, method] = our_steps(examples, method, 1), _NUM_STEPS
    candidates[_OURS_SEEDS, method] = (
      our_steps(examples, method, _SEEDS),
      _NUM_STEPS * _SEEDS,
    )
    candidates[_FULL_BATCH, method] = (
      full_batch_steps(examples, method),
      _NUM_STEPS,
    )
    candidates[_FIT, method] = fit_steps(examples, method), _FIT_STEPS
    for name, (package, make, num_steps) in _RIVALS.items():
      if importlib.util.find_spec(package):
        call = make(*examples, method == "sobolev", num_steps)
        candidates[name, method] = call, num_steps
  return candidates


def make_table(times, num_points, peak):
  """Renders one size as Markdown.

  Args:
    times: microseconds per step, from (name, method).
    num_points: points in the batch.
    peak: the machine's GFLOP/s.
  """
  lines = [
    f"| {num_points} points | regular, µs/step | Sobolev, µs/step "
    "| Sobolev / regular | Sobolev step against ours | GFLOP/s "
    "| share of sgemm |",
    "|---|---|---|---|---|---|---|",
  ]
  ours = times[_OURS, "sobolev"]
  for name in dict.fromkeys(name for name, _ in times):
    regular, sobolev = times[name, "regular"], times[name, "sobolev"]
    # Nested differentiation makes six matrix products per layer in a Sobolev
    # step (three in a regular one); our shorter backward pass makes four.
    products = 4 if name in _SHORTCUT else 6
    rate = products * 2 * _PRODUCTS * num_points / sobolev / 1e3
    lines.append(
      f"| {name} | {regular:.0f} | {sobolev:.0f} | {sobolev / regular:.2f} "
      f"| {sobolev / ours:.2f} | {rate:.0f} | {rate / peak:.0%} |"
    )
  return "\n".join(lines) + "\n"


def main(arguments=None):
  """Prints the tables, and writes them if a folder is given."""
  parser = timing.build_parser("sobolev_step", __doc__)
  parser.add_argument("--rounds", type=int, default=15)
  given = parser.parse_args(arguments)
  peak = timing.sgemm_gflops()
  text = (
    f"`python -m benchmarks.sobolev_step` on {timing.machine()}; "
    f"sgemm {peak:.0f} GFLOP/s; medians of {given.rounds} rounds in turns.\n"
  )
  for num_points in (20, 100):
    times = timing.interleaved(build_candidates(num_points), given.rounds)
    text += "\n" + make_table(times, num_points, peak)
  timing.publish(text, given.output, "sobolev_step")
  missing = [
    name
    for name, (package, *_) in _RIVALS.items()
    if not importlib.util.find_spec(package)
  ]
  if missing:
    print(
      f"Left out, because not installed: {'; '.join(missing)}. "
      "pip install -r requirements-bench.txt"
    )


if __name__ == "__main__":
  main()
