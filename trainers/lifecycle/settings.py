"""Kinds of settings that experiments have in common, for their dataclasses.

Each takes a default, a phrase and a source, as `command_line.setting` does, and
knows the range of its kind.
"""

from trainers.lifecycle.command_line import setting

# Where the squares of the gradients are finite in 32 bits, which a `Guard` asks
# for, an update of this rate is finite, too.
_LARGEST_RATE = 1e9


def count(*declared, **metadata):
  """A whole number of at least 1."""
  return setting(*declared, **{"minimum": 1, **metadata})


def amount(*declared, **metadata):
  """A number that is not negative."""
  return setting(*declared, **{"minimum": 0, **metadata})


def rate(*declared, **metadata):
  """A learning rate; a command may name several."""
  return amount(*declared, maximum=_LARGEST_RATE, sweep=True, **metadata)


def percentage(*declared, **metadata):
  """More than 0 and less than 100 per cent."""
  return setting(*declared, above=0, below=100, **metadata)


def swept(*declared, **metadata):
  """Anything of which a command may name several values."""
  return setting(*declared, sweep=True, **metadata)
