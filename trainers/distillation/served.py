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
from trainers.lifecycle.served import (
  Served,
  Share,
  main_updates_setting,
  num_replicas_setting,
  specs,
)

_MEASURES = ("train_kl", "train_gradient_distance")


@dataclasses.dataclass(frozen=True)
class Config(distillation_config.Config):
  """Settings of one run: those of one machine, and two more."""

  num_replicas: int = num_replicas_setting(2, "ours")
  main_updates: str = main_updates_setting()

  def __post_init__(self):
    if self.batch_size % self.num_replicas:
      raise ValueError(
        f"--batch_size is {self.batch_size}, which {self.num_replicas} shares "
        "do not divide; change it or --num_replicas."
      )
    if self.weight_decay:
      raise ValueError(
        "--weight_decay is not there on a cluster, whose servers make Adam's "
        "update alone; leave it out, or train with trainers.distillation."
      )
    if self.jacobian_gib:
      raise ValueError(
        "--jacobian_gib does nothing on a cluster, whose workers ask the "
        "teacher at every update; leave it out."
      )


class ServedStudent(Served):
  """A student on servers, and its copy on the chief; see `Served`.

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
  columns = staticmethod(distillation_config.columns)
  describe = staticmethod(outcome.describe)

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

  def draw(self, index):
    step, share = divmod(index, self._config.num_replicas)
    first = share * self._size
    return self._examples.training_batch(step, slice(first, first + self._size))

  def build_local(self):
    examples, config = self._examples, self._config
    self.local = DistillationLearner(
      self._objective, examples.teacher, examples.game.num_actions
    )
    self.local.reset(config.seed, config.learning_rate)

  def build_served(self):
    self.student = StudentNetwork(self._examples.game.num_actions)
    self.main_optimizer = SharedAdam()
    self.main_optimizer.build(self.main_variables)

  @property
  def main_variables(self):
    return self.student.trainable_variables

  @property
  def variables(self):
    return self.student.variables

  @property
  def share_specs(self):
    shapes = INPUT_SHAPE, (self._examples.game.num_actions,)
    return specs(self._size, shapes, self.share_dtypes)

  def work(self, x, y, index, measure):
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
    return self.main_optimizer.apply(gradients, self.main_variables, rate)

  def rate(self, step):
    del step
    return self._config.learning_rate

  def pairs(self):
    mine, served = self.local.optimizer, self.main_optimizer
    return [
      *zip(self.local.student.variables, self.variables, strict=True),
      (mine.iterations, served.iterations),
      *zip(mine.slots[0], served.slots[0], strict=True),
      *zip(mine.slots[1], served.slots[1], strict=True),
    ]

  def trackables(self, step):
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
