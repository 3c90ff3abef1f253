"""Atari policies in files: a teacher's or a student's .npz with its card."""

import sonnet as snt

from sobolev_tf.export import weights
from sobolev_tf.networks.atari import StudentNetwork, TeacherNetwork

KINDS = {"teacher": TeacherNetwork, "student": StudentNetwork}

_MOST_ACTIONS = 1_000  # Atari's games have 18


def save_policy(path: str, network: snt.Module, card: dict) -> None:
  """Writes a policy and its card; see `weights.save_weights`.

  Args:
    path: ends in .npz.
    network: a `TeacherNetwork` or a `StudentNetwork`.
    card: dict with `game` and `action_names`, and whatever else JSON can hold;
      `kind` and the digests are added.

  Raises:
    ValueError: a weight is not finite, or the card does not fit the network.
  """
  if len(card["action_names"]) != network.num_actions:
    raise ValueError(
      f"the card names {len(card['action_names'])} actions, but the network "
      f"has {network.num_actions}."
    )
  kind = next(name for name, of in KINDS.items() if isinstance(network, of))
  weights.save_weights(path, network, {"kind": kind, **card})


def load_policy(path: str, kind: str | None = None) -> tuple[snt.Module, dict]:
  """Reads what `save_policy` wrote.

  Args:
    path: the .npz.
    kind: "teacher" or "student" if it has to be that one.

  Returns:
    (network, card).

  Raises:
    ValueError: a file is missing or damaged, or is something else.
  """
  card = weights.load_card(path)
  found = _read_kind(path, card)
  if kind is not None and found != kind:
    raise ValueError(f"{path} holds a {found}, but a {kind} is wanted.")
  network = KINDS[found](len(card["action_names"]), name=found)
  return network, weights.load_weights(path, network)


def _read_kind(path, card):
  """The kind of policy that a card is of, if it is one's at all."""
  names, found = card.get("action_names"), card.get("kind")
  is_policys = (
    isinstance(found, str)
    and found in KINDS
    and isinstance(card.get("game"), str)
    and isinstance(names, list)
    and all(isinstance(name, str) for name in names)
  )
  if not is_policys or not names:
    raise ValueError(
      f"{weights.card_path(path)} is no card of a policy: it lacks a kind, a "
      "game or action names; restore it."
    )
  if len(names) > _MOST_ACTIONS:
    raise ValueError(
      f"{weights.card_path(path)} names {len(names)} actions, but "
      f"{_MOST_ACTIONS} are the most; restore it."
    )
  return found
