"""From a dataclass to flags and back: what every trainer's `main` shares.

One frozen dataclass holds an experiment's settings; one flag per field is made
from it here. Only `main` sees flags.
"""

import dataclasses
import difflib
import itertools
import sys
import textwrap
import traceback
import typing

from absl import flags

from trainers.lifecycle import exit_codes


class CommandError(Exception):
  """A user's mistake: one sentence for the terminal, exit code 2."""


def setting(default, description, source="not stated in the paper", **metadata):
  """Declares a field of an experiment's configuration.

  Args:
    default: the paper's value, or ours where the paper is silent.
    description: one phrase for `--help`.
    source: the paper's section that gives the default.
    **metadata: `choices`, the allowed values; `sweep=True`, the flag takes
      several values and the command then makes one run for each; `minimum`,
      the smallest allowed number.
  """
  return dataclasses.field(
    default=default,
    metadata={"description": description, "source": source, **metadata},
  )


class Command(typing.NamedTuple):
  """What a command line asks for.

  Attributes:
    configs: the configurations to run, several if a flag was given several
      values.
    swept: names of the fields that were given several values.
    workdir: the folder of the run, or of all of them.
    arguments: the values of the flags beyond the configuration.
  """

  configs: list
  swept: tuple
  workdir: str
  arguments: dict


def run_main(main, argv=None):
  """Calls `main(argv)`; turns a `CommandError` into a sentence and code 2.

  Any other error keeps its traceback and gets a code of its own: Python's is 1,
  which says here that a loss was not finite.
  """
  try:
    code = main(sys.argv if argv is None else argv)
  except CommandError as error:
    print(f"error: {error}", file=sys.stderr)
    code = 2
  except Exception:
    traceback.print_exc()
    code = exit_codes.CRASHED
  sys.exit(code or 0)


def parse(argv, config_class, presets, description, extra=None):
  """Reads a command line into configurations.

  Args:
    argv: the program's name and its arguments.
    config_class: frozen dataclass whose fields were declared by `setting`.
    presets: dict from a preset's name to a configuration; the first is the
      default.
    description: what the program does, for `--help`.
    extra: dict of further flags, name to (default, description).

  Returns:
    A `Command`.

  Raises:
    CommandError: an unknown flag, or a value that does not fit.
    SystemExit: after `--help`.
  """
  extra = extra or {}
  if {"--help", "-help", "--helpfull", "-h"} & set(argv[1:]):
    print(_help(config_class, presets, description, extra))
    sys.exit(0)
  values = _read_flags(argv, config_class, extra)
  preset = values.pop("preset") or next(iter(presets))
  if preset not in presets:
    raise CommandError(_not_one_of("preset", preset, presets))
  workdir = values.pop("workdir")
  if not workdir:
    raise CommandError("--workdir is missing; name the folder of this run.")
  arguments = {
    name: values.pop(name) or default for name, (default, _) in extra.items()
  }

  base = presets[preset]
  given, lists = {}, {}
  for field in dataclasses.fields(config_class):
    text = values[field.name]
    if text is None:
      continue
    if field.metadata.get("sweep"):
      lists[field.name] = _parse_list(field, text)
    else:
      given[field.name] = parse_value(field, text)
  configs = [
    _build(base, {**given, **dict(zip(lists, combination, strict=True))})
    for combination in itertools.product(*lists.values())
  ]
  swept = tuple(name for name, options in lists.items() if len(options) > 1)
  return Command(configs, swept, workdir, arguments)


def _build(base, changes):
  try:
    return dataclasses.replace(base, **changes)
  except ValueError as error:
    raise CommandError(str(error)) from error


