"""What a parameter-server run trains: a student of an Atari teacher (§4.2).

The batch of a step is the one that `trainers.distillation` takes. Every worker
reads the frames of the shares that it takes from its own copy of the recording,
and asks its own copy of the teacher for gradients: neither travels.
"""

import dataclasses

import tensorflow as tf

from sobolev_tf.networks.atari import INPUT_SHAPE, StudentNetwork
from sobolev_tf.training.optimizers import SharedAdam
from trainers.distillation import config as distillation_config
from trainers.distillation import outcome
from trainers.distillation.examples import TeacherExamples
from trainers.distillation.learner import DistillationLearner
from trainers.distillation.objective import Objective
from trainers.lifecycle.command_line import setting
from trainers.lifecycle.served import Served, Share, main_updates_setting

_MEASURES = ("train_kl", "train_gradient_distance")


@dataclasses.dataclass(frozen=True)
class Config(distillation_config.Config):
  """Settings of one run: those of one machine, and two more."""

  num_replicas: int = setting(
    2,
    "shares that each batch is cut into; any worker takes any share",
    "ours",
    minimum=1,
  )
  main_updates: str = main_updates_setting()

  def __post_init__(self):
    if self.batch_size % self.num_replicas:
      raise ValueError(
        f"--batch_size is {self.batch_size}, which {self.num_replicas} shares "
        "do not divide; change it or --num_replicas."
      )
    if self.jacobian_gib:
      raise ValueError(
        "--jacobian_gib does nothing on a cluster, whose workers ask the "
        "teacher at every update; leave it out."
      )


class ServedStudent(Served):
  """A student on servers, and its copy on the chief.

  Attributes:
    student: the `StudentNetwork` on the servers.
    main_optimizer: Adam, on the servers.
    local: the chief's `DistillationLearner`.
  """

  config_class = Config
  presets = {
    name: Config(**dataclasses.asdict(base))
    for name, base in distillation_config.PRESETS.items()
  }
  share_dtypes = (tf.uint8, tf.float32)
  measure_names = _MEASURES

  def __init__(self, config):
    """Reads recording and teacher; makes nothing else yet.

    Args:
      config: a `Config`.

    Raises:
      CommandError: the recording or the teacher are missing or do not fit.
    """
    self._config = config
    self._examples = TeacherExamples(config)
    self._objective = Objective.of(config)
    self._size = config.batch_size // config.num_replicas
    self.student = self.main_optimizer = self.local = None

  @staticmethod
  def columns(config):
    """Names of the numbers in metrics.csv."""
    return distillation_config.columns(config)

  @staticmethod
  def describe(config, result):
    """A finished run in a line."""
    return outcome.describe(config, result)

  def draw(self, index):
    """The arrays of a share: frames and the teacher's logits."""
    step, share = divmod(index, self._config.num_replicas)
    first = share * self._size
    return self._examples.training_batch(step, slice(first, first + self._size))

  def build_local(self):
    """Makes the chief's copy; call it where no strategy is in scope."""
    examples, config = self._examples, self._config
    self.local = DistillationLearner(
      self._objective, examples.teacher, examples.game.num_actions
    )
    self.local.reset(config.seed, config.learning_rate)

  def build_served(self):
    """Makes the variables on the servers; call it in the strategy's scope."""
    self.student = StudentNetwork(self._examples.game.num_actions)
    self.main_optimizer = SharedAdam()
    self.main_optimizer.build(self.main_variables)

  @property
  def main_variables(self):
    """Variables on the servers whose gradients make a round."""
    return self.student.trainable_variables

  @property
  def variables(self):
    """All variables that a worker reads."""
    return self.student.variables

  @property
  def share_specs(self):
    """`tf.TensorSpec`s of the two arrays of a share."""
    shapes = INPUT_SHAPE, (self._examples.game.num_actions,)
    return [
      tf.TensorSpec([self._size, *shape], dtype)
      for shape, dtype in zip(shapes, self.share_dtypes, strict=True)
    ]

  def work(self, x, y, index, measure):
    """What a worker computes on a share: a `Share`."""
    seed = tf.stack([self._config.seed, tf.cast(index, tf.int32)])
    gradients, parts = self._objective.gradients(
      self.student, self._examples.teacher, x, y, seed
    )
    values = parts.divergence, parts.gradient_distance
    measures = {
      name: value
      for name, value in zip(_MEASURES, values, strict=True)
      if measure and value is not None
    }
    return Share(gradients, [], parts.loss, measures)

  def apply_main(self, gradients, rate):
    """Updates the student on the servers; returns an operation."""
    return self.main_optimizer.apply(gradients, self.main_variables, rate)

  def rate(self, step):
    """Learning rate at a step."""
    del step
    return self._config.learning_rate

  def pairs(self):
    """The same variables (on the chief, on the servers)."""
    mine, served = self.local.optimizer, self.main_optimizer
    return [
      *zip(self.local.student.variables, self.variables, strict=True),
      (mine.iterations, served.iterations),
      *zip(mine.slots[0], served.slots[0], strict=True),
      *zip(mine.slots[1], served.slots[1], strict=True),
    ]

  def trackables(self, step):
    """What a checkpoint holds of the chief's copy."""
    del step
    return self.local.trackables()

  def test(self, step):
    """Tests the chief's copy: both measures of Figure 4, twice."""
    del step
    result = outcome.evaluate(self._config, self.local, self._examples)
    return result, result

  def conclude(self, this_run, result):
    """Writes student.npz; returns what was measured of it."""
    del result  # of the weights before they were rounded
    return outcome.finish_student(this_run, self.local, self._examples)
