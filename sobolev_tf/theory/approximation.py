"""Theorems 1 and 2: what values and derivatives can be approximated (SM §1).

Theorem 1 goes from a line to d dimensions: a C1 function of a line is close to
a piecewise linear one in value and slope (Lemma 1), so a sigmoid is (Lemma 2),
so a network of sigmoids is. Theorem 2 is the other side: a derivative that
does not belong to the values cannot be had.
"""

from collections.abc import Callable

import numpy as np
import sonnet as snt
import tensorflow as tf
from numpy.typing import ArrayLike

from sobolev_tf.theory import training

_SAMPLES_PER_PIECE = 32
_MOST_PIECES = 2**20


class ReluNetwork(snt.Module):
  """`c + sum_j a_j relu(<w_j, x> + b_j)`: one hidden layer, one output."""

  def __init__(
    self,
    weights: ArrayLike,
    biases: ArrayLike,
    output_weights: ArrayLike,
    constant: float,
    name: str | None = None,
  ):
    """Takes the weights: `[d, N]`, `[N]`, `[N]` and a number."""
    super().__init__(name=name)
    self.weights = tf.Variable(weights, dtype=tf.float64, name="weights")
    self.biases = tf.Variable(biases, dtype=tf.float64, name="biases")
    self.output_weights = tf.Variable(output_weights, dtype=tf.float64)
    self.constant = tf.Variable(constant, dtype=tf.float64, name="constant")

  @property
  def num_units(self) -> int:
    """How many hidden units there are."""
    return self.biases.shape[0]

  def __call__(self, x: ArrayLike) -> tf.Tensor:
    """Evaluates `[B, d]` to float64 `[B]`."""
    x = tf.cast(x, tf.float64)
    hidden = tf.nn.relu(tf.matmul(x, self.weights) + self.biases)  # [B, N]
    return tf.linalg.matvec(hidden, self.output_weights) + self.constant


def relu_interpolant(knots: ArrayLike, values: ArrayLike) -> ReluNetwork:
  """Builds the piecewise linear function through given points as a network.

  Args:
    knots: `[N + 1]`, increasing.
    values: `[N + 1]`.

  Returns:
    `ReluNetwork` of one input with a unit per knot; constant beyond the knots.

  Raises:
    ValueError: the knots do not increase, or there are fewer than two.
  """
  knots, values = np.asarray(knots, float), np.asarray(values, float)
  if (
    knots.size < 2 or knots.shape != values.shape or np.any(np.diff(knots) <= 0)
  ):
    raise ValueError(
      "knots must be two or more increasing numbers with one value each, but "
      f"knots has shape {list(knots.shape)} and values {list(values.shape)}."
    )
  slopes = np.concatenate([[0], np.diff(values) / np.diff(knots), [0]])
  # A unit adds its weight to the slope from its knot on.
  return ReluNetwork(
    np.ones([1, len(knots)]), -knots, np.diff(slopes), values[0]
  )


def approximate(
  f: Callable, derivative: Callable, low: float, high: float, eps: float
) -> ReluNetwork:
  """Approximates a C1 function within eps in value and derivative (Lemma 1).

  Interpolation in equal pieces: on each the slope is the derivative somewhere
  in the piece (mean value theorem), so it is off by no more than the
  derivative changes there, and the pieces are made short enough for that.
  With a second derivative of size L, about `L (high - low) / (2 eps)` of them.

  Args:
    f: numpy function of `[N]`.
    derivative: its derivative, numpy function of `[N]`.
    low: left end of the interval.
    high: right end.
    eps: positive bound on both errors, checked at 33 points of every piece.

  Returns:
    `ReluNetwork` of one input, with the fewest equal pieces that suffice, two
    at least.

  Raises:
    ValueError: eps is not positive, or the function would need more than a
      million pieces (its derivative may have a jump).
  """
  pieces = _fewest_pieces(f, derivative, low, high, eps)
  knots = np.linspace(low, high, pieces + 1)
  values = f(knots)
  # The end pieces reach past the interval, so that no kink lies on its ends.
  knots[0], values[0] = 2 * knots[0] - knots[1], 2 * values[0] - values[1]
  knots[-1], values[-1] = 2 * knots[-1] - knots[-2], 2 * values[-1] - values[-2]
  return relu_interpolant(knots, values)


