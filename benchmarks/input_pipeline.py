r"""Pictures per second of the input pipelines, on one and two cores.

    python -m benchmarks.input_pipeline [--seconds=10] \
        [--output=results/benchmarks]

Each number comes from a process of its own that may use that many cores and
does nothing but ask for batches. Beside the pipelines stands the rate at which
one thread decodes the same JPEG files wholly and does nothing else. CIFAR-10
and ImageNet are synthetic pictures in the real data sets' form on disk, which
the operating system has cached by then: what a disk adds is not measured.
"""

import dataclasses
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from benchmarks import timing
from data import cifar10, imagenet_stand_in
from trainers.synthetic_gradients.config import PRESETS, build_data

_WARM_UP = 3  # batches
_BATCH_SIZE = 32
PIPELINES = ("digits", "cifar10", "imagenet")
DECODER = "JPEG decoder, one thread"


def write_data_sets(data_dir, num_pictures):
  """Writes synthetic pictures as CIFAR-10 and as ImageNet."""
  imagenet_stand_in.write_stand_in(data_dir, num_pictures, 1)
  rng = np.random.default_rng(0)
  rows = [
    {
      "id": str(index),
      "image": rng.integers(0, 256, cifar10.IMAGE_SHAPE, np.uint8),
      "label": index % cifar10.NUM_CLASSES,
    }
    for index in range(500)
  ]
  tfds.dataset_builders.store_as_tfds_dataset(
    name="cifar10",
    version=cifar10.VERSION,
    features=tfds.features.FeaturesDict(
      {
        "id": tfds.features.Text(),
        "image": tfds.features.Image(shape=cifar10.IMAGE_SHAPE),
        "label": tfds.features.ClassLabel(num_classes=cifar10.NUM_CLASSES),
      }
    ),
    split_datasets={
      split: [(row["id"], row) for row in chosen]
      for split, chosen in (("train", rows), ("test", rows[:10]))
    },
    data_dir=data_dir,
  )


def pipeline_rate(dataset, data_dir, seconds):
  """Pictures per second of a data set's training batches."""
  config = dataclasses.replace(
    PRESETS["paper_imagenet"],
    dataset=dataset,
    num_replicas=1,
    batch_size=_BATCH_SIZE,
    data_dir=data_dir,
  )
  batches = build_data(config).training_batches(0, 10**6, _BATCH_SIZE)
  return _BATCH_SIZE * _rate(lambda: next(batches), seconds)


def decoder_rate(seconds):
  """Files per second that one thread decodes to whole pictures."""
  # The same files, drawn again: no reading is to be timed.
  files = [imagenet_stand_in.draw_jpeg(10**6 + index) for index in range(64)]

  @tf.function
  def decode(encoded):
    return tf.reduce_max(tf.io.decode_jpeg(encoded, channels=3))

  files = itertools.cycle([tf.constant(file) for file in files])
  return _rate(lambda: decode(next(files)).numpy(), seconds)


def _rate(call, seconds):
  """Calls per second, over at least that many seconds."""
  for _ in range(_WARM_UP):
    call()
  count, start = 0, time.perf_counter()
  while (passed := time.perf_counter() - start) < seconds or not count:
    call()
    count += 1
  return count / passed


def rate_elsewhere(what, num_cores, data_dir, seconds):
  """Measures in a fresh process that may use that many cores."""
  cores = sorted(os.sched_getaffinity(0))[:num_cores]
  command = [
    *(sys.executable, "-m", "benchmarks.input_pipeline", f"--child={what}"),
    *(f"--data_dir={data_dir}", f"--seconds={seconds}"),
  ]
  # Before TensorFlow starts, which makes as many threads as there are cores.
  result = subprocess.run(
    ["taskset", "--cpu-list", ",".join(map(str, cores)), *command],
    capture_output=True,
    text=True,
    check=False,
  )
  if result.returncode:
    raise RuntimeError(
      f"measuring {what} ended with code {result.returncode}: "
      f"{result.stderr[-500:]}"
    )
  return json.loads(result.stdout.splitlines()[-1])


def make_table(rates):
  """Renders the rates as Markdown.

  Args:
    rates: dict from (what, number of cores) to pictures per second.
  """
  decoder = rates[DECODER, 1]
  numbers = sorted({number for _, number in rates})
  heads = [f"{n} core{'s' * (n > 1)}, pictures/s" for n in numbers]
  lines = [
    f"| pipeline | {' | '.join(heads)} | gain | of the decoder's rate |",
    "|---" * (len(numbers) + 3) + "|",
    f"| {DECODER} | {decoder:.0f} {'| ' * len(numbers)}| |",
  ]
  for name in PIPELINES:
    row = [rates[name, number] for number in numbers]
    share = f"{row[0] / decoder:.2f}" if name == "imagenet" else ""
    lines.append(
      f"| {name} | {' | '.join(f'{rate:.0f}' for rate in row)} "
      f"| {row[-1] / row[0]:.2f} | {share} |"
    )
  return "\n".join(lines) + "\n"


def read_arguments(arguments=None):
  """Reads the command line."""
  parser = timing.build_parser("input_pipeline", __doc__)
  parser.add_argument(
    "--seconds", type=float, default=10.0, help="length of each measurement"
  )
  parser.add_argument(
    "--num_pictures", type=int, default=512, help="of the synthetic ImageNet"
  )
  parser.add_argument(
    "--child", help="measure this one here, print JSON", metavar="NAME"
  )
  parser.add_argument("--data_dir", help="data sets of a child")
  return parser.parse_args(arguments)


def main(arguments=None):
  """Prints the table, and writes it if a folder is given."""
  given = read_arguments(arguments)
  if given.child == "decoder":
    print(json.dumps(decoder_rate(given.seconds)))
    return
  if given.child:
    print(json.dumps(pipeline_rate(given.child, given.data_dir, given.seconds)))
    return
  numbers = [n for n in (1, 2) if n <= len(os.sched_getaffinity(0))]
  rates = {}
  with tempfile.TemporaryDirectory() as data_dir:
    write_data_sets(data_dir, given.num_pictures)
    names = [("decoder", 1), *itertools.product(PIPELINES, numbers)]
    for name, number in names:
      rate = rate_elsewhere(name, number, data_dir, given.seconds)
      rates[DECODER if name == "decoder" else name, number] = rate
  text = (
    f"`python -m benchmarks.input_pipeline --seconds={given.seconds}` on "
    f"{timing.machine()}; batches of {_BATCH_SIZE}.\n\n{make_table(rates)}"
  )
  timing.publish(text, given.output, "input_pipeline")


if __name__ == "__main__":
  main()
