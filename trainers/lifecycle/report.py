"""What every report does: read runs, keep their numbers, draw from those.

    python -m trainers.NAME.report --workdir=DIR --output=results/NAME
    python -m trainers.NAME.report --redraw --output=results/NAME
    python -m trainers.NAME.report --workdir=DIR --add_to=results/NAME
        --output=results/NAME

The first command collects the numbers of the runs below DIR in CSV files, and
makes tables and figures from these; nothing is trained. The second makes them
again from the files. The third joins the runs below DIR, of further seeds, with
the rows of a folder that was reported before, and with its curves where they
were kept; all else is of DIR alone.
"""

import glob
import itertools
import os
import shutil
import sys
import tempfile
import typing

from trainers.lifecycle import command_line, finished, sums, tables
from trainers.lifecycle.command_line import CommandError, setting

_FLAGS = {
  "workdir": setting("", "folder below which finished runs are read"),
  "output": setting("", "folder of tables and figures"),
  "add_to": setting(
    "", "folder reported before, whose rows of other seeds are kept"
  ),
  "redraw": setting(False, "make them again from the files in --output"),
}
_RESULTS = "results.csv"  # a row per trained network
_CURVES = "curves.csv"
_TABLES = (_RESULTS, _CURVES)
# Curves and surfaces need not be kept with the results.
_BULKY = (_CURVES, ".npz")


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

  def write(self, workdir, output, add_to=None):
    """Writes the report of the runs below a folder.

    Args:
      workdir: the folder of the runs.
      output: folder to write into.
      add_to: folder that was reported before, with runs of other seeds; it may
        be `output` itself.

    Returns:
      (table, damages): a text, and a sentence for each run that was left out.

    Raises:
      CommandError: there is no finished run, or runs do not fit together.
    """
    runs, damages = finished.find_runs(
      workdir, self.kind, self.numbers, self.series
    )
    os.makedirs(output, exist_ok=True)
    if add_to:
      _check_unchanged(add_to)
      damages += self._collect_more(runs, output, add_to)
    else:
      damages += self.collect(runs, output) or []
    names = (glob.glob(f"*.{kind}", root_dir=output) for kind in ("csv", "npz"))
    sums.write(output, itertools.chain(*names))
    return self.redraw(output), damages

  def _collect_more(self, runs, output, add_to):
    """Writes CSV files with the rows of a folder that was reported before."""
    with tempfile.TemporaryDirectory() as folder:
      damages = self.collect(runs, folder) or []
      for name in _TABLES:
        own, other = os.path.join(folder, name), os.path.join(add_to, name)
        if os.path.exists(own) and (os.path.exists(other) or name == _RESULTS):
          _join(own, other)
      shutil.copytree(folder, output, dirs_exist_ok=True)
    return damages

  def redraw(self, output):
    """Makes table and figures from the files in a folder; returns the table.

    Raises:
      CommandError: a file is not what the report writes, or not what it wrote.
    """
    _check_unchanged(output)
    try:
      text, draws = self.render(output)
      self._draw(output, draws)
    except (ValueError, KeyError) as error:  # a letter where a number was
      raise CommandError(
        f"{output} holds something else than the report writes ({error}); "
        "write it anew from the runs."
      ) from error
    if self.table:
      with open(
        os.path.join(output, self.table), "w", encoding="utf-8"
      ) as file:
        file.write(text)
    return text

  def _draw(self, output, draws):
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

  def main(self, argv):
    """Writes what the command line asks for; returns the exit code."""
    given = _read_flags(argv, self.description)
    output = given["output"]
    try:
      if given["redraw"]:
        table, damages = self.redraw(output), []
      else:
        table, damages = self.write(given["workdir"], output, given["add_to"])
    except OSError as error:
      raise CommandError(
        f"--output {output} cannot be written ({error.strerror}); name another "
        "folder."
      ) from error
    print(tables.aligned(table))
    print(f"Written to {output}.", file=sys.stderr)
    for damage in damages:
      print(f"error: left out: {damage}", file=sys.stderr)
    return 2 if damages else 0


def _check_unchanged(folder):
  """Refuses numbers that somebody has changed since a report wrote them."""
  change = sums.find_change(folder, may_be_missing=_BULKY)
  if change:
    raise CommandError(
      f"{folder} is not as the report wrote it: {change}; put the file back, "
      f"write it anew from the runs, or remove {sums.FILE} there if the change "
      "is meant."
    )


def _join(own, other):
  """Puts the rows of another file into one, which is written anew."""
  try:
    rows = tables.join_seeds(
      tables.read_csv(other, "seed"), tables.read_csv(own, "seed")
    )
  except ValueError as error:
    raise CommandError(
      f"{other} and the runs of --workdir do not make one table: {error}"
    ) from error
  tables.write_csv(own, rows)


def _read_flags(argv, description):
  given = command_line.read_flags(argv, _FLAGS, description)
  if not given["output"] or bool(given["workdir"]) == given["redraw"]:
    raise CommandError("give --output, and either --workdir or --redraw.")
  if given["add_to"] and given["redraw"]:
    raise CommandError(
      "--add_to joins rows with those of --workdir; leave --redraw out."
    )
  return given
