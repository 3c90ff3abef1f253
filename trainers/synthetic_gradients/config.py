"""The settings of Table 1's experiments and what they name: data, columns.

Two trainers share them: the one of a single machine (`synthetic_gradients`) and
the one of many (`parameter_server`).
"""

import dataclasses

from data.cifar10 import Cifar10
from data.digits import Digits
from data.game_frames import open_game_frames, open_grey_game_frames
from data.imagenet import open_imagenet
from trainers.lifecycle.command_line import setting
from trainers.lifecycle.settings import amount, count, rate, swept
from trainers.synthetic_gradients.networks import (
  METHODS,
  RESNET_DATASETS,
  SUPERVISION,
)

DATASETS = ("digits", "cifar10", *RESNET_DATASETS)
# Settings that count with some methods or data sets only.
_MATCHING = ("method", ("direct", *SUPERVISION))
_TRAINED = ("method", (*_MATCHING[1], "local"))
_LABELS = ("method", ("sobolev_labels",))
_DIGITS = ("dataset", ("digits",))
_ENCODED = ("dataset", RESNET_DATASETS)
# Per border; each becomes a column NAME_K, borders counted from below.
MEASURES = (
  "cosine",
  "relative_error",
  "value_loss",
  "gradient_loss",
  "asymmetry",
)


@dataclasses.dataclass(frozen=True)
class Config:
  """Settings of one run; the defaults are the paper's."""

  dataset: str = setting(
    "cifar10",
    "pictures; grey_games are the games' frames in grey, of random contrast",
    "§4.3",
    choices=DATASETS,
  )
  method: str = swept(
    "sobolev",
    "how gradients reach the segments below",
    "Table 1; sobolev_labels after SM §4.1; local is of Belilovsky et al. 2020",
    choices=METHODS,
  )
  num_modules: int = amount(
    3,
    "borders of the network, each with an estimator (the paper's module); "
    "backprop ignores it",
    "Table 1",
    sweep=True,
  )
  num_replicas: int = count(10, "devices that share each batch", "SM §4.2")
  estimator_updates: str = setting(
    "hogwild",
    "hogwild: every replica updates one shared copy of the estimators by "
    "itself; sync: their gradients are averaged",
    "SM §4",
    choices=("hogwild", "sync"),
  )
  targets: str = swept(
    "true",
    "what an estimator learns from: the true loss and gradient, or what the "
    "estimator above answers",
    "§4.3's formula",
    choices=("true", "bootstrapped"),
  )
  width: float = setting(
    1.0, "factor on all channels", "SM §4.2", above=0, maximum=8
  )
  seed: int = amount(
    0, "fixes initial weights, batches and augmentation", sweep=True
  )
  num_steps: int = count(100_000, "updates of the main network")
  batch_size: int = count(
    320,
    "pictures per update, over all replicas together",
    "SM §4.2: 10 workers with 32 each",
  )
  learning_rate: float = rate(0.1, "of the main network's SGD", "SM §4.2")
  momentum: float = amount(0.9, "of the main network's SGD", "SM §4.2", below=1)
  drops: tuple[float, ...] = setting(
    (0.4, 0.6, 0.8),
    "shares of num_steps after which the learning rate falls to a tenth",
    "SM §4.2: after 40K, 60K and 80K updates",
    above=0,
    maximum=1,
  )
  estimator_learning_rate: float = rate(
    1e-4, "of the estimators' Adam", "SM §4.2", only=_TRAINED
  )
  estimator_loss: str = swept(
    "l1",
    "of value and gradient",
    "SM §4.2",
    choices=("l1", "l2"),
    only=_MATCHING,
  )
  label_weight: float = swept(
    1.0,
    "of the label derivatives' term, a sum over the classes; those of value "
    "and gradient have 1",
    "SM §4.1",
    above=0,
    only=_LABELS,
  )
  balance_terms: bool = setting(
    False,
    "whether the terms of gradient and labels are first made as large as the "
    "first one, batch by batch",
    "ours",
    only=("method", ("sobolev", "sobolev_labels")),
  )
  l2: float = amount(1e-4, "weight of half the squared weights", "SM §4.2")
  clutter: int = amount(
    6,
    "scraps of other digits per picture",
    "ours",
    maximum=1_000,
    only=_DIGITS,
  )
  num_test: int = count(
    2_000, "test pictures", "ours", maximum=1_000_000, only=_DIGITS
  )
  image_size: int = count(
    224,
    "side of the pictures",
    "not stated in the paper; ResNet-50's own",
    maximum=2_048,
    only=_ENCODED,
  )
  colour_distortion: bool = setting(
    False,
    "whether training pictures change their colours",
    'SM §4.3 says "Inception-V1 augmentation" alone',
    only=_ENCODED,
  )
  data_dir: str = setting(
    "", "folder of TFDS' data sets; empty means TFDS' own default", "ours"
  )
  evaluate_every: int = count(1_000, "steps between two tests")
  checkpoint_every: int = count(5_000, "steps between two checkpoints")

  def __post_init__(self):
    if self.batch_size % self.num_replicas:
      raise ValueError(
        f"--batch_size is {self.batch_size}, but {self.num_replicas} replicas "
        "cannot share it equally; give a multiple."
      )
    if self.method != "backprop" and not self.num_modules:
      raise ValueError(
        f"--method is {self.method} without a split, which is "
        "backpropagation; give --num_modules, or --method=backprop."
      )
    if list(self.drops) != sorted(set(self.drops)):
      raise ValueError(
        f"--drops is {','.join(map(str, self.drops))}; give each later one a "
        "larger share."
      )


