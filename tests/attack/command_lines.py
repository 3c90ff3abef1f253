"""Command lines that mean nothing: each has to be refused in a sentence."""

import dataclasses
import os
import shutil

from tests.attack import commands
from tests.attack.judged import Case, Fork, judge

# Nonsense that is accepted would train; so long is it given to say a word.
_TIMEOUT = 60.0  # seconds
_NO_NUMBER = ("nan", "inf", "-inf", "x", "", "1e999", "0x10", "1,,2", " ", "é")
_NEVER_SO_LARGE = {
  *("seed", "num_train", "num_test", "num_environments", "num_threads"),
  *("batch_size", "num_modules", "clutter"),
}


def nonsense(config_class):
  """Yields flags that no configuration can have."""
  for field in dataclasses.fields(config_class):
    minimum = field.metadata.get("minimum")
    if field.metadata.get("choices"):
      yield from (f"--{field.name}={value}" for value in ("nonsense", "", ","))
    elif field.type is bool:
      yield from (f"--{field.name}={value}" for value in ("maybe", "2", ""))
    elif field.type in (int, float, tuple[float, ...], tuple[int, ...]):
      yield from (f"--{field.name}={value}" for value in _NO_NUMBER)
      if minimum is not None:
        yield f"--{field.name}={minimum - 1}"
      if field.type is int:
        yield f"--{field.name}=1.5"
      if field.name in _NEVER_SO_LARGE:
        yield f"--{field.name}={10**30}"
  yield from ("--nonsense=1", "nonsense", "-x", "--preset=nonsense")
  yield from ("--workdir=", "--workdir=/proc/nowhere", "--workdir=/dev/null")


def attack(count, rng, folder, material, first=0):
  """Yields a `Case` for each command line from number `first` to `count`."""
  possible = [
    (name, flag)
    for name, trainer in commands.TRAINERS.items()
    for flag in nonsense(trainer.Config)
  ]
  for name, flag in rng.sample(possible, min(count, len(possible)))[first:]:
    workdir = os.path.join(folder, "nonsense")
    answer = Fork(material.command(name, workdir, flag)).answer(_TIMEOUT)
    verdict = judge(answer, lambda: False)
    yield Case(f"{name} {flag}", verdict, answer.words)
    shutil.rmtree(workdir, ignore_errors=True)
