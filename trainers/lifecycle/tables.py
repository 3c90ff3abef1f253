"""Numbers of many runs as CSV and Markdown, and their curves over the steps.

A report first writes its numbers as CSV. Its tables and figures are made from
those files alone, so that they can be made again without the runs.
"""

import csv
import itertools

import numpy as np

from trainers.lifecycle import files
from trainers.lifecycle.command_line import CommandError


def markdown(groups, cells):
  """A table with one line for each of `groups`.

  Args:
    groups: iterable of anything, such as lists of rows.
    cells: dict from a column's title to a function from a group to a text.
  """
  lines = [[cell(group) for cell in cells.values()] for group in groups]
  lines = [list(cells), ["---"] * len(cells), *lines]
  return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def aligned(text):
  """Markdown whose tables have straight columns, for a terminal."""
  lines, found = text.split("\n"), []
  for is_table, block in itertools.groupby(lines, lambda x: x.startswith("|")):
    block = list(block)
    found += _straighten(block) if is_table else block
  return "\n".join(found)


def _straighten(lines):
  rows = [[cell.strip() for cell in x.strip("|").split(" | ")] for x in lines]
  rows[1] = ["-"] * len(rows[0])
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  rows[1] = ["-" * width for width in widths]
  return [
    "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
    for row in rows
  ]


def numbers_of(result, names):
  """Numbers of a run's result in six digits, for a row of a CSV file.

  Args:
    result: dict, or None for a run without one.
    names: of the numbers; one that is missing is left empty.
  """
  found = result or {}
  return {
    name: "" if found.get(name) is None else f"{found[name]:.6g}"
    for name in names
  }


def write_csv(path, rows, columns=None):
  """Writes dicts with the same keys, `columns` where there may be no dict."""
  with open(path, "w", encoding="utf-8", newline="") as file:
    names = columns or list(rows[0])
    writer = csv.DictWriter(file, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def read_csv(path, *columns, may_be_empty=False):
  """Reads a file as dicts from a column to a text.

  Args:
    path: of the file.
    *columns: that it must have.
    may_be_empty: whether there may be no row below the columns' names.

  Raises:
    CommandError: it is missing or not such a file.
  """
  try:
    with open(path, encoding="utf-8", newline="", opener=files.regular) as file:
      reader = csv.DictReader(file)
      rows, names = list(reader), reader.fieldnames or ()
    if any(None in (*row, *row.values()) for row in rows):
      raise ValueError("a row has other columns than the first one")
    if missing := [name for name in columns if name not in names]:
      raise ValueError(f"it has no {', '.join(missing)}")
    if not (rows or may_be_empty):
      raise ValueError("it has no rows")
  except (OSError, ValueError, csv.Error) as error:
    raise CommandError(
      f"{path} is not what the report writes ({error}); restore it, or write "
      "it anew from the runs."
    ) from error
  return rows


def group(rows, *columns):
  """dict from what some columns hold, a tuple, to the rows that hold it."""
  groups = {}
  for row in rows:
    groups.setdefault(tuple(row[name] for name in columns), []).append(row)
  return groups


def join_seeds(earlier, later):
  """Joins rows of the same experiments that differ in their seeds.

  Args:
    earlier: rows that `read_csv` returned, one per run or several (a curve).
      The columns up to `seed` say what was run.
    later: the same of other runs.

  Returns:
    All rows: settings in the order in which they first occur, seeds ascending.

  Raises:
    ValueError: the columns differ, or a run is in both.
  """
  columns = list(earlier[0])
  if list(later[0]) != columns:
    raise ValueError(
      f"one has the columns {', '.join(columns)}, the other "
      f"{', '.join(later[0])}."
    )
  names = columns[: columns.index("seed")]
  both = set(group(earlier, *names, "seed")) & set(group(later, *names, "seed"))
  if both:
    raise ValueError(f"both have {', '.join(min(both))} (the seed last).")
  rows = []
  for own in group([*earlier, *later], *names).values():
    rows += sorted(own, key=lambda row: int(row["seed"]))
  return rows


def numbers(rows, column):
  """The numbers of one column, float, of the rows that have one."""
  return [float(row[column]) for row in rows if row[column]]


def write_curves(path, keys, runs, columns):
  """Writes the curves of finished runs, one row per run and step.

  Args:
    path: CSV file.
    keys: for each run a dict of what tells it from others, the seed last.
    runs: list of `finished.Run`.
    columns: of metrics.csv.
  """
  rows = []
  for key, run in zip(keys, runs, strict=True):
    curves = {
      name: dict(zip(*run.curve(name), strict=True)) for name in columns
    }
    for step in sorted(set().union(*curves.values())):
      found = {name: curve.get(step) for name, curve in curves.items()}
      rows.append({**key, "step": step, **numbers_of(found, columns)})
  write_csv(path, rows, [*keys[0], "step", *columns])


def read_curves(path, column):
  """Reads what `write_curves` wrote.

  Args:
    path: CSV file.
    column: one of the columns.

  Returns:
    dict from what tells the runs apart, a tuple of texts without the seed, to
    (steps `[T]`, values `[seeds, T]`); what has no such curve is left out.

  Raises:
    CommandError: the file is damaged, or seeds were measured at other steps.
  """
  rows = read_csv(path, "seed", "step", column, may_be_empty=True)
  filled = [row for row in rows if row[column]]
  curves, names = {}, []
  if filled:
    names = list(filled[0])[: list(filled[0]).index("seed")]
  for key, own in group(filled, *names).items():
    seeds = group(own, "seed").values()
    steps = [[int(row["step"]) for row in seed] for seed in seeds]
    if any(other != steps[0] for other in steps):
      raise CommandError(
        f"the seeds of {', '.join(key)} in {path} were measured at different "
        "steps; report runs of one kind."
      )
    curves[key] = steps[0], np.array([numbers(seed, column) for seed in seeds])
  return curves
