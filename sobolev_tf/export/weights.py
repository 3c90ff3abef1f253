"""A network's weights as a plain .npz with a card beside it.

    breakout.npz    one float16 array per variable, named LAYER/VARIABLE
    breakout.json   the card: what the network is, where it came from, the
                    sha256 of the .npz and that of the card's own content

Half precision halves the file; a network loaded from one is what the card
describes only if it was rounded the same way, see `round_weights`. Nothing
here unpickles or evaluates what a file says.
"""

import hashlib
import json
import os

import numpy as np
import tensorflow as tf

from sobolev_tf.export import archives

_DTYPE = np.float16
_SEAL = "card_sha256"
_MOST_OF_A_CARD = 1_000_000  # bytes; ours have about two thousand


def card_path(path: str) -> str:
  """Path of the card that belongs to the weights in `path`."""
  return os.path.splitext(path)[0] + ".json"


def round_weights(network: tf.Module) -> None:
  """Rounds every variable to what a file would keep of it."""
  for variable in network.variables:
    variable.assign(variable.numpy().astype(_DTYPE).astype(np.float32))


def freeze(network: tf.Module) -> None:
  """Replaces every variable of a network by its value, for good.

  Whatever graph calls the network then holds the weights as constants, and
  nothing can train them.

  Args:
    network: a module whose variables, and those of its submodules, are each an
      attribute of its own.

  Raises:
    ValueError: a variable is somewhere else, in a list or a dict, where it
      would stay trainable. Nothing is frozen then.
  """
  held = [
    (module, name, value)
    for module in (network, *network.submodules)
    for name, value in vars(module).items()
    if isinstance(value, tf.Variable)
  ]
  reached = {id(variable) for _, _, variable in held}
  # Not `network.variables`: Sonnet raises where there are none.
  left = [
    variable.name
    for variable in tf.Module.variables.fget(network)
    if id(variable) not in reached
  ]
  if left:
    raise ValueError(
      f"{', '.join(left)} cannot be frozen, because only variables that are "
      "attributes of a module can; keep none in a list or a dict."
    )
  for module, name, variable in held:
    setattr(module, name, variable.numpy())


def save_weights(path: str, network: tf.Module, card: dict) -> None:
  """Writes a network and its card.

  Args:
    path: ends in .npz; the card is written beside it.
    network: `snt.Module` with float32 variables.
    card: dict that JSON can hold; `sha256` and `card_sha256` are added.

  Raises:
    ValueError: the path does not end in .npz, or a weight is not finite in
      half precision.
  """
  if not path.endswith(".npz"):
    raise ValueError(f"{path} does not end in .npz; name such a file.")
  arrays = {
    name: _to_half(variable.numpy(), name)
    for name, variable in _named(network).items()
  }
  partial = path + ".partial"
  with open(partial, "wb") as file:
    np.savez_compressed(file, **arrays)
  digest = _digest(partial)
  card_partial = card_path(path) + ".partial"
  with open(card_partial, "w", encoding="utf-8") as file:
    sealed = seal({**card, "sha256": digest})
    json.dump(sealed, file, indent=2, ensure_ascii=False)
    file.write("\n")
  os.replace(partial, path)
  os.replace(card_partial, card_path(path))


def seal(card: dict) -> dict:
  """The card with the sha256 of its own content as `card_sha256`.

  The content is JSON with sorted keys and no blanks, so that a card may be
  laid out anew but not say anything else.
  """
  content = {name: card[name] for name in card if name != _SEAL}
  text = json.dumps(content, sort_keys=True, separators=(",", ":"))
  return {**content, _SEAL: hashlib.sha256(text.encode()).hexdigest()}


def load_card(path: str) -> dict:
  """Reads the card that belongs to the weights in `path`.

  Raises:
    ValueError: a file is missing, or the card is too large, not a JSON object,
      or another one than was written.
  """
  for needed in (path, card_path(path)):
    if not os.path.isfile(needed):
      raise ValueError(
        f"{needed} does not exist; weights are a .npz with a .json card beside "
        "it."
      )
  size = os.path.getsize(card_path(path))
  if size > _MOST_OF_A_CARD:
    raise ValueError(
      f"{card_path(path)} has {size:,} bytes, but a card has "
      f"{_MOST_OF_A_CARD:,} at most; restore it."
    )
  try:
    with open(card_path(path), encoding="utf-8") as file:
      card = json.load(file)
    is_as_written = isinstance(card, dict) and card == seal(card)
  except (ValueError, RecursionError) as error:
    raise ValueError(
      f"{card_path(path)} is not valid JSON ({error}); restore it."
    ) from error
  if not isinstance(card, dict):
    raise ValueError(f"{card_path(path)} is no JSON object; restore it.")
  if not is_as_written:
    raise ValueError(
      f"{card_path(path)} is not as it was written (its {_SEAL} differs); "
      "restore it."
    )
  return card


def load_weights(path: str, network: tf.Module) -> dict:
  """Fills a network with the weights of a file; all of them or none.

  Args:
    path: the .npz.
    network: `snt.Module` with its variables made.

  Returns:
    The card.

  Raises:
    ValueError: a file is missing, has changed since its card was written, or
      does not hold this network's finite weights.
  """
  card = load_card(path)
  variables = _named(network)
  shapes = {name: tuple(v.shape) for name, v in variables.items()}
  archives.check_size(path, shapes, _DTYPE)
  if _digest(path) != card.get("sha256"):
    raise ValueError(
      f"{path} is not the file that its card describes (the sha256 differs); "
      "restore both."
    )
  arrays = archives.read_arrays(path, shapes, _DTYPE)
  for name, array in arrays.items():
    if not np.isfinite(array).all():
      raise ValueError(
        f"{name} in {path} holds numbers that are not finite; the file is of "
        "no use."
      )
  for name, array in arrays.items():
    variables[name].assign(array.astype(np.float32))
  return card


def _named(network):
  """Variables by the last two parts of their names, LAYER/VARIABLE."""
  names = [
    "/".join(variable.name.removesuffix(":0").split("/")[-2:])
    for variable in network.variables
  ]
  return dict(zip(names, network.variables, strict=True))


def _to_half(array, name):
  with np.errstate(over="ignore"):
    half = array.astype(_DTYPE)
  if not np.isfinite(half).all():
    raise ValueError(
      f"{name} holds numbers that are not finite in half precision; such a "
      "network cannot be saved."
    )
  return half


def _digest(path):
  with open(path, "rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()