def _read_flags(argv, config_class, extra):
  flag_values = flags.FlagValues()
  names = [field.name for field in dataclasses.fields(config_class)]
  for name in ["preset", "workdir", *extra, *names]:
    flags.DEFINE_string(name, None, "", flag_values=flag_values)
  try:
    rest = flag_values(argv)[1:]
  except flags.Error as error:
    sentence = str(error).replace("\n", " ").rstrip(".")
    raise CommandError(f"{sentence}; --help lists the flags.") from error
  if rest:
    raise CommandError(
      f"{rest[0]!r} is not a flag; write --name=value, --help lists the names."
    )
  return {name: flag_values[name].value for name in flag_values}


def _parse_list(field, text):
  choices = field.metadata.get("choices")
  if text == "all" and choices:
    return list(choices)
  return [parse_value(field, item) for item in text.split(",")]


def parse_value(field, text):
  """A setting's value from a text; a `CommandError` if it does not fit."""
  if typing.get_origin(field.type) is tuple:
    kind = typing.get_args(field.type)[0]
    value = tuple(_convert(field.name, item, kind) for item in text.split(","))
    smallest = min(value) if kind is not str else None
  else:
    value = smallest = _convert(field.name, text, field.type)
  choices = field.metadata.get("choices")
  if choices and value not in choices:
    raise CommandError(_not_one_of(field.name, value, choices))
  minimum = field.metadata.get("minimum")
  if minimum is not None and not smallest >= minimum:
    raise CommandError(
      f"--{field.name} is {text}, but it must be {minimum} or more."
    )
  return value


def _convert(name, text, kind):
  if kind is bool:
    if text.lower() in ("true", "false"):
      return text.lower() == "true"
    raise CommandError(f"--{name} is {text!r}; give true or false.")
  try:
    return kind(text)
  except ValueError as error:
    wanted = {int: "a whole number", float: "a number"}[kind]
    raise CommandError(f"--{name} is {text!r}; give {wanted}.") from error


def _not_one_of(name, value, choices):
  close = difflib.get_close_matches(str(value), map(str, choices), 1, 0.4)
  hint = f" Did you mean {close[0]}?" if close else ""
  listed = ", ".join(str(choice) for choice in choices)
  return f"--{name} is {value!r}, but it must be one of {listed}.{hint}"


def _help(config_class, presets, description, extra):
  first = next(iter(presets))
  entries = [
    ("workdir=DIR", "folder of the run; the same command again resumes it"),
    (
      f"preset={_listed(presets)}",
      f"where the other defaults come from (default: {first})",
    ),
    *(
      (flag, f"{text} (default: {value})")
      for flag, (value, text) in extra.items()
    ),
  ]
  for field in dataclasses.fields(config_class):
    choices = field.metadata.get("choices")
    flag = field.name + (f"={_listed(choices)}" if choices else "")
    if field.metadata.get("sweep"):
      flag += ",..." + (" or all" if choices else "")
    text = field.metadata["description"]
    source = field.metadata["source"]
    entries.append((flag, f"{text} ({_defaults(field, presets)}; {source})"))
  lines = [
    description.strip(),
    "",
    f"usage: python -m {_program()} --workdir=DIR [--FLAG=VALUE ...]",
    "A flag that ends in ,... takes several values and makes a run for each.",
    "",
  ]
  for flag, text in entries:
    lines.append(f"  --{flag}")
    lines += textwrap.wrap(
      text, 78, initial_indent=" " * 6, subsequent_indent=" " * 6
    )
  return "\n".join(lines)


def _program():
  """The name that `python -m` was given."""
  spec = sys.modules["__main__"].__spec__
  return spec.name.removesuffix(".__main__") if spec else "trainers.NAME"


def _listed(choices):
  return "|".join(str(choice) for choice in choices)


def _defaults(field, presets):
  by_value = {}
  for name, config in presets.items():
    by_value.setdefault(_show(getattr(config, field.name)), []).append(name)
  if len(by_value) == 1:
    return f"default: {next(iter(by_value))}"
  return "default: " + ", ".join(
    f"{value} ({'/'.join(names)})" for value, names in by_value.items()
  )


def _show(value):
  if isinstance(value, tuple):
    return ",".join(str(item) for item in value)
  return str(value)
