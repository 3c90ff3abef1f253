"""Teachers and students in files; a user's mistake is reported in a sentence.

The form is `sobolev_tf.export.policies`'. A teacher's card holds, besides game,
actions and sha256: `steps` of training, `command`, `seed`, and under `scores`
for "sampled" and "greedy" play the `mean`, the `std` and the list `episodes`.
"""

import dataclasses
import os

from data import atari
from sobolev_tf.export import policies
from trainers.lifecycle.command_line import CommandError, full_disk, setting
from trainers.lifecycle.settings import amount

# Of this repository, wherever a command is called.
_REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))


@dataclasses.dataclass(frozen=True)
class Played:
  """Settings of what lets a teacher play: recordings and films."""

  game: str = setting("breakout", "game of ale-py, in snake case", "§4.2")
  teacher: str = setting(
    "", "its .npz; empty means results/teachers/GAME.npz", "ours"
  )
  seed: int = amount(
    0, "of random starts and drawn actions", maximum=1_000_000_000
  )
  actions: str = setting(
    "drawn",
    "drawn from the teacher's policy, which shows more of the states that it "
    "can get into, or its most probable ones",
    choices=("drawn", "best"),
  )


def default_teacher(game):
  """Path of the teacher that comes with the repository."""
  return os.path.join(_REPOSITORY, "results", "teachers", f"{game}.npz")


def save_network(path, network, card):
  """Writes a teacher or a student; see `policies.save_policy`.

  Raises:
    CommandError: a weight is not finite, or the path cannot be written.
  """
  try:
    policies.save_policy(path, network, card)
  except ValueError as error:
    raise CommandError(str(error)) from error
  except OSError as error:
    if full_disk(error):
      raise
    raise CommandError(
      f"{path} cannot be written ({error.strerror}); name another folder."
    ) from error


save_teacher = save_network


def load_network(path, kind=None, game=None):
  """Reads a teacher or a student.

  Args:
    path: the .npz; its card lies beside it.
    kind: "teacher" or "student" if it must be that one.
    game: name of the game that it has to play, if any.

  Returns:
    (network, card).

  Raises:
    CommandError: a file is missing, damaged, or of another kind, game or set
      of actions.
  """
  try:
    network, card = policies.load_policy(path, kind)
    actions = atari.get_game(card["game"]).actions
  except (ValueError, OSError) as error:
    raise CommandError(str(error)) from error
  if game is not None and card["game"] != game:
    raise CommandError(
      f"{path} plays {card['game']}, but {game} is wanted; name {game}'s file."
    )
  if tuple(card["action_names"]) != tuple(actions):
    raise CommandError(
      f"{path} chooses from {', '.join(card['action_names'])}, but "
      f"{card['game']} has {', '.join(actions)} here; train it anew."
    )
  return network, card


def load_teacher(path, game=None):
  """Reads a teacher; see `load_network`."""
  return load_network(path, "teacher", game)
