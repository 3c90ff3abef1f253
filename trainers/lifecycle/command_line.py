"""From a dataclass to flags and back: what every trainer's `main` shares.

One frozen dataclass holds an experiment's settings; one flag per field is made
from it here. Only `main` sees flags.
"""

import dataclasses
import errno
import itertools
import os
import re
import sys
import textwrap
import traceback
import typing

from absl import flags

from trainers.lifecycle import exit_codes
from trainers.lifecycle.exit_codes import CommandError
from trainers.lifecycle.values import not_one_of, parse_extra, parse_value

_REMEDY = "write --name=value, --help lists the names"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_WORDS = ("No space left", "File too large", "Disk quota")


def setting(default, description, source="not stated in the paper", **metadata):
  """Declares a field of an experiment's configuration.

  Args:
    default: the paper's value, or ours where the paper is silent.
    description: one phrase for `--help`.
    source: the paper's section that gives the default.
    **metadata: `choices`, the allowed values; `sweep=True`, the flag takes
      several values and the command then makes one run for each; `minimum` and
      `maximum`, the ends of a number's range, or `above` and `below`, which
      are just outside it; `only=(name, values)`, the setting counts only where
      the setting `name` has one of some values.
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
    given: names of the fields that the command line itself gives.
  """

  configs: list
  swept: tuple
  workdir: str
  arguments: dict
  given: frozenset = frozenset()


def run_main(main, argv=None):
  """Calls `main(argv)`; turns a `CommandError` into a sentence and code 2.

  A full disk is a sentence and a code of its own, too. Any other error keeps
  its traceback and gets a code that is not Python's: that is 1, which says here
  that a loss was not finite.
  """
  stream, sys.stdout = sys.stdout, _Heedless(sys.stdout)
  try:
    code = main(sys.argv if argv is None else argv)
  except CommandError as error:
    print(f"error: {error}", file=sys.stderr)
    code = 2
  except Exception as error:
    reason = full_disk(error)
    if reason:
      print(
        f"error: a file cannot be written ({reason}); make room, then the same "
        "command goes on at the newest checkpoint, if it makes any.",
        file=sys.stderr,
      )
    else:
      traceback.print_exc()
    code = exit_codes.FAILED if reason else exit_codes.CRASHED
  finally:
    sys.stdout.flush()
    sys.stdout = stream
  sys.exit(code or 0)


def full_disk(error):
  """What an error says about a disk that is full; None if nothing.

  TensorFlow has errors of its own for it, which hold the same words.
  """
  text = str(error)
  if isinstance(error, OSError) and error.errno in _FULL:
    return ": ".join(map(str, filter(None, [error.strerror, error.filename])))
  return next((words for words in _FULL_WORDS if words in text), None)


class _Heedless:
  """A standard output whose reader may leave: results are in files."""

  def __init__(self, stream):
    self._stream = stream

  def __getattr__(self, name):
    return getattr(self._stream, name)

  def write(self, text):
    self._heedlessly(lambda: self._stream.write(text))
    return len(text)

  def flush(self):
    self._heedlessly(self._stream.flush)

  def _heedlessly(self, call):
    try:
      call()
    except OSError:  # closed, or a file on a full disk
      nowhere = os.open(os.devnull, os.O_WRONLY)
      os.dup2(nowhere, self._stream.fileno())
      os.close(nowhere)


