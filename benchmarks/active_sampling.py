"""Counts labels: points that an ensemble disagrees about against random ones.

    python -m benchmarks.active_sampling [--output=results/benchmarks]

The paper's seven functions; a label is a value and its gradient. Active choice
starts with 8 random points and buys 5 at a time: those of 600 candidates where
the disagreement of an ensemble, the root of the members' variance in value and
gradient, times the distance to the nearest point is largest. The target is the
error of the same ensemble with 40 random points; an active choice that is below
it with 28 saves 30 % of the labels or more. "Spread" chooses by the distance
alone: it tells how much of the gain is the ensemble's. Every ensemble is
trained from scratch, so that it owes nothing to the points before. Errors are
root mean squares at 2,000 held-out points over the function's deviation, as
geometric means over the seeds.
"""

import keras
import numpy as np

from benchmarks import timing
from data import benchmark_functions
from sobolev_tf import SobolevModel

MEMBERS, FIRST, BATCH, RANDOM = 3, 8, 5, 40
FEWER = round(0.7 * RANDOM)


class Problem:
  """A function on the square [-1, 1]^2."""

  def __init__(self, name):
    """Takes one of the paper's functions by its name."""
    self._function = benchmark_functions.get_function(name)
    self._low = np.array(self._function.low)
    self._high = np.array(self._function.high)
    self.held_out = np.random.default_rng(1_000).uniform(-1, 1, [2000, 2])
    self.truth = self.label(self.held_out)[0]

  def label(self, x):
    """Values `[N, 1]` and gradients `[N, 1, 2]` at x `[N, 2]`."""
    side = (self._high - self._low) / 2
    y, dy = benchmark_functions.label(
      self._function, self._low + (x + 1) * side
    )
    return np.asarray(y), np.asarray(dy) * side

  def error(self, ensemble):
    """The root mean square of the ensemble's median, in deviations."""
    values = [model.predict(self.held_out, verbose=0) for model in ensemble]
    away = np.median(values, axis=0) - self.truth
    return np.sqrt(np.mean(away**2)) / np.std(self.truth)


def train(problem, x, seed, updates=60):
  """An ensemble trained from scratch on the labels at x `[N, 2]`."""
  ensemble, dense = [], keras.layers.Dense
  for member in range(MEMBERS):
    keras.utils.set_random_seed(MEMBERS * seed + member)
    network = keras.Sequential([dense(12, "tanh"), dense(12, "tanh"), dense(1)])
    model = SobolevModel(network, scaling="standard")
    model.compile(derivative_weights=0.2)
    model.fit_full_batch(
      x,
      problem.label(x),
      method="levenberg_marquardt",
      updates=updates,
      jit_compile=False,
    )
    ensemble.append(model)
  return ensemble


def disagreement(ensemble, x):
  """How much members differ at x, `[N]`, in units of the labels' deviation."""
  pairs = [model.predict_with_derivatives(x) for model in ensemble]
  values, gradients = (np.array(part) for part in zip(*pairs, strict=True))
  scale = max(values.std(), 1e-12)
  spread = values.var(axis=0)[:, 0] + gradients.var(axis=0).sum(axis=(1, 2))
  return np.sqrt(spread) / scale


def choose(score, candidates, x, count):
  """The x `[N, 2]` and `count` candidates of high score away from the others.

  Args:
    score: `[M]`, positive.
    candidates: `[M, 2]`.
    x: `[N, 2]`, what there is.
    count: how many to add.

  Returns:
    `[N + count, 2]`.
  """
  for _ in range(count):
    away = np.linalg.norm(candidates[:, np.newaxis] - x, axis=2).min(axis=1)
    x = np.concatenate([x, candidates[[np.argmax(score * away)]]])
  return x


def candidates_of(rng):
  """Points `[600, 2]` of the square, some of them on its edges."""
  return np.clip(rng.uniform(-1.1, 1.1, [600, 2]), -1, 1)


def errors_of(problem, seed):
  """Errors by the way in which points were chosen."""
  rng = np.random.default_rng(seed)
  first = rng.uniform(-1, 1, [FIRST, 2])
  x = np.concatenate([first, rng.uniform(-1, 1, [RANDOM - FIRST, 2])])
  errors = {"random": problem.error(train(problem, x, seed))}
  x = choose(np.ones(600), candidates_of(rng), first, FEWER - FIRST)
  errors["spread"] = problem.error(train(problem, x, seed))
  x = first
  while True:
    ensemble = train(problem, x, seed)
    if len(x) == FEWER:
      return errors | {"active": problem.error(ensemble)}
    candidates = candidates_of(rng)
    score = disagreement(ensemble, candidates)
    x = choose(score, candidates, x, min(BATCH, FEWER - len(x)))


def make_line(name, errors):
  """One line of Markdown from the errors of each seed, and the mean ratio."""
  means = {
    way: float(np.exp(np.mean(np.log([e[way] for e in errors]))))
    for way in errors[0]
  }
  ratio = means["active"] / means["random"]
  cells = [
    f"{100 * means[way]:.2g} %" for way in ("random", "spread", "active")
  ]
  return f"| {name} | {' | '.join(cells)} | {ratio:.2f} |", ratio


def main(arguments=None):
  """Prints the table, and writes it if a folder is given."""
  parser = timing.build_parser("active_sampling", __doc__)
  parser.add_argument("--seeds", type=int, default=2)
  parser.add_argument("--functions", nargs="*", help="all seven if left out")
  given = parser.parse_args(arguments)
  lines, ratios = [], []
  for name in given.functions or benchmark_functions.FUNCTIONS:
    problem = Problem(name)
    line, ratio = make_line(
      name, [errors_of(problem, seed) for seed in range(given.seeds)]
    )
    print(line, flush=True)
    lines.append(line)
    ratios.append(ratio)
  reached = sum(ratio <= 1 for ratio in ratios)
  text = "\n".join(
    [
      f"`python -m benchmarks.active_sampling --seeds={given.seeds}`: error of "
      f"an ensemble of {MEMBERS} from labels (value and gradient) at chosen "
      "points. Spread: as far apart as can be; active: where the members "
      "disagree, too.",
      "",
      f"| function | {RANDOM} random | {FEWER} spread | {FEWER} active "
      f"| active / random |",
      "|---|---|---|---|---|",
      *lines,
      "",
      f"30 % fewer labels reach the error of random points on {reached} of "
      f"{len(ratios)} functions.",
      "",
    ]
  )
  timing.publish(text, given.output, "active_sampling")


if __name__ == "__main__":
  main()
