"""Future work of the paper, 3: black-box targets in a generative model of time.

The black box is a simulator in plain NumPy that TensorFlow cannot look into.
Finite differences of one step of it are Jacobian targets for a model of that
step, `p(s' | s) = N(m(s), noise^2)`, which then generates whole trajectories
from its own outputs. There small errors in the Jacobian of m add up.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from sobolev_tf.derivatives.finite_differences import finite_differences
from sobolev_tf.derivatives.nested_tapes import derivatives
from sobolev_tf.theory import training
from sobolev_tf.training.losses import sobolev_loss

_INNER_STEPS, _INNER_TIME = 20, 0.02  # one step of the model is 0.4 s
_NOISE = 0.01  # standard deviation of the process, per step and component


def pendulum_step(states: np.ndarray) -> np.ndarray:
  """Moves damped pendulums on by 0.4 s: the black box.

  Args:
    states: `[B, 2]`, angle in radians and angular velocity per second.

  Returns:
    `[B, 2]`, without noise.
  """
  angle, velocity = np.array(states, np.float64).T
  for _ in range(_INNER_STEPS):
    velocity = velocity - _INNER_TIME * (4 * np.sin(angle) + 0.1 * velocity)
    angle = angle + _INNER_TIME * velocity
  return np.stack([angle, velocity], axis=1)


def generate(
  step: Callable,
  start: np.ndarray,
  num_steps: int,
  noise: float = 0.0,
  seed: int = 0,
) -> np.ndarray:
  """Generates trajectories by feeding a step its own outputs.

  Args:
    step: function of states `[B, 2]`.
    start: `[B, 2]`.
    num_steps: how many steps.
    noise: standard deviation added after each step.
    seed: of the noise.

  Returns:
    `[num_steps + 1, B, 2]`, the start included.
  """
  rng = np.random.default_rng(seed)
  states = [np.asarray(start)]
  for _ in range(num_steps):
    drawn = noise * rng.normal(size=states[-1].shape)
    states.append(np.asarray(step(states[-1])) + drawn)
  return np.stack(states)


def train_step_model(
  jacobian_weight: float,
  num_points: int = 40,
  num_steps: int = 2000,
  seed: int = 0,
) -> Callable:
  """Learns one step of the simulator from random states.

  Args:
    jacobian_weight: weight of the simulator's Jacobian; 0 leaves values.
    num_points: training states.
    num_steps: updates.
    seed: of the states and of the network.

  Returns:
    Function from states `[B, 2]` to the predicted means `[B, 2]`, NumPy.
  """
  rng = np.random.default_rng(seed)
  states = rng.uniform([-2.5, -4], [2.5, 4], [num_points, 2])
  jacobian = finite_differences(pendulum_step, states).derivative  # [B, 2, 2]
  following = pendulum_step(states)
  following += _NOISE * rng.normal(size=following.shape)
  target = [tf.constant(array, tf.float32) for array in (following, jacobian)]
  x = tf.constant(states, tf.float32)
  network = training.SmoothMLP([2, 32, 32, 2], seed)

  def objective():
    loss = sobolev_loss(derivatives(network, x), target, (1, jacobian_weight))
    return tf.reduce_mean(loss.loss)

  training.minimise(objective, network.trainable_variables, num_steps)
  return lambda s: network(tf.constant(s, tf.float32)).numpy()


def rollout_errors(
  model: Callable, horizon: int = 25, num_trajectories: int = 100, seed: int = 0
) -> np.ndarray:
  """Compares generated mean trajectories with the simulator's.

  Args:
    model: a step, from states to states.
    horizon: steps.
    num_trajectories: how many, from random starts.
    seed: of the starts.

  Returns:
    Root mean square distance of the states after each step, `[horizon + 1]`.
  """
  rng = np.random.default_rng([seed, 1])
  start = rng.uniform([-1.5, -2], [1.5, 2], [num_trajectories, 2])
  true = generate(pendulum_step, start, horizon)
  generated = generate(model, start, horizon)
  squared = np.sum(np.square(generated - true), axis=2)
  return np.sqrt(np.mean(squared, axis=1))