_DESK = Config(
  dataset="digits",
  num_replicas=1,
  width=0.25,
  num_steps=2_500,
  batch_size=32,
  evaluate_every=250,
  checkpoint_every=500,
)
# SM §4.3 gives the drops, after 100K, 150K and 175K updates, and 34 workers
# with 32 pictures each. The end is ours: the next of that row.
_PAPER_IMAGENET = Config(
  dataset="imagenet",
  num_modules=1,
  num_replicas=34,
  num_steps=200_000,
  batch_size=34 * 32,
  drops=(0.5, 0.75, 0.875),
  evaluate_every=5_000,
)
PRESETS = {
  "desk": _DESK,
  "paper": Config(),
  "smoke": dataclasses.replace(
    _DESK,
    width=0.07,
    num_steps=20,
    batch_size=8,
    num_test=40,
    evaluate_every=10,
    checkpoint_every=10,
  ),
  "desk_games": dataclasses.replace(
    _PAPER_IMAGENET,
    dataset="games",
    num_replicas=1,
    width=0.25,
    num_steps=4_000,
    batch_size=32,
    image_size=64,
    evaluate_every=500,
    checkpoint_every=1_000,
  ),
  "paper_imagenet": _PAPER_IMAGENET,
  "smoke_imagenet": dataclasses.replace(
    _PAPER_IMAGENET,
    num_replicas=1,
    num_steps=2,
    batch_size=4,
    evaluate_every=1,
    checkpoint_every=2,
  ),
}


def columns(config):
  """Names of the numbers in metrics.csv."""
  borders = 0 if config.method == "backprop" else config.num_modules
  top5 = ("test_top5_accuracy",) if config.dataset in RESNET_DATASETS else ()
  return (
    "train_loss",
    "test_accuracy",
    *top5,
    "test_loss",
    *(f"{name}_{k + 1}" for k in range(borders) for name in MEASURES),
  )


def describe(config, result):
  """A finished run in a line."""
  return (
    f"{config.dataset} {config.method} seed {config.seed}: test accuracy "
    f"{result['test_accuracy']:.2%}"
  )


def build_data(config):
  """The data set that the configuration names."""
  if config.dataset == "digits":
    return Digits(config.seed, config.clutter, config.num_test)
  if config.dataset == "cifar10":
    return Cifar10(config.data_dir, config.seed)
  open_pictures = {
    "imagenet": open_imagenet,
    "games": open_game_frames,
    "grey_games": open_grey_game_frames,
  }
  return open_pictures[config.dataset](
    config.data_dir, config.seed, config.image_size, config.colour_distortion
  )
