"""Settings of the regression experiment (paper §4.1), names of its numbers."""

import dataclasses

from data import benchmark_functions
from trainers.lifecycle.settings import amount, count, rate, swept
from trainers.regression.learner import METHODS

_FUNCTIONS = tuple(benchmark_functions.FUNCTIONS)
_POINTS = {"maximum": 1_000_000}  # all of them are held in memory
_SOBOLEV = ("method", ("sobolev",))


@dataclasses.dataclass(frozen=True)
class Config:
  """Settings of one run; the defaults are the paper's."""

  function: str = swept(
    "styblinski_tang", "benchmark function", "SM §2", choices=_FUNCTIONS
  )
  num_train: int = count(
    100, "training points", "§4.1: 20, 100 and 10000", **_POINTS, sweep=True
  )
  method: str = swept(
    "sobolev",
    "regular matches values, sobolev the gradient as well",
    "§4.1",
    choices=METHODS,
  )
  seed: tuple[int, ...] = amount(
    (0, 1, 2, 3, 4),
    "one network per seed, trained side by side; fixes its points, its "
    "initial weights and its batches",
  )
  num_steps: int = count(50_000, "updates of the weights")
  batch_size: int = count(
    100, "points per update, if there are more than full_batch", sweep=True
  )
  full_batch: int = amount(
    1_000, "up to this many training points make one batch"
  )
  learning_rate: float = rate(3e-5, "of Adam", "SM §2")
  hidden_sizes: tuple[int, ...] = count(
    (256, 256), "ReLU units of each hidden layer", "§4.1", maximum=4_096
  )
  derivative_weight: float = amount(
    1.0, "weight of the gradient's loss", "§4.1", only=_SOBOLEV, sweep=True
  )
  derivative_loss: str = swept(
    "l2",
    "how the gradient is compared: l2 squared, l1 absolute differences",
    "§4.1",
    choices=("l2", "l1", "huber"),
    only=_SOBOLEV,
  )
  scaling: str = swept(
    "none",
    "standard trains on standardised points and values; errors are always "
    "reported in the function's own units",
    choices=("none", "standard"),
  )
  num_test: int = count(10_000, "test points", "SM §2", **_POINTS)
  num_validation: int = amount(
    0,
    "held-out points, apart from training and test, for choosing a learning "
    "rate; 0 for none",
    "ours",
    **_POINTS,
  )
  evaluate_every: int = count(2_500, "steps between two tests")
  checkpoint_every: int = count(5_000, "steps between two checkpoints")

  def __post_init__(self):
    if len(set(self.seed)) < len(self.seed):
      raise ValueError(f"seed {self.seed} names a seed twice; give each once.")


PRESETS = {
  "paper": Config(),
  "desk": Config(),
  # Two minutes: a larger learning rate shows the effect in fewer steps.
  "quickstart": Config(
    seed=(0, 1, 2),
    num_steps=6_000,
    learning_rate=3e-4,
    evaluate_every=500,
    checkpoint_every=2_000,
  ),
  "smoke": Config(
    seed=(0, 1),
    num_steps=400,
    num_test=500,
    evaluate_every=100,
    checkpoint_every=100,
  ),
}


def columns(config):
  """Names of the numbers in metrics.csv."""
  held_out = ["validation_mse"] * bool(config.num_validation)
  return (
    "train_loss",
    "test_mse",
    "test_gradient_mse",
    "test_sobolev_distance",
    *held_out,
  )
