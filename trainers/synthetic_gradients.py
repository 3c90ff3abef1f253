"""Synthetic gradients on small pictures (paper §4.3, Table 1).

    python -m trainers.synthetic_gradients --preset=desk --dataset=digits \
        --method=sobolev --num_modules=3 --seed=0 --workdir=DIR

The pictures are cluttered digits, which need no download, or CIFAR-10.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from data.cifar10 import Cifar10
from data.digits import Digits
from trainers import command_line, loop, replicas, run
from trainers.command_line import CommandError, setting
from trainers.decoupled_learner import Learner
from trainers.decoupled_networks import METHODS

DATASETS = ("digits", "cifar10")
# Per border; each becomes a column NAME_K, borders counted from below.
MEASURES = (
  "cosine",
  "relative_error",
  "value_loss",
  "gradient_loss",
  "asymmetry",
)
_STEPS_PER_CHECK = 50  # reading the loss makes the processor wait


@dataclasses.dataclass(frozen=True)
class Config:
  """Settings of one run; the defaults are the paper's."""

  dataset: str = setting("cifar10", "pictures", "§4.3", choices=DATASETS)
  method: str = setting(
    "sobolev",
    "how gradients reach the segments below",
    "Table 1; sobolev_labels after SM §4.1",
    choices=METHODS,
    sweep=True,
  )
  num_modules: int = setting(
    3,
    "splits of the network, each with an estimator; backprop ignores it",
    "Table 1",
    minimum=0,
    sweep=True,
  )
  num_replicas: int = setting(
    10, "devices that share each batch", "SM §4.2", minimum=1
  )
  estimator_updates: str = setting(
    "hogwild",
    "hogwild: every replica updates one shared copy of the estimators by "
    "itself; sync: their gradients are averaged",
    "SM §4",
    choices=("hogwild", "sync"),
  )
  targets: str = setting(
    "true",
    "what an estimator learns from: the true loss and gradient, or what the "
    "estimator above says",
    "§4.3's formula",
    choices=("true", "bootstrapped"),
    sweep=True,
  )
  width: float = setting(1.0, "factor on all channels", "SM §4.2", minimum=0)
  seed: int = setting(
    0,
    "fixes initial weights, batches and augmentation",
    minimum=0,
    sweep=True,
  )
  num_steps: int = setting(100_000, "updates of the main network", minimum=1)
  batch_size: int = setting(
    320,
    "pictures per update, over all replicas together",
    "SM §4.2: 10 workers with 32 each",
    minimum=1,
  )
  learning_rate: float = setting(
    0.1, "of the main network's SGD", "SM §4.2", minimum=0, sweep=True
  )
  momentum: float = setting(
    0.9, "of the main network's SGD", "SM §4.2", minimum=0
  )
  drops: tuple[float, ...] = setting(
    (0.4, 0.6, 0.8),
    "shares of num_steps after which the learning rate falls to a tenth",
    "SM §4.2: after 40K, 60K and 80K updates",
    minimum=0,
  )
  estimator_learning_rate: float = setting(
    1e-4, "of the estimators' Adam", "SM §4.2", minimum=0, sweep=True
  )
  estimator_loss: str = setting(
    "l1", "of value and gradient", "SM §4.2", choices=("l1", "l2"), sweep=True
  )
  l2: float = setting(
    1e-4, "weight of half the squared weights", "SM §4.2", minimum=0
  )
  clutter: int = setting(
    6, "scraps of other digits per picture (digits only)", "ours", minimum=0
  )
  num_test: int = setting(
    2_000, "test pictures (digits only)", "ours", minimum=1
  )
  data_dir: str = setting(
    "", "folder of TFDS' data sets; empty means TFDS' own default", "ours"
  )
  evaluate_every: int = setting(1_000, "steps between two tests", minimum=1)
  checkpoint_every: int = setting(
    5_000, "steps between two checkpoints", minimum=1
  )

  def __post_init__(self):
    if self.batch_size % self.num_replicas:
      raise ValueError(
        f"--batch_size is {self.batch_size}, but {self.num_replicas} replicas "
        "cannot share it equally; give a multiple."
      )
    if not self.width > 0:
      raise ValueError(f"--width is {self.width}, but it must be above 0.")


_DESK = Config(
  dataset="digits",
  num_replicas=1,
  width=0.25,
  num_steps=2_500,
  batch_size=32,
  evaluate_every=250,
  checkpoint_every=500,
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
}


def columns(config):
  """Names of the numbers in metrics.csv."""
  borders = 0 if config.method == "backprop" else config.num_modules
  return (
    "train_loss",
    "test_accuracy",
    "test_loss",
    *(f"{name}_{k + 1}" for k in range(borders) for name in MEASURES),
  )


