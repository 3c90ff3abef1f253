"""Times projected against full derivatives as the outputs grow in number.

    python -m benchmarks.projected_derivatives [--output=results/benchmarks]

The gradient of the loss on projected derivatives takes one backward pass per
order however many outputs the network has (paper §2); a full Jacobian takes
one per output. The network is 32-256-256-outputs with ReLU, at 100 points; a
step is the gradient of the Sobolev loss w.r.t. all parameters.
"""

import sonnet as snt
import tensorflow as tf

from benchmarks import timing
from sobolev_tf import (
  derivatives,
  projected_derivatives,
  random_directions,
  sobolev_loss,
)

_OUTPUTS = (1, 10, 100, 1000)
_POINTS, _INPUTS = 100, 32


def build_step(num_outputs, kind):
  """A compiled call that computes the loss's gradient w.r.t. parameters."""
  network = snt.nets.MLP([256, 256, num_outputs])
  x = tf.random.stateless_normal([_POINTS, _INPUTS], [0, 0])
  values = tf.zeros_like(network(x))
  shapes = {
    "value": [],
    "projected": [[_POINTS, _INPUTS]],
    "full": [[_POINTS, num_outputs, _INPUTS]],
  }
  target = (values, *(tf.zeros(shape) for shape in shapes[kind]))

  @tf.function
  def step(seed):
    with tf.GradientTape() as tape:
      if kind == "projected":
        direction = random_directions(values.shape, seed)
        predicted = projected_derivatives(network, x, [direction])
      else:
        predicted = derivatives(network, x, len(target) - 1)
      loss = tf.reduce_mean(sobolev_loss(predicted, target).loss)
    return tape.gradient(loss, network.trainable_variables)

  return lambda: step(tf.constant([1, 2]))[0].numpy()


def main(arguments=None):
  """Prints the table, and writes it if a folder is given."""
  given = timing.build_parser("projected_derivatives", __doc__).parse_args(
    arguments
  )
  lines = [
    f"`python -m benchmarks.projected_derivatives` on {timing.machine()}.",
    "",
    "| outputs | value only, µs | projected, µs | full Jacobian, µs "
    "| projected / value | full / value |",
    "|---|---|---|---|---|---|",
  ]
  for outputs in _OUTPUTS:
    # The full Jacobian of many outputs takes seconds and gigabytes.
    kinds = ("value", "projected") + (("full",) if outputs <= 100 else ())
    times = timing.interleaved(
      {kind: (build_step(outputs, kind), 1) for kind in kinds}
    )
    value, projected = times["value"], times["projected"]
    full = times.get("full")
    lines.append(
      f"| {outputs} | {value:.0f} | {projected:.0f} "
      f"| {f'{full:.0f}' if full else 'not run'} | {projected / value:.2f} "
      f"| {f'{full / value:.2f}' if full else ''} |"
    )
  text = "\n".join(lines) + "\n"
  timing.publish(text, given.output, "projected_derivatives")


if __name__ == "__main__":
  main()
