r"""Times a step of every row of Table 1 against backpropagation.

    python -m benchmarks.decoupled_step [--width=0.25] [--batch_size=32] \
        [--output=results/benchmarks]

All methods train the CIFAR-10 network, split at three borders, on the same
random pictures, with the trainer's own step; they take turns and medians
count. Beside each measured ratio stands the one that the multiply-adds of the
layers give, in units of a forward pass:

- backpropagation takes 3 units of the main network;
- a method whose estimators learn from the true gradient takes 4, because that
  gradient travels down beside the synthetic one; with bootstrapped targets 3,
  and a critic needs no true gradient at all;
- Noprop takes the forward pass, and the two others in the top segment alone;
- an estimator takes 3, and 6 where its gradient is matched, which
  differentiates its backward pass again.
"""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from benchmarks import timing
from sobolev_tf.synthetic_gradients import Target
from trainers.synthetic_gradients.learner import SyntheticGradientLearner
from trainers.synthetic_gradients.networks import METHODS, SUPERVISION
from trainers.synthetic_gradients.train import PRESETS

_IMAGE_SHAPE = (32, 32, 3)
_NUM_CLASSES = 10


def convolution_cost(kernel, rows, columns):
  """Multiply-adds per picture of a convolution with that many outputs."""
  return math.prod(kernel.shape.as_list()) * rows * columns


def segment_costs(segments):
  """Multiply-adds per picture of each segment, forward."""
  costs, size = [], _IMAGE_SHAPE[0]
  for segment in segments:
    cost = 0
    for convolution, _ in segment.layers:
      size = -(-size // convolution.stride)
      cost += convolution_cost(convolution.w, size, size)
    if segment.output is not None:
      cost += math.prod(segment.output.w.shape.as_list())
    costs.append(cost)
  return costs


def estimator_costs(network):
  """Multiply-adds per picture of each estimator, forward."""
  costs = []
  outputs = network.activations(tf.zeros([1, *_IMAGE_SHAPE]))
  for estimator, h in zip(network.estimators, outputs[:-1], strict=True):
    _, rows, columns, _ = h.shape
    cost = 0
    for variable in estimator.variables:
      if variable.shape.rank == 4:
        cost += convolution_cost(variable, rows, columns)
      elif variable.shape.rank == 2:
        cost += math.prod(variable.shape.as_list())
    costs.append(cost)
  return costs


def arithmetic(method, targets, main, estimators):
  """Multiply-adds of a step per picture.

  Args:
    method: a row of Table 1.
    targets: "true" or "bootstrapped".
    main: cost of each segment, forward.
    estimators: cost of each estimator, forward.
  """
  if method == "backprop":
    return 3 * sum(main)
  if method == "noprop":
    return sum(main) + 2 * main[-1]
  matches_gradient = method == "direct" or (
    method in SUPERVISION and SUPERVISION[method][1]
  )
  units = 4 if matches_gradient and targets == "true" else 3
  is_differentiated_twice = method != "direct" and matches_gradient
  return units * sum(main) + (6 if is_differentiated_twice else 3) * sum(
    estimators
  )


def build_learner(method, targets, width, batch_size):
  """The trainer's learner for one method."""
  config = dataclasses.replace(
    PRESETS["desk"],
    method=method,
    targets=targets,
    width=width,
    batch_size=batch_size,
  )
  return SyntheticGradientLearner(
    config, tf.distribute.get_strategy(), _IMAGE_SHAPE, _NUM_CLASSES
  )


def estimators_alone(learner, x, y):
  """A callable that does the estimators' part of a step and nothing else."""
  network = learner.network
  activations = network.activations(x)[:-1]
  targets = [
    Target(
      tf.ones([len(x)]), tf.random.stateless_normal(h.shape, [0, 0]), 2 * y
    )
    for h in activations
  ]

  @tf.function
  def step(activations, targets):
    results = []
    for estimator, h, target in zip(
      network.estimators, activations, targets, strict=True
    ):
      with tf.GradientTape() as tape:
        estimate = estimator(h, y)
        loss = tf.reduce_mean(estimator.loss(estimate, target).loss)
      variables = list(estimator.trainable_variables)
      results += [estimate.gradient, *tape.gradient(loss, variables)]
    # Sums keep every result alive and little to hand over.
    return tf.add_n([tf.reduce_sum(result) for result in results])

  return lambda: step(activations, targets).numpy()


def build_candidates(targets, width, batch_size, methods=METHODS):
  """Everything to time, and each method's arithmetic.

  Returns:
    (candidates, costs): dict from (method, part) to (call, units) with part
    "step" or "estimators", and dict from a method to its multiply-adds.
  """
  x = tf.random.stateless_normal([batch_size, *_IMAGE_SHAPE], [0, 1])
  y = tf.one_hot(np.arange(batch_size) % _NUM_CLASSES, _NUM_CLASSES)
  candidates, costs = {}, {}
  for method in methods:
    learner = build_learner(method, targets, width, batch_size)
    network = learner.network
    costs[method] = arithmetic(
      method,
      targets,
      segment_costs(network.segments),
      estimator_costs(network),
    )

    def step(learner=learner):
      return learner.train_step(x, y, False)["loss"].numpy()

    candidates[method, "step"] = step, 1
    if method not in ("backprop", "noprop"):
      candidates[method, "estimators"] = estimators_alone(learner, x, y), 1
  return candidates, costs


def make_table(times, costs):
  """Renders the comparison as Markdown.

  Args:
    times: microseconds from (method, part).
    costs: multiply-adds per picture and step, from a method.
  """
  lines = [
    "| method | ms/step | share in estimators | step / backprop "
    "| arithmetic | measured / arithmetic |",
    "|---|---|---|---|---|---|",
  ]
  base = times["backprop", "step"]
  for method, cost in costs.items():
    time = times[method, "step"]
    share = times.get((method, "estimators"), 0.0) / time
    ratio, expected = time / base, cost / costs["backprop"]
    lines.append(
      f"| {method} | {time / 1e3:.1f} | {share:.0%} | {ratio:.2f} "
      f"| {expected:.2f} | {ratio / expected:.2f} |"
    )
  return "\n".join(lines) + "\n"


def main(arguments=None):
  """Prints the table, and writes it if a folder is given."""
  parser = timing.build_parser("decoupled_step", __doc__)
  parser.add_argument("--rounds", type=int, default=9)
  parser.add_argument(
    "--width", type=float, default=0.25, help="factor on all channels"
  )
  parser.add_argument("--batch_size", type=int, default=32)
  parser.add_argument(
    "--targets", default="true", choices=["true", "bootstrapped"]
  )
  given = parser.parse_args(arguments)
  candidates, costs = build_candidates(
    given.targets, given.width, given.batch_size
  )
  times = timing.interleaved(candidates, given.rounds)
  text = (
    f"`python -m benchmarks.decoupled_step --width={given.width} "
    f"--batch_size={given.batch_size} --targets={given.targets}` on "
    f"{timing.machine()}; medians of {given.rounds} rounds in turns.\n\n"
    + make_table(times, costs)
  )
  kind = "" if given.targets == "true" else f"_{given.targets}"
  timing.publish(text, given.output, f"decoupled_step{kind}")


if __name__ == "__main__":
  main()
