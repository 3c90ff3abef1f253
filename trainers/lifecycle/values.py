"""From the text of a flag, or of config.json, to a setting's value."""

import difflib
import math
import operator
import typing

from trainers.lifecycle.exit_codes import CommandError

# What TensorFlow's 32 bits hold, where a setting names no narrower range.
_RANGES = {
  int: {"minimum": -(2**31), "maximum": 2**31 - 1},
  float: {"minimum": -3e38, "maximum": 3e38},
}


def parse_value(field, text):
  """A setting's value from a text; a `CommandError` if it does not fit."""
  if typing.get_origin(field.type) is not tuple:
    return _parse_one(field.name, text, field.type, field.metadata)
  kind = typing.get_args(field.type)[0]
  return tuple(
    _parse_one(field.name, item, kind, field.metadata)
    for item in text.split(",")
  )


def parse_extra(name, field, text):
  """A flag's value, typed as its default is, which stands for no text."""
  if text is None:
    return field.default
  kind, metadata = type(field.default), field.metadata
  if kind is not tuple:
    return _parse_one(name, text, kind, metadata)
  return tuple(
    _parse_one(name, item, type(field.default[0]), metadata)
    for item in text.split(",")
  )


def _parse_one(name, text, kind, metadata):
  """Reads one value and judges it; every number of a command comes by here."""
  value = _convert(name, text, kind)
  choices = metadata.get("choices")
  if choices and value not in choices:
    raise CommandError(not_one_of(name, value, choices))
  if kind in (int, float):
    _check_range(name, text, value, {**_RANGES[kind], **metadata})
  return value


def _check_range(name, text, value, limits):
  rules = {
    "minimum": (operator.ge, "{:g} or more"),
    "above": (operator.gt, "above {:g}"),
    "maximum": (operator.le, "{:.10g} or less"),
    "below": (operator.lt, "below {:g}"),
  }
  for rule, (holds, wording) in rules.items():
    if rule in limits and not holds(value, limits[rule]):
      wanted = wording.format(limits[rule])
      raise CommandError(f"--{name} is {text}, but it must be {wanted}.")


def _convert(name, text, kind):
  if kind is bool:
    if text.lower() in ("true", "false"):
      return text.lower() == "true"
    raise CommandError(f"--{name} is {text!r}; give true or false.")
  try:
    value = kind(text)
  except ValueError as error:
    wanted = {int: "a whole number", float: "a number"}[kind]
    shown = text if len(text) < 40 else f"{text[:36]}..."
    raise CommandError(f"--{name} is {shown!r}; give {wanted}.") from error
  if kind is float and not math.isfinite(value):
    raise CommandError(f"--{name} is {text}; give a finite number.")
  return value


def not_one_of(name, value, choices):
  """The sentence that names the choices, and the closest of them."""
  close = difflib.get_close_matches(str(value), map(str, choices), 1, 0.4)
  hint = f" Did you mean {close[0]}?" if close else ""
  listed = ", ".join(str(choice) for choice in choices)
  return f"--{name} is {value!r}, but it must be one of {listed}.{hint}"
