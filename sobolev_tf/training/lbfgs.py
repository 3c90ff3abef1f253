"""Limited-memory BFGS whose iterations run inside one compiled call.

SciPy's implementation comes back to Python for every evaluation, which costs
several times what a small network does. Here the two-loop recursion and the
line search are TensorFlow loops (Nocedal & Wright, "Numerical Optimization",
2006, algorithms 7.4 and 7.5; the line search brackets the weak Wolfe
conditions as Lewis & Overton, 2013, do).
"""

import typing

import tensorflow as tf

RUNNING, CONVERGED, STUCK = 0, 1, 2

_SUFFICIENT_DECREASE = 1e-4
_CURVATURE = 0.9
_MAX_TRIALS = 30


class State(typing.NamedTuple):
  """Where a minimisation stands; tensors alone, so that it crosses calls.

  Attributes:
    position: `[n]`.
    loss: scalar, at `position`.
    gradient: `[n]`, at `position`.
    moves: `[m, n]`, the last m changes of position, newest first.
    turns: `[m, n]`, the changes of the gradient that went with them.
    kept: int32, how many of the m rows are filled.
    evaluations: int32, how often the loss has been evaluated.
    iterations: int32, how many iterations have been made.
    status: int32, `RUNNING`, `CONVERGED` or `STUCK`: no lower loss was found
      along the gradient.
  """

  position: tf.Tensor
  loss: tf.Tensor
  gradient: tf.Tensor
  moves: tf.Tensor
  turns: tf.Tensor
  kept: tf.Tensor
  evaluations: tf.Tensor
  iterations: tf.Tensor
  status: tf.Tensor


def start(position: tf.Tensor, memory: int = 20) -> State:
  """The state before anything is evaluated.

  Args:
    position: `[n]`, where to begin.
    memory: m, how many changes the curvature is estimated from.
  """
  empty = tf.zeros([memory, position.shape[0]], position.dtype)
  zero = tf.constant(0)
  return State(
    position=position,
    # With no gradient the first search stays where it is, and evaluates that.
    loss=tf.constant(float("inf"), position.dtype),
    gradient=tf.zeros_like(position),
    moves=empty,
    turns=empty,
    kept=zero,
    evaluations=zero,
    iterations=zero - 1,
    status=zero,
  )


def iterate(
  value_and_gradient: typing.Callable,
  state: State,
  iterations: tf.Tensor,
  tolerance: float | tf.Tensor,
) -> State:
  """Makes up to `iterations` iterations; belongs inside a `tf.function`.

  A trial point at which loss or gradient is not finite counts as too far, so
  the position always has a finite loss if it begins with one.

  Args:
    value_and_gradient: function of `[n]` to a scalar and its gradient `[n]`.
    state: of `start`, or of an earlier call.
    iterations: int32 scalar.
    tolerance: scalar; an iteration that lowers the loss by less than this
      share of it, or that meets a gradient of zero, is the last one.

  Returns:
    The new `State`; `STUCK` with an infinite loss says that the loss is not
    finite where the search began.
  """
  end = tf.maximum(state.iterations, 0) + iterations

  def unfinished(state):
    return (state.status == RUNNING) & (state.iterations < end)

  def advance(state):
    return (_iteration(value_and_gradient, State(*state), tolerance),)

  return tf.while_loop(unfinished, advance, (state,))[0]


def _iteration(value_and_gradient, state, tolerance):
  """One search along the quasi-Newton direction."""
  direction = -_two_loops(state)
  slope = _dot(direction, state.gradient)
  # Rounding can spoil the direction; the steepest one never is.
  downhill = slope < 0
  direction = tf.where(downhill, direction, -state.gradient)
  slope = tf.where(downhill, slope, -_dot(state.gradient, state.gradient))
  kept = tf.where(downhill, state.kept, 0)
  # Without curvature the gradient's length says nothing about the distance.
  first = tf.minimum(
    tf.ones([], slope.dtype), 1 / tf.reduce_sum(tf.abs(state.gradient))
  )
  length = tf.where(kept > 0, tf.ones_like(first), first)
  found = _search(value_and_gradient, state, direction, slope, length)
  move, turn = found.position - state.position, found.gradient - state.gradient
  curved = _dot(move, turn) > 1e-10 * _dot(turn, turn)
  lowered = found.loss < state.loss
  little = state.loss - found.loss <= tolerance * tf.abs(found.loss)
  flat = tf.reduce_all(tf.equal(found.gradient, 0))
  # A failed search is tried again along the gradient before it is final.
  status = tf.where(
    lowered,
    tf.where(little | flat, CONVERGED, RUNNING),
    tf.where(flat, CONVERGED, tf.where(kept > 0, RUNNING, STUCK)),
  )
  status = tf.where(tf.math.is_finite(found.loss), status, STUCK)
  remember = lowered & curved
  return State(
    found.position,
    found.loss,
    found.gradient,
    _push(state.moves, move, remember),
    _push(state.turns, turn, remember),
    tf.where(
      remember,
      tf.minimum(kept + 1, state.moves.shape[0]),
      tf.where(lowered, kept, 0),
    ),
    state.evaluations + found.trials,
    state.iterations + 1,
    status,
  )


