"""What every report does: read runs, keep their numbers, draw from those.

    python -m trainers.NAME.report --workdir=DIR --output=results/NAME
    python -m trainers.NAME.report --redraw --output=results/NAME

The first command collects the numbers of the runs below DIR in CSV files, and
makes tables and figures from these; nothing is trained. The second makes them
again from the files.
"""

import os
import sys
import typing

from absl import flags

from trainers.lifecycle import finished
from trainers.lifecycle.command_line import CommandError


class Report(typing.NamedTuple):
  """A report of one experiment.

  Attributes:
    description: what it does, for `--help`.
    script: command that makes the runs and calls the report.
    kind: as `finished.find_runs` takes it.
    collect: function of (runs, output) that writes the CSV files; returns a
      sentence for each run that it had to leave out, if any.
    render: function of output that returns (table, draws) from the files: a
      text, and a dict from the name of a file of curves to the function of its
      path that draws them.
    numbers: as `finished.find_runs` takes it.
    series: likewise.
    table: file that the table goes into; empty for none.
  """

  description: str
  script: str
  kind: typing.Callable
  collect: typing.Callable
  render: typing.Callable
  numbers: typing.Callable
  series: str | None = None
  table: str = "table.md"

  def write(self, workdir, output):
    """Writes the report of the runs below a folder.

    Returns:
      (table, damages): a text, and a sentence for each run that was left out.

    Raises:
      CommandError: there is no finished run, or runs do not fit together.
    """
    runs, damages = finished.find_runs(
      workdir, self.kind, self.numbers, self.series
    )
    os.makedirs(output, exist_ok=True)
    damages += self.collect(runs, output) or []
    return self.redraw(output), damages

  def redraw(self, output):
    """Makes table and figures from the files in a folder; returns the table.

    Raises:
      CommandError: a file is not what the report writes.
    """
    text, draws = self.render(output)
    if self.table:
      with open(
        os.path.join(output, self.table), "w", encoding="utf-8"
      ) as file:
        file.write(text)
    for name, draw in draws.items():
      path = os.path.join(output, name)
      if os.path.exists(path):
        draw(path)
      else:
        print(
          f"{path} is missing, so its figures stay as they are; {self.script} "
          "makes it.",
          file=sys.stderr,
        )
    return text

  def main(self, argv):
    """Writes what the command line asks for; returns the exit code."""
    if {"--help", "-h"} & set(argv[1:]):
      print(self.description)
      return 0
    workdir, output, redraw = _read_flags(argv)
    try:
      if redraw:
        table, damages = self.redraw(output), []
      else:
        table, damages = self.write(workdir, output)
    except OSError as error:
      raise CommandError(
        f"--output {output} cannot be written ({error.strerror}); name another "
        "folder."
      ) from error
    print(table)
    print(f"Written to {output}.", file=sys.stderr)
    for damage in damages:
      print(f"error: left out: {damage}", file=sys.stderr)
    return 2 if damages else 0


def _read_flags(argv):
  values = flags.FlagValues()
  for name in ("workdir", "output"):
    flags.DEFINE_string(name, None, "", flag_values=values)
  flags.DEFINE_boolean("redraw", False, "", flag_values=values)
  try:
    rest = values(argv)[1:]
  except flags.Error as error:
    raise CommandError(str(error)) from error
  if rest:
    raise CommandError(f"{rest[0]!r} is not a flag; write --name=value.")
  if not values.output or bool(values.workdir) == values.redraw:
    raise CommandError("give --output, and either --workdir or --redraw.")
  return values.workdir, values.output, values.redraw
