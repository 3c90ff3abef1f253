r"""Times a Sobolev distillation step against a regular one.

    python -m benchmarks.distillation_step [--batch_size=200] \
        [--num_actions=4] [--output=results/benchmarks]

Student and teacher are the paper's networks on random frames. The student's
steps are the trainer's own objective, gradients taken w.r.t. 4x4 blocks of
pixels (`frames_to_blocks`) as the trainer takes them; the teacher's work is
timed apart: one forward pass, its projected gradients, and the same from
Jacobians that were computed once (`--jacobian_gib` of the trainer). The
candidates take turns and medians count. Beside each measured time stands the
one that multiply-adds give. In units of a forward pass:

- a regular step of the student takes 3, less the first layer's share of one:
  nobody asks for the gradient w.r.t. the input;
- a Sobolev step takes 6, less the same: the input gradient's backward pass is
  differentiated again;
- the teacher takes 2 for its gradients, forward and back to the input;
- a Jacobian takes one product per action and number of its input.
"""

import math

import numpy as np
import tensorflow as tf

from benchmarks import timing
from sobolev_tf.distillation.objective import (
  policy_directions,
  policy_distillation_loss,
  projected_policy_gradient,
)
from sobolev_tf.networks.atari import (
  INPUT_SHAPE,
  StudentNetwork,
  TeacherNetwork,
  frames_to_blocks,
  frames_to_input,
)
from sobolev_tf.training.optimizers import SharedAdam
from trainers.distillation.jacobians import TeacherJacobians

_ALPHA = 0.1
_NUM_KEPT = 2_000  # frames whose Jacobians no processor's cache holds

# Two ways to the teacher's projected gradients.
_ASKED, _KEPT = "teacher, gradients", "teacher, gradients from Jacobians"


def layer_costs(network):
  """Multiply-adds per frame of each layer of a policy, forward, from below."""
  frame = tf.TensorSpec([1, *INPUT_SHAPE], tf.float32)
  graph = tf.function(lambda s: network(s)).get_concrete_function(frame).graph
  return [
    op.outputs[0].shape.num_elements()
    * op.inputs[1].shape[:-1].num_elements()  # products per output
    for op in graph.get_operations()
    if op.type in ("Conv2D", "MatMul")
  ]


def arithmetic(student, teacher, num_actions):
  """Multiply-adds per frame of every candidate.

  Args:
    student: cost of each layer, forward.
    teacher: the same.
    num_actions: size of their outputs.
  """
  return {
    "regular step": 3 * sum(student) - student[0],
    "Sobolev step": 6 * sum(student) - student[0],
    "teacher, logits": sum(teacher),
    _ASKED: 2 * sum(teacher),
    _KEPT: num_actions * math.prod(INPUT_SHAPE),
  }


def build_candidates(batch_size, num_actions, num_kept=_NUM_KEPT):
  """Everything to time.

  Args:
    batch_size: frames per step.
    num_actions: size of the policies.
    num_kept: frames that Jacobians are kept of.

  Returns:
    (candidates, costs): dicts from a name to (call, frames) and to
    multiply-adds per frame.
  """
  student, teacher = StudentNetwork(num_actions), TeacherNetwork(num_actions)
  rng = np.random.default_rng(0)
  frames = tf.constant(
    rng.integers(0, 256, [batch_size, *INPUT_SHAPE], dtype=np.uint8)
  )
  optimizer = SharedAdam(1e-4)
  optimizer.build(student.trainable_variables)

  def update(predict, target):
    variables = student.trainable_variables
    with tf.GradientTape() as tape:
      losses = policy_distillation_loss(predict(), target, _ALPHA).loss
      loss = tf.reduce_mean(losses)
    optimizer.apply(tape.gradient(loss, variables), variables)
    return loss

  @tf.function
  def ask():
    return teacher(frames_to_input(frames))

  @tf.function
  def teach(logits):
    s = frames_to_blocks(frames)
    v = policy_directions(logits, (0, 0))
    return projected_policy_gradient(teacher.from_blocks, s, v)

  @tf.function
  def regular(logits):
    s = frames_to_input(frames)
    return update(lambda: (student(s),), (logits,))

  @tf.function
  def sobolev(logits, gradient):
    s = frames_to_blocks(frames)
    v = policy_directions(logits, (0, 0))
    return update(
      lambda: projected_policy_gradient(student.from_blocks, s, v),
      (logits, gradient),
    )

  project = _build_projection(teacher, batch_size, num_kept)
  logits, gradient = teach(ask())
  calls = {
    "regular step": lambda: regular(logits).numpy(),
    "Sobolev step": lambda: sobolev(logits, gradient).numpy(),
    "teacher, logits": lambda: ask().numpy(),
    # A sum is little to hand over and needs all of it.
    _ASKED: lambda: teach(logits)[1][0, 0, 0, 0].numpy(),
    _KEPT: lambda: project(logits),
  }
  costs = arithmetic(layer_costs(student), layer_costs(teacher), num_actions)
  return {name: (call, batch_size) for name, call in calls.items()}, costs


def _build_projection(teacher, batch_size, num_kept):
  """A function from logits to gradients of frames drawn from those kept."""
  rng = np.random.default_rng(1)
  frames = rng.integers(0, 256, [num_kept, *INPUT_SHAPE], dtype=np.uint8)
  jacobians = TeacherJacobians(teacher, frames)

  def project(logits):
    rows = rng.choice(num_kept, batch_size)
    v = policy_directions(logits, (0, 0))
    return tf.constant(jacobians.project(rows, v.numpy()))

  return project


def make_table(times, costs, batch_size):
  """Renders the comparison as Markdown.

  Args:
    times: microseconds per frame from a candidate.
    costs: multiply-adds per frame from a candidate.
    batch_size: frames per step.
  """
  times, costs = _with_sums(times), _with_sums(costs)
  lines = [
    "| | ms per batch | images/s | measured / regular | arithmetic / regular "
    "| measured / arithmetic | GFLOP/s |",
    "|---|---|---|---|---|---|---|",
  ]
  for name, time in times.items():
    ratio = time / times["regular step"]
    expected = costs[name] / costs["regular step"]
    lines.append(
      f"| {name} | {time * batch_size / 1e3:.1f} | {1e6 / time:,.0f} "
      f"| {ratio:.2f} | {expected:.2f} | {ratio / expected:.2f} "
      f"| {2 * costs[name] / time / 1e3:.0f} |"
    )
  return "\n".join(lines) + "\n"


def _with_sums(found):
  own = found["Sobolev step"]
  return {
    **found,
    "Sobolev step with its teacher": own + found[_ASKED],
    "Sobolev step with Jacobians": own + found[_KEPT],
  }


def main(arguments=None):
  """Prints the table, and writes it if a folder is given."""
  parser = timing.build_parser("distillation_step", __doc__)
  parser.add_argument("--rounds", type=int, default=9)
  parser.add_argument("--batch_size", type=int, default=200)
  parser.add_argument("--num_actions", type=int, default=4)
  given = parser.parse_args(arguments)
  candidates, costs = build_candidates(given.batch_size, given.num_actions)
  times = timing.interleaved(candidates, given.rounds)
  text = (
    f"`python -m benchmarks.distillation_step --batch_size={given.batch_size} "
    f"--num_actions={given.num_actions}` on {timing.machine()}; medians of "
    f"{given.rounds} rounds in turns. The machine's matrix products reach "
    f"{timing.sgemm_gflops():.0f} GFLOP/s.\n\n"
    + make_table(times, costs, given.batch_size)
  )
  timing.publish(text, given.output, "distillation_step")


if __name__ == "__main__":
  main()