def _two_loops(state):
  """The inverse Hessian's estimate times the gradient, `[n]`."""
  moves, turns, kept = state.moves, state.turns, state.kept
  products = tf.reduce_sum(moves * turns, axis=1)  # [m]
  inverse = tf.math.divide_no_nan(tf.ones_like(products), products)

  def newest_first(i, vector, shares):
    share = inverse[i] * _dot(moves[i], vector)
    vector = vector - share * turns[i]
    return i + 1, vector, tf.tensor_scatter_nd_update(shares, [[i]], [share])

  _, vector, shares = tf.while_loop(
    lambda i, *_: i < kept,
    newest_first,
    (tf.constant(0), state.gradient, tf.zeros_like(products)),
  )
  scale = products[0] / tf.reduce_sum(tf.square(turns[0]))
  vector = vector * tf.where(kept > 0, scale, tf.ones_like(scale))

  def oldest_first(i, vector):
    correction = inverse[i] * _dot(turns[i], vector)
    return i - 1, vector + (shares[i] - correction) * moves[i]

  return tf.while_loop(lambda i, _: i >= 0, oldest_first, (kept - 1, vector))[1]


class _Found(typing.NamedTuple):
  """The best point of a search so far and the bracket around a good one."""

  position: tf.Tensor
  loss: tf.Tensor
  gradient: tf.Tensor
  low: tf.Tensor
  high: tf.Tensor
  length: tf.Tensor
  trials: tf.Tensor
  done: tf.Tensor


def _search(value_and_gradient, state, direction, slope, length):
  """Looks for a point that fulfils the weak Wolfe conditions."""
  infinity = tf.constant(float("inf"), slope.dtype)
  zero = tf.zeros([], slope.dtype)

  def trial(*found):
    found = _Found(*found)
    position = state.position + found.length * direction
    loss, gradient = value_and_gradient(position)
    finite = tf.math.is_finite(loss) & tf.reduce_all(
      tf.math.is_finite(gradient)
    )
    enough = state.loss + _SUFFICIENT_DECREASE * found.length * slope
    short = finite & (loss <= enough)  # not too far at least
    steep = _dot(gradient, direction) < _CURVATURE * slope
    low = tf.where(short, found.length, found.low)
    high = tf.where(short, found.high, found.length)
    # Too far: the lowest point of the parabola through what is known.
    parabola = (
      -slope
      * found.length**2
      / (2 * (loss - state.loss - slope * found.length))
    )
    width = high - low
    between = low + 0.5 * width
    guess = tf.clip_by_value(parabola, low + 0.1 * width, low + 0.9 * width)
    use_guess = tf.logical_not(short) & finite & (found.low == 0)
    inside = tf.where(use_guess, guess, between)
    following = tf.where(high < infinity, inside, 2 * found.length)
    return _Found(
      tf.where(short, position, found.position),
      tf.where(short, loss, found.loss),
      tf.where(short, gradient, found.gradient),
      low,
      high,
      following,
      found.trials + 1,
      short & tf.logical_not(steep),
    )

  return _Found(
    *tf.while_loop(
      lambda *found: tf.logical_not(found[-1]) & (found[-2] < _MAX_TRIALS),
      trial,
      _Found(
        state.position,
        state.loss,
        state.gradient,
        zero,
        infinity,
        length,
        tf.constant(0),
        tf.constant(False),
      ),
    )
  )


def _push(rows, row, really):
  """`row` before all other rows, the last of which is dropped."""
  pushed = tf.concat([row[tf.newaxis], rows[:-1]], axis=0)
  return tf.where(really, pushed, rows)


def _dot(a, b):
  return tf.reduce_sum(a * b)