def build_data(config):
  """The data set that the configuration names."""
  if config.dataset == "digits":
    return Digits(config.seed, config.clutter, config.num_test)
  return Cifar10(config.data_dir, config.seed)


def training_batches(data, config, first):
  """Yields the batches of the steps from `first` on, made ahead in threads."""

  def make(step):
    return data.training_batch(int(step), config.batch_size)

  def load(step):
    x, y = tf.numpy_function(make, [step], [tf.float32, tf.float32])
    x = tf.ensure_shape(x, [config.batch_size, *data.image_shape])
    return x, tf.ensure_shape(y, [config.batch_size, data.num_classes])

  steps = tf.data.Dataset.range(first, config.num_steps)
  return iter(steps.map(load, num_parallel_calls=2).prefetch(4))


def train(config, workdir):
  """Runs one configuration, or resumes it.

  Args:
    config: a `Config`.
    workdir: folder of the run.

  Returns:
    dict of the final test accuracy and loss.

  Raises:
    CommandError: the folder, the machine, the data or the network do not fit.
    run.Stopped: a signal arrived; the state is saved.
    run.NotFinite: the loss was not finite; the state before is saved.
  """
  strategy = replicas.build_strategy(config.num_replicas)
  try:
    data = build_data(config)
    learner = Learner(config, strategy, data.image_shape, data.num_classes)
    data.training_batch(0, config.batch_size)
  except ValueError as error:
    raise CommandError(str(error)) from error
  with run.open_run(workdir, config, columns(config)) as this_run:
    if this_run.finished:
      this_run.say("This run is finished already.")
      return this_run.result
    objects = learner.trackables()
    step = this_run.restore(objects)
    if step == 0:
      this_run.save(objects, 0)  # for a loss that is not finite early on
    batches = training_batches(data, config, step)
    result = None
    with this_run.progress(config.num_steps, step) as progress:
      while step < config.num_steps:
        step, logs = _advance(this_run, learner, data, batches, step)
        progress.advance_to(step)
        if loop.is_due(step, config.evaluate_every, config.num_steps):
          result = learner.evaluate(data.test_batches())
          _log(this_run, learner, data, step, {**logs, **result})
        if loop.is_due(step, config.checkpoint_every, config.num_steps):
          this_run.save(objects, step)
        this_run.check_stop(objects, step)
    if result is None:  # resumed behind the last step
      result = learner.evaluate(data.test_batches())
    this_run.finish(result)
    return result


def _advance(this_run, learner, data, batches, first):
  """Trains up to the next step at which something else has to happen.

  Returns:
    that step, and the numbers of its update.
  """
  config = this_run.config
  last = loop.next_stop(
    first,
    _STEPS_PER_CHECK,
    config.num_steps,
    config.evaluate_every,
    config.checkpoint_every,
  )
  is_tested = loop.is_due(last, config.evaluate_every, config.num_steps)
  losses = []
  for step in range(first, last):
    is_measured = is_tested and step + 1 == last
    logs = learner.train_step(*next(batches), is_measured)
    losses.append(logs["loss"])
  is_bad = np.logical_not(np.isfinite(np.array(losses)))
  if is_bad.any():
    _retreat(this_run, learner, data, first + int(is_bad.argmax()))
  return last, {name: float(value) for name, value in logs.items()}


def _retreat(this_run, learner, data, bad):
  def train_steps(first, last):
    batches = training_batches(data, this_run.config, first)
    for _ in range(first, last):
      learner.train_step(*next(batches))

  loop.retreat(
    this_run,
    learner.trackables(),
    learner.variables,
    train_steps,
    bad,
    "Lower --learning_rate in another --workdir.",
  )


def _log(this_run, learner, data, step, numbers):
  config = this_run.config
  row = {"train_loss": numbers.pop("loss"), **numbers}
  x, y = data.training_batch(step, config.batch_size)
  row.update(learner.asymmetries(x, y, tf.constant([config.seed, step])))
  # What a method does not have, such as Noprop's value, stays empty.
  this_run.log(step, {**dict.fromkeys(columns(config), ""), **row})


def main(argv):
  """Trains every configuration that the command line names."""
  command = command_line.parse(argv, Config, PRESETS, __doc__)
  return loop.run_all(command, train, _describe)


def _describe(config, result):
  return (
    f"{config.dataset} {config.method} seed {config.seed}: test accuracy "
    f"{result['test_accuracy']:.2%}"
  )


if __name__ == "__main__":
  command_line.run_main(main)