def _fewest_pieces(f, derivative, low, high, eps):
  if not eps > 0 or not low < high:
    raise ValueError(
      f"eps must be positive and low < high, but eps is {eps} and the interval "
      f"is [{low}, {high}]."
    )
  pieces = 2
  while not _suffices(f, derivative, low, high, eps, pieces):
    pieces *= 2
    if pieces > _MOST_PIECES:
      raise ValueError(
        f"f needs more than {_MOST_PIECES} pieces for eps = {eps}; check that "
        "derivative belongs to f and is continuous, or use a larger eps."
      )
  too_few = max(pieces // 2, 1)
  while pieces - too_few > 1:
    middle = (pieces + too_few) // 2
    if _suffices(f, derivative, low, high, eps, middle):
      pieces = middle
    else:
      too_few = middle
  return pieces


def _suffices(f, derivative, low, high, eps, pieces):
  knots = np.linspace(low, high, pieces + 1)
  values = f(knots)
  slopes = np.diff(values) / np.diff(knots)
  t = np.linspace(0, 1, _SAMPLES_PER_PIECE + 1)[:, np.newaxis]
  x = knots[:-1] + t * np.diff(knots)  # [samples, pieces]
  line = values[:-1] + t * np.diff(values)
  value_error = np.abs(f(x) - line).max()
  slope_error = np.abs(derivative(x) - slopes).max()
  return bool(value_error < eps and slope_error < eps)


def sigmoid(x: np.ndarray) -> np.ndarray:
  """The logistic function, without overflow."""
  return 0.5 * (1 + np.tanh(0.5 * x))


def sigmoid_derivative(x: np.ndarray) -> np.ndarray:
  """Its derivative."""
  return sigmoid(x) * sigmoid(-x)


def approximate_sigmoid(eps: float) -> ReluNetwork:
  """Approximates the sigmoid on all of R within eps (Lemma 2, Corollary 1).

  Outside [-K, K] the network is constant. The supplement puts the limits 0
  and 1 there, which breaks the continuity at K; the sigmoid's own values at -K
  and K keep it and are as close.

  Args:
    eps: positive bound on the errors in value and derivative.

  Returns:
    `ReluNetwork` of one input.
  """
  # Beyond K both the distance to the limit and the derivative are below eps/2.
  bound = np.log(2 / min(eps, 0.5))
  pieces = _fewest_pieces(sigmoid, sigmoid_derivative, -bound, bound, eps)
  knots = np.linspace(-bound, bound, pieces + 1)
  return relu_interpolant(knots, sigmoid(knots))


class SigmoidNetwork(snt.Module):
  """`sum_j a_j sigmoid(<w_j, x> + b_j)`, the networks of Hornik's theorem."""

  def __init__(
    self,
    weights: ArrayLike,
    biases: ArrayLike,
    output_weights: ArrayLike,
    name: str | None = None,
  ):
    """Takes the weights: `[d, N]`, `[N]` and `[N]`."""
    super().__init__(name=name)
    self.weights = tf.Variable(weights, dtype=tf.float64, name="weights")
    self.biases = tf.Variable(biases, dtype=tf.float64, name="biases")
    self.output_weights = tf.Variable(output_weights, dtype=tf.float64)

  def __call__(self, x: ArrayLike) -> tf.Tensor:
    """Evaluates `[B, d]` to float64 `[B]`."""
    x = tf.cast(x, tf.float64)
    hidden = tf.sigmoid(tf.matmul(x, self.weights) + self.biases)
    return tf.linalg.matvec(hidden, self.output_weights)


def relu_from_sigmoids(network: SigmoidNetwork, eps: float) -> ReluNetwork:
  """Replaces each sigmoid of a network by ReLUs: the last step of Theorem 1.

  Args:
    network: `SigmoidNetwork`.
    eps: positive bound on the error in the value and in the Euclidean norm of
      the gradient, on all of R^d.

  Returns:
    `ReluNetwork` with one hidden layer, of the same inputs.
  """
  w, b = network.weights.numpy(), network.biases.numpy()
  a = network.output_weights.numpy()
  # The proof allots eps / N to each sigmoid. Its error enters the value a_j
  # times and the gradient |a_j| |w_j| times, so the share must allow for both.
  gain = np.sum(np.abs(a) * np.maximum(1, np.linalg.norm(w, axis=0)))
  unit = approximate_sigmoid(eps / max(gain, 1.0))
  kinks, steps = unit.biases.numpy(), unit.output_weights.numpy()
  return ReluNetwork(
    np.repeat(w, len(kinks), axis=1),
    (b[:, np.newaxis] + kinks).reshape(-1),
    (a[:, np.newaxis] * steps).reshape(-1),
    np.sum(a) * unit.constant.numpy(),
  )


def contradiction_bound(
  f_derivative: Callable,
  g: Callable,
  low: float,
  high: float,
  num_points: int = 1001,
) -> float:
  """Bounds from below what any h can do against contradicting labels.

  Theorem 2 with a number: let `|f - h| <= e` and `|g - h'| <= e` on [low,
  high]. For any a < b, integrating `g - f' = (g - h') + (h - f)'` over [a, b]
  gives `|integral of g - f'| <= e (b - a) + 2 e`. The bound is the largest
  value of e that some a and b enforce; it is positive unless g = f'.

  Args:
    f_derivative: derivative of f, numpy function of `[N]`.
    g: what the derivative of h is asked to be, numpy function of `[N]`.
    low: left end of the interval.
    high: right end.
    num_points: of the trapezoidal rule, and candidates for a and b.

  Returns:
    The bound on max(sup |f - h|, sup |g - h'|), up to the rule's error.
  """
  x = np.linspace(low, high, num_points)
  excess = g(x) - f_derivative(x)
  steps = 0.5 * (excess[1:] + excess[:-1]) * np.diff(x)
  integral = np.concatenate([[0], np.cumsum(steps)])
  gains = np.abs(integral[:, np.newaxis] - integral)
  lengths = np.abs(x[:, np.newaxis] - x)
  return float(np.max(gains / (lengths + 2)))


def best_trained_error(
  f: Callable,
  g: Callable,
  low: float,
  high: float,
  hidden_size: int = 32,
  num_steps: int = 3000,
  seed: int = 0,
) -> float:
  """Trains a C1 network to have the values f and the derivative g.

  Args:
    f: numpy function of `[N]`.
    g: numpy function of `[N]`.
    low: left end of the interval.
    high: right end.
    hidden_size: units in each of two hidden layers of tanh units.
    num_steps: updates.
    seed: of the initial weights.

  Returns:
    max(sup |f - h|, sup |g - h'|) of the trained h, on a fine grid.
  """
  network = training.SmoothMLP([1, hidden_size, hidden_size, 1], seed)

  def errors(num_points):
    x = np.linspace(low, high, num_points)
    x_tensor = tf.constant(x[:, np.newaxis], tf.float32)
    with tf.GradientTape() as tape:
      tape.watch(x_tensor)
      h = network(x_tensor)
    slope = tape.gradient(h, x_tensor)
    labels = np.concatenate([f(x), g(x)])[:, np.newaxis]
    return tf.abs(tf.concat([h, slope], axis=0) - tf.cast(labels, tf.float32))

  def objective():
    # A high norm is the maximum that gradient descent can follow.
    error = errors(129)
    largest = tf.stop_gradient(tf.reduce_max(error)) + 1e-6
    return largest * tf.norm(error / largest, ord=24)

  training.minimise(objective, network.trainable_variables, num_steps)
  return float(tf.reduce_max(errors(1001)))
