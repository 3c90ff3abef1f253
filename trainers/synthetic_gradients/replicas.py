"""Strategies for several replicas on one machine."""

import os

import tensorflow as tf

from trainers.lifecycle.command_line import CommandError


def build_strategy(num_replicas):
  """A strategy with that many replicas, on GPUs or, without any, on CPUs.

  Call it before anything else of TensorFlow where there are no GPUs: the
  processor is split into logical devices, which is possible only once.

  Args:
    num_replicas: how many; 1 means no distribution at all.

  Returns:
    A `tf.distribute.Strategy`.

  Raises:
    CommandError: the machine has not enough devices.
  """
  if num_replicas == 1:
    return tf.distribute.get_strategy()
  gpus = tf.config.list_physical_devices("GPU")
  available = len(gpus) or len(os.sched_getaffinity(0))
  if num_replicas > available:
    kind = "GPU" if gpus else "processor core"
    raise CommandError(
      f"--num_replicas is {num_replicas}, but this machine has {available} "
      f"{kind}(s); lower it, --batch_size counts all replicas together."
    )
  if gpus:
    # The default sums gradients by a collective, which on GPUs is NCCL's
    # all-reduce: it needs no merge call, and every byte crosses a link once.
    return tf.distribute.MirroredStrategy(
      [f"GPU:{index}" for index in range(num_replicas)]
    )
  _split_processor(num_replicas)
  # The default cross-device operations are collectives, which cannot serve two
  # strategies in one process.
  return tf.distribute.MirroredStrategy(
    [f"CPU:{index}" for index in range(num_replicas)],
    tf.distribute.ReductionToOneDevice(),
  )


def _split_processor(count):
  processor = tf.config.list_physical_devices("CPU")[0]
  try:
    tf.config.set_logical_device_configuration(
      processor, [tf.config.LogicalDeviceConfiguration()] * count
    )
  except RuntimeError as error:  # TensorFlow has started already
    if len(tf.config.list_logical_devices("CPU")) < count:
      raise CommandError(
        f"--num_replicas is {count}, but TensorFlow has started with fewer "
        "logical devices; train with replicas in a process of its own."
      ) from error
