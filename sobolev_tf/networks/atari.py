"""Teacher and student of the policy distillation experiment (§4.2, SM §3)."""

import sonnet as snt
import tensorflow as tf

from sobolev_tf.networks.initialisers import Orthogonal

INPUT_SHAPE = (84, 84, 4)

# (channels, kernel, stride) of the convolutions, then the units of the linear
# layer after them.
_TEACHER = (((32, 8, 4), (64, 4, 2), (64, 3, 1)), 512)
_STUDENT = (((16, 8, 4), (32, 4, 2)), 256)

_BLOCK = 4  # pixels: the stride of the first convolution
# What `frames_to_blocks` makes of a frame: 21, 21, 64.
BLOCKS_SHAPE = (
  *(size // _BLOCK for size in INPUT_SHAPE[:2]),
  _BLOCK**2 * INPUT_SHAPE[2],
)

# The customary gains of actor-critics: ReLU's in the trunk, a policy that
# starts nearly uniform, a value of ordinary size.
_TRUNK_GAIN, _POLICY_GAIN, _VALUE_GAIN = 2**0.5, 0.01, 1.0


def frames_to_input(frames: tf.Tensor) -> tf.Tensor:
  """Turns pixels, uint8 `[B, 84, 84, 4]`, into network input in [0, 1]."""
  return tf.cast(frames, tf.float32) / 255.0


def frames_to_blocks(frames: tf.Tensor) -> tf.Tensor:
  """Network input with the pixels of every 4x4 square side by side.

  On it the first layer, 8x8 with stride 4, is a 2x2 convolution with stride 1,
  whose gradient w.r.t. the input takes a processor a quarter of the time. A
  gradient w.r.t. blocks holds the numbers of the one w.r.t. `frames_to_input`
  in another order, so that norms agree.

  Args:
    frames: uint8 `[B, 84, 84, 4]`.

  Returns:
    float32 `[B, 21, 21, 64]`, for the networks' `from_blocks`.
  """
  return frames_to_input(tf.nn.space_to_depth(frames, _BLOCK))


class StudentNetwork(snt.Module):
  """The student: 16 8x8 stride 4, 32 4x4 stride 2, 256 units (SM §3).

  The supplement names neither padding nor initialisation: ours are no padding,
  and orthogonal weights, both customary for this family of networks.
  """

  def __init__(self, num_actions: int, seed: int = 0, name: str | None = None):
    """Makes the variables.

    Args:
      num_actions: size of the output.
      seed: of the initial weights, which depend on nothing else.
      name: module name.
    """
    super().__init__(name=name)
    self.num_actions = num_actions
    self.trunk = _Trunk(*_STUDENT, seed)
    self.policy = _linear(num_actions, _POLICY_GAIN, (seed, 10), "policy")
    self(tf.zeros([1, *INPUT_SHAPE]))

  def __call__(self, s: tf.Tensor) -> tf.Tensor:
    """Maps input `[B, 84, 84, 4]` in [0, 1], oldest frame first, to logits."""
    return self.policy(self.trunk(s))  # [B, actions]

  def from_blocks(self, x: tf.Tensor) -> tf.Tensor:
    """The same logits from input `[B, 21, 21, 64]` of `frames_to_blocks`."""
    return self.policy(self.trunk.from_blocks(x))  # [B, actions]


class TeacherNetwork(snt.Module):
  """The feed-forward actor-critic that the students learn from (SM §3).

  Convolutions 32 8x8 stride 4, 64 4x4 stride 2, 64 3x3 stride 1, 512 units,
  each with ReLU; on top the logits of the policy and a value. Padding and
  initialisation as in `StudentNetwork`.
  """

  def __init__(self, num_actions: int, seed: int = 0, name: str | None = None):
    """Makes the variables; see `StudentNetwork`."""
    super().__init__(name=name)
    self.num_actions = num_actions
    self.trunk = _Trunk(*_TEACHER, seed)
    self.policy = _linear(num_actions, _POLICY_GAIN, (seed, 10), "policy")
    self.value = _linear(1, _VALUE_GAIN, (seed, 11), "value")
    self.policy_and_value(tf.zeros([1, *INPUT_SHAPE]))

  def __call__(self, s: tf.Tensor) -> tf.Tensor:
    """Maps input `[B, 84, 84, 4]` in [0, 1], oldest frame first, to logits."""
    return self.policy(self.trunk(s))  # [B, actions]

  def from_blocks(self, x: tf.Tensor) -> tf.Tensor:
    """The same logits from input `[B, 21, 21, 64]` of `frames_to_blocks`."""
    return self.policy(self.trunk.from_blocks(x))  # [B, actions]

  def policy_and_value(self, s: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Logits `[B, actions]` and values `[B]` of one pass through the trunk."""
    h = self.trunk(s)  # [B, 512]
    return self.policy(h), tf.squeeze(self.value(h), axis=1)


class _Trunk(snt.Module):
  """Convolutions and a linear layer, each with ReLU."""

  def __init__(self, convolutions, units, seed):
    super().__init__(name="trunk")
    self.convolutions = [
      snt.Conv2D(
        channels,
        kernel,
        stride,
        padding="VALID",
        w_init=Orthogonal(seed, number, _TRUNK_GAIN),
        name=f"conv_{number}",
      )
      for number, (channels, kernel, stride) in enumerate(convolutions, start=1)
    ]
    self.hidden = _linear(units, _TRUNK_GAIN, (seed, 9), "hidden")

  def __call__(self, s):
    return self._upper(self.convolutions[0](s))

  def from_blocks(self, x):
    first = self.convolutions[0]
    size, _, history, channels = first.w.shape
    side = size // _BLOCK
    w = tf.reshape(first.w, [side, _BLOCK, side, _BLOCK, history, channels])
    w = tf.transpose(w, [0, 2, 1, 3, 4, 5])
    w = tf.reshape(w, [side, side, _BLOCK * _BLOCK * history, channels])
    return self._upper(tf.nn.conv2d(x, w, 1, "VALID") + first.b)

  def _upper(self, h):
    """Features of what the first convolution gives."""
    h = tf.nn.relu(h)
    for convolution in self.convolutions[1:]:
      h = tf.nn.relu(convolution(h))
    return tf.nn.relu(self.hidden(snt.flatten(h)))


def _linear(units, gain, seed, name):
  return snt.Linear(units, w_init=Orthogonal(*seed, gain), name=name)
