"""Writes an Atari policy as a SavedModel that needs none of our code.

    python -m sobolev_tf.export --checkpoint=student.npz --output=DIR

Its signatures, for TensorFlow Serving and `saved_model_cli`:

    serving_default  frames uint8 [N, 84, 84, 4], oldest first
                     -> logits, probabilities [N, A], action int64 [N]; with
                     --value, of a teacher, also value [N]
    input_gradient   frames, directions float32 [N, A]
                     -> log_policy [N, A], gradient [N, 84, 84, 4]
    value_and_derivatives, jvp, hvp
                     as of any exported model (`derivative_signatures`): x is
                     the network's input s, y the logits

The gradient is grad_s <log pi(s), v> w.r.t. the network's input s = frames /
255, the quantity that students are trained on (paper §4.2). After
`tf.saved_model.load(DIR)` the functions `serve`, `input_gradient` and, of
inputs s, `logits` can be differentiated again, w.r.t. `parameters` too. The
card of the policy, with the names of its actions, lies in DIR/assets.
"""

import argparse
import sys
from collections.abc import Callable, Sequence

import sonnet as snt
import tensorflow as tf

from sobolev_tf.distillation.objective import projected_policy_gradient
from sobolev_tf.export.derivative_signatures import ExportedModel
from sobolev_tf.export.folders import new_folder
from sobolev_tf.export.policies import load_policy
from sobolev_tf.export.weights import card_path
from sobolev_tf.networks.atari import INPUT_SHAPE, frames_to_input

_FRAMES = tf.TensorSpec([None, *INPUT_SHAPE], tf.uint8, "frames")


class ExportedPolicy(tf.Module):
  """A policy with its functions traced for any batch size.

  Attributes:
    network: the policy's network.
    parameters: list of its variables; a reloaded module has no other list.
    card: the file that describes it, copied along.
  """

  def __init__(
    self,
    network: snt.Module,
    card: str | None = None,
    with_value: bool = False,
  ):
    """Traces the functions.

    Args:
      network: a `TeacherNetwork` or a `StudentNetwork`.
      card: path of its card, if it has one.
      with_value: whether to serve a teacher's value as well.
    """
    super().__init__(name="policy")
    self.network = network
    self._with_value = with_value
    self.parameters = list(network.trainable_variables)
    self.card = None if card is None else tf.saved_model.Asset(card)
    s = tf.TensorSpec([None, *INPUT_SHAPE], tf.float32, "s")
    directions = tf.TensorSpec(
      [None, network.num_actions], tf.float32, "directions"
    )
    self.logits = tf.function(network, input_signature=[s])
    self.derivatives = ExportedModel(network, self.parameters, s)
    self.serve = tf.function(self._serve, input_signature=[_FRAMES])
    self.input_gradient = tf.function(
      self._input_gradient, input_signature=[_FRAMES, directions]
    )

  @property
  def signatures(self) -> dict[str, Callable]:
    """Functions by the names that a server knows them by."""
    return self.derivatives.signatures | {
      "serving_default": self.serve.get_concrete_function(),
      "input_gradient": self.input_gradient.get_concrete_function(),
    }

  def _serve(self, frames):
    s = frames_to_input(frames)
    if self._with_value:
      logits, value = self.network.policy_and_value(s)
    else:
      logits, value = self.network(s), None
    return ({} if value is None else {"value": value}) | {
      "logits": logits,
      "probabilities": tf.nn.softmax(logits),
      "action": tf.argmax(logits, axis=1),
    }

  def _input_gradient(self, frames, directions):
    log_policy, gradient = projected_policy_gradient(
      self.network, frames_to_input(frames), directions[:, tf.newaxis]
    )
    return {"log_policy": log_policy, "gradient": gradient[:, 0]}


def export_policy(
  checkpoint: str, folder: str, with_value: bool = False
) -> None:
  """Writes a policy's SavedModel; the whole of it or nothing.

  Args:
    checkpoint: .npz of a teacher or a student, its card beside it.
    folder: to be made.
    with_value: whether `serving_default` gives a teacher's value as well.

  Raises:
    ValueError: the checkpoint is missing, damaged or, where a value is wanted,
      a student's, or the folder holds something already or cannot be written.
  """
  network, _ = load_policy(checkpoint, "teacher" if with_value else None)
  with new_folder(folder) as partial:
    policy = ExportedPolicy(network, card_path(checkpoint), with_value)
    tf.saved_model.save(policy, partial, signatures=policy.signatures)


def main(arguments: Sequence[str] | None = None) -> int:
  """Exports what the command line names; returns the exit code."""
  parser = argparse.ArgumentParser(
    prog="python -m sobolev_tf.export",
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )
  parser.add_argument(
    "--checkpoint", required=True, help=".npz of a teacher or a student"
  )
  parser.add_argument("--output", required=True, help="folder to be made")
  parser.add_argument(
    "--value", action="store_true", help="serve a teacher's value as well"
  )
  given = parser.parse_args(arguments)
  try:
    export_policy(given.checkpoint, given.output, given.value)
  except ValueError as error:
    print(f"error: {error}", file=sys.stderr)
    return 2
  print(f"Written to {given.output}.")
  return 0