def parse(argv, config_class, presets, description, extra=None):
  """Reads a command line into configurations.

  Args:
    argv: the program's name and its arguments.
    config_class: frozen dataclass whose fields were declared by `setting`.
    presets: dict from a preset's name to a configuration; the first is the
      default.
    description: what the program does, for `--help`.
    extra: dict of further flags, name to what `setting` returns; a flag's type
      is that of its default.

  Returns:
    A `Command`.

  Raises:
    CommandError: an unknown flag, or a value that does not fit.
    SystemExit: after `--help`.
  """
  extra = extra or {}
  if _asks_for_help(argv):
    print(_help(config_class, presets, description, extra))
    sys.exit(0)
  names = [field.name for field in dataclasses.fields(config_class)]
  values = _read_texts(argv, ["preset", "workdir", *extra, *names])
  preset = values.pop("preset") or next(iter(presets))
  if preset not in presets:
    raise CommandError(not_one_of("preset", preset, presets))
  workdir = values.pop("workdir")
  if not workdir:
    raise CommandError("--workdir is missing; name the folder of this run.")
  arguments = {
    name: parse_extra(name, field, values.pop(name))
    for name, field in extra.items()
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
  try:
    base = dataclasses.replace(base, **given)
    command = sweep(base, lists, workdir)
  except ValueError as error:
    raise CommandError(str(error)) from error
  given = frozenset([*given, *lists])
  _check_use(config_class, command.configs, given)
  return command._replace(arguments=arguments, given=given)


def sweep(base, lists, workdir):
  """Every combination of some fields' values.

  Args:
    base: configuration of all other fields.
    lists: dict from a field's name to its values, in the order of the folders
      below `workdir`.
    workdir: the folder of all runs.

  Returns:
    A `Command` without arguments.
  """
  configs = [
    dataclasses.replace(base, **dict(zip(lists, combination, strict=True)))
    for combination in itertools.product(*lists.values())
  ]
  swept = tuple(name for name, options in lists.items() if len(options) > 1)
  return Command(configs, swept, workdir, {})


def read_flags(
  argv, declared, description="", known_only=False, remedy=_REMEDY
):
  """Reads the flags of a command that has no configuration.

  Args:
    argv: the program's name and its arguments.
    declared: dict from a flag's name to what `setting` returns; its type is
      that of its default, and a bool needs no value.
    description: what the program does, for `--help`.
    known_only: whether other flags may follow, which somebody else reads.
    remedy: what to do about a word that is no flag.

  Returns:
    dict from a name to a value.

  Raises:
    CommandError: an unknown flag, or a value that does not fit.
    SystemExit: after `--help`.
  """
  if _asks_for_help(argv) and not known_only:
    print("\n".join([description.strip(), "", *_entries(_extras(declared))]))
    sys.exit(0)
  switches = [
    f"--{n}" for n, field in declared.items() if field.default is False
  ]
  argv = [f"{word}=true" if word in switches else word for word in argv]
  texts = _read_texts(argv, declared, known_only, remedy)
  return {
    name: parse_extra(name, field, texts[name])
    for name, field in declared.items()
  }


def split(argv):
  """The words before "--", and those after it, which are another command's."""
  place = argv.index("--") if "--" in argv else len(argv)
  return argv[:place], argv[place + 1 :]


def workdir_of(words):
  """The --workdir of another command's words, or None."""
  for word in words:
    found = re.match("--?workdir=(.+)", word)
    if found:
      return found[1]
  return None


def _asks_for_help(argv):
  return bool({"--help", "-help", "--helpfull", "-h"} & set(argv[1:]))


def _read_texts(argv, names, known_only=False, remedy=_REMEDY):
  flag_values = flags.FlagValues()
  for name in names:
    flags.DEFINE_string(name, None, "", flag_values=flag_values)
  try:
    rest = flag_values(argv, known_only)[1:]
  except flags.Error as error:
    sentence = str(error).replace("\n", " ").rstrip(".")
    raise CommandError(f"{sentence}; --help lists the flags.") from error
  if rest and not known_only:
    raise CommandError(f"{rest[0]!r} is not a flag; {remedy}.")
  values = {name: flag_values[name].value for name in flag_values}
  for name, text in values.items():
    if text and not text.isprintable():  # NUL, line ends, bytes of no UTF-8
      raise CommandError(
        f"--{name} is {text!a}, which holds characters that cannot be printed; "
        "give plain text."
      )
  return values


def _check_use(config_class, configs, given):
  """Raises a `CommandError` where a setting that is given counts nowhere."""
  for field in dataclasses.fields(config_class):
    name, values = field.metadata.get("only", (None, ()))
    if name and field.name in given:
      if not any(getattr(config, name) in values for config in configs):
        raise CommandError(
          f"--{field.name} counts only with --{name}={' or '.join(values)}; "
          "leave it out."
        )


def _parse_list(field, text):
  choices = field.metadata.get("choices")
  if text == "all" and choices:
    return list(choices)
  return [parse_value(field, item) for item in text.split(",")]


def _help(config_class, presets, description, extra):
  first = next(iter(presets))
  entries = [
    ("workdir=DIR", "folder of the run; the same command again resumes it"),
    (
      f"preset={_listed(presets)}",
      f"where the other defaults come from (default: {first})",
    ),
    *_extras(extra),
  ]
  for field in dataclasses.fields(config_class):
    choices = field.metadata.get("choices")
    flag = field.name + (f"={_listed(choices)}" if choices else "")
    if field.metadata.get("sweep"):
      flag += ",..." + (" or all" if choices else "")
    text = field.metadata["description"]
    if "only" in field.metadata:
      name, values = field.metadata["only"]
      text += f"; counts only with {name}={' or '.join(values)}"
    source = field.metadata["source"]
    entries.append((flag, f"{text} ({_defaults(field, presets)}; {source})"))
  lines = [
    description.strip(),
    "",
    f"usage: python -m {_program()} --workdir=DIR [--FLAG=VALUE ...]",
    "A flag that ends in ,... takes several values and makes a run for each.",
    "",
    *_entries(entries),
  ]
  return "\n".join(lines)


def _extras(declared):
  """(flag, text) of flags that belong to no configuration."""
  return [
    (name, f"{field.metadata['description']} (default: {_show(field.default)})")
    for name, field in declared.items()
  ]


def _entries(entries):
  for flag, text in entries:
    yield f"  --{flag}"
    yield from textwrap.wrap(
      text, 78, initial_indent=" " * 6, subsequent_indent=" " * 6
    )


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
