"""Settings of the distillation experiment, and what its numbers are called."""

import dataclasses

from sobolev_tf.distillation.objective import DIRECTIONS, KL_DIRECTIONS
from trainers.lifecycle import settings
from trainers.lifecycle.command_line import setting
from trainers.lifecycle.settings import amount, count, rate, swept

METHODS = ("regular", "sobolev", "noise", "attention")
_SOBOLEV = ("method", ("sobolev",))


@dataclasses.dataclass(frozen=True)
class Config:
  """Settings of one run; the defaults are the paper's."""

  game: str = swept("pong", "game of ale-py, such as breakout", "§4.2")
  method: str = swept(
    "sobolev",
    "regular matches the teacher's policy, sobolev its gradients as well; "
    "controls: noise asks the teacher at noisy inputs, attention is the "
    "attention-transfer loss",
    "§4.2; attention after SM §5, noise ours",
    choices=METHODS,
  )
  # Below 100: the other frames are the test.
  percentage: float = settings.percentage(
    1.0,
    "per cent of the recorded frames, in time, to learn from; 1, 5, 10 and 50",
    sweep=True,
  )
  seed: int = amount(
    0,
    "fixes initial weights, batches, directions and the test sample",
    maximum=1_000_000,  # the games that students play have 32-bit seeds
    sweep=True,
  )
  alpha: float = amount(
    0.1,
    "weight of the gradients' distance",
    only=("method", ("sobolev", "attention")),
    sweep=True,
  )
  learning_rate: float = rate(
    3.2e-4,
    "of Adam",
    "SM §3: between 1e-5 and 1e-3, for each game and method",
  )
  weight_decay: float = amount(
    0.0,
    "share of each weight, times the learning rate, that an update takes off "
    "(AdamW)",
    "ours",
    maximum=1e6,
    sweep=True,
  )
  batch_size: int = count(
    200, "random training frames per update", "SM §3", maximum=10_000
  )
  num_steps: int = count(50_000, "updates")
  kl: str = swept(
    "student_teacher",
    "direction of the divergence: from student to teacher as the paper writes "
    "it, or the other way round",
    "§4.2",
    choices=KL_DIRECTIONS,
  )
  norm: str = swept(
    "norm",
    "of the gradients' difference: as it is, or squared",
    "§4.2",
    choices=("norm", "squared"),
    only=_SOBOLEV,
  )
  directions: str = swept(
    "sphere",
    "directions of the gradients: random on the unit sphere, "
    "or the teacher's most probable action alone",
    "§4.2; argmax after Srinivas & Fleuret",
    choices=DIRECTIONS,
    only=_SOBOLEV,
  )
  unit_norm: bool = swept(
    False,
    "whether gradients are scaled to length 1 first",
    "§4.2; true after Srinivas & Fleuret",
    only=_SOBOLEV,
  )
  num_projections: int = count(
    1, "random directions per frame and update", only=_SOBOLEV, sweep=True
  )
  noise: float = amount(
    0.03,
    "deviation of the noise on inputs from 0 to 1",
    "ours",
    only=("method", ("noise",)),
    sweep=True,
  )
  validation_share: float = amount(
    0.0,
    "share of the training frames that is held out instead of the test "
    "episodes, for choosing settings; 0 in final runs",
    "ours",
    below=1,
  )
  reserved_percentage: float = amount(
    10.0,
    "per cent of the frames that are never tested on: what the search for "
    "settings sees",
    "SM §3 tests on all that is not trained on",
    below=100,
  )
  jacobian_gib: float = amount(
    0.0,
    "memory, in GiB, that the teacher's gradients for every action on all "
    "training frames may take: where they fit, they are computed once and not "
    "at every update, to the same numbers up to rounding",
    "ours",
  )
  num_test: int = count(100_000, "test frames at most, a random sample")
  num_score_episodes: int = amount(
    30, "episodes that the student plays in the end; 0 for none", maximum=1_000
  )
  recordings: str = setting(
    "recordings", "folder that holds a recording named as the game", "ours"
  )
  teachers: str = setting(
    "results/teachers", "folder that holds the teacher GAME.npz", "ours"
  )
  evaluate_every: int = count(1_000, "steps between two tests")
  checkpoint_every: int = count(5_000, "steps between two checkpoints")


_DESK = Config(
  num_steps=1_000,
  num_test=2_000,
  evaluate_every=50,
  checkpoint_every=250,
)
PRESETS = {
  "desk": _DESK,
  "paper": Config(),
  "smoke": dataclasses.replace(
    _DESK,
    percentage=50.0,
    batch_size=16,
    num_steps=10,
    num_test=100,
    num_score_episodes=0,
    evaluate_every=5,
    checkpoint_every=5,
  ),
}


def measures(config):
  """Names of the two measures of Figure 4, with the frames they are taken on.

  A search is measured on the validation slice, and its columns are so named.
  """
  frames = "validation" if config.validation_share else "test"
  return f"{frames}_error", f"{frames}_kl"


def columns(config):
  """Names of the numbers in metrics.csv."""
  return (
    "train_loss",
    "train_kl",
    "train_gradient_distance",
    *measures(config),
  )


# Settings that make a row of its own when they are not the paper's.
_VARIANTS = ("kl", "norm", "directions", "unit_norm", "num_projections")


def variant(config):
  """A method's name with the settings in which it is not the paper's."""
  changes = [
    f"{name}={getattr(config, name)}"
    for name in _VARIANTS
    if getattr(config, name) != getattr(Config, name)
  ]
  return " ".join([config.method, *changes])


def trained_percentage(config):
  """Per cent of the frames without the validation slice."""
  return round(config.percentage * (1 - config.validation_share), 9)


def in_order(runs):
  """Runs as the tables list them: by the games of Figure 4, then others."""
  games = ("pong", "breakout", "space_invaders")

  def place(run):
    config = run.config
    known = config.game in games
    return (
      games.index(config.game) if known else len(games),
      config.game,
      trained_percentage(config),
      METHODS.index(config.method),
      variant(config),
      config.seed,
    )

  return sorted(runs, key=place)
