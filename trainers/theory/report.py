"""The paper's theory as one page of figures with measured numbers.

    python -m trainers.theory --output=results/theory
    python -m trainers.theory --figures=interpolation,gaussians
    python -m trainers.theory --redraw

Writes for each statement what is drawn, as JSON, and the picture; results.csv
and README.md. With --figures only those are measured anew; the other rows of
results.csv stay. With --redraw nothing is measured: pictures and page are made
again from the files, unless their digests in SHA256SUMS say that somebody has
changed them. Exit code 1 if a measured number breaks its bound.
"""

import os
import sys
import typing

from trainers.lifecycle import command_line, run, sums, tables
from trainers.lifecycle.command_line import CommandError, setting
from trainers.theory import relations, results, statements

_COLUMNS = ("statement", "quantity", "measured", "bound", "holds", "figure")


class Statement(typing.NamedTuple):
  """A statement of the paper and the function that measures and draws it."""

  name: str
  text: str
  measure: typing.Callable


STATEMENTS = {
  "interpolation": Statement(
    "Proposition 1",
    "A ReLU or leaky ReLU network can have any values and gradients at "
    "finitely many points.",
    statements.interpolation,
  ),
  "approximation": Statement(
    "Theorem 1, on a line",
    "ReLU networks approximate C1 functions, and the sigmoid, within eps in "
    "value and derivative.",
    statements.approximation_on_a_line,
  ),
  "sigmoids": Statement(
    "Theorem 1, last step",
    "Every network of sigmoids is within eps of a ReLU network in value and "
    "gradient.",
    statements.sigmoids_to_relus,
  ),
  "contradiction": Statement(
    "Theorem 2",
    "If g is not the derivative of f, no C1 function approximates f with its "
    "values and g with its derivative.",
    statements.contradiction,
  ),
  "polynomials": Statement(
    "Proposition 2",
    "Derivatives never need more points: a polynomial of degree n takes "
    "⌈(n+1)/2⌉ points with derivatives instead of n + 1.",
    statements.polynomials,
  ),
  "gaussians": Statement(
    "Proposition 3, Gaussians",
    "One point with its derivative determines a Gaussian density; two values "
    "do not.",
    statements.gaussians,
  ),
  "piecewise_linear": Statement(
    "Proposition 3, piecewise linear",
    "One point with its derivative per piece, or d + 1 values per piece.",
    relations.piecewise_linear,
  ),
  "jacobian_symmetry": Statement(
    "Proposition 4",
    "A valid synthetic gradient has a symmetric Jacobian.",
    relations.jacobian_symmetry,
  ),
  "transfer": Statement(
    "Remark 2",
    "The true parameters minimise the Sobolev loss, but need not minimise the "
    "attention-transfer loss.",
    relations.transfer,
  ),
  "internal": Statement(
    "Future work, internal activations",
    "Derivatives with respect to internal activations teach a sub-network.",
    relations.internal,
  ),
  "curvature": Statement(
    "Future work, second order",
    "A supplied curvature improves a model beyond values and gradients.",
    relations.curvature,
  ),
  "temporal": Statement(
    "Future work, black boxes",
    "Finite differences of a simulator improve a generative temporal model.",
    relations.temporal,
  ),
}

_FLAGS = {
  "output": setting("results/theory", "folder of the page"),
  "figures": setting(tuple(STATEMENTS), "which statements are measured anew"),
  "redraw": setting(False, "only make pictures and page again"),
}


def write_figures(output, names):
  """Measures and draws statements.

  Args:
    output: existing folder.
    names: keys of `STATEMENTS`.

  Returns:
    The rows for results.csv, a dict per measured number.
  """
  rows = []
  for name in names:
    statement = STATEMENTS[name]
    print(f"{statement.name}: {statement.text}", flush=True)
    drawing, measurements = statement.measure()
    drawing.write(os.path.join(output, f"{name}.json"))
    for item in measurements:
      relation = ">=" if item.above else "<="
      rows.append(
        {
          "statement": statement.name,
          "quantity": item.quantity,
          "measured": f"{item.measured:.4g}",
          "bound": f"{relation} {item.bound:.4g}",
          "holds": "yes" if item.holds else "NO",
          "figure": name,
        }
      )
      print(
        f"  {item.quantity}: {item.measured:.4g} {relation} {item.bound:.4g}"
        f"{'' if item.holds else '  DOES NOT HOLD'}"
      )
  return rows


def merge_rows(output, rows):
  """Writes results.csv: `rows`, and those of other figures that it has."""
  path = os.path.join(output, "results.csv")
  fresh = {row["figure"] for row in rows}
  if os.path.exists(path):
    known = tables.read_csv(path, *_COLUMNS)
    rows = rows + [row for row in known if row["figure"] not in fresh]
  order = list(STATEMENTS)
  known = [row for row in rows if row["figure"] in STATEMENTS]
  tables.write_csv(path, sorted(known, key=lambda r: order.index(r["figure"])))
  drawings = [f"{figure}.json" for figure in {row["figure"] for row in known}]
  sums.write(output, ["results.csv", *drawings])


def check_unchanged(output):
  """Raises a `CommandError` if somebody has changed what was measured."""
  change = sums.find_change(output)
  if change:
    raise CommandError(
      f"{output} is not as it was measured: {change}; put the file back, or "
      "measure all figures anew."
    )


def redraw(output):
  """Makes README.md and the pictures from results.csv and the drawings.

  Returns:
    The rows of results.csv.
  """
  check_unchanged(output)
  rows = tables.read_csv(os.path.join(output, "results.csv"), *_COLUMNS)
  with open(os.path.join(output, "README.md"), "w", encoding="utf-8") as file:
    file.write(make_page(rows))
  for name in dict.fromkeys(row["figure"] for row in rows):
    base = os.path.join(output, name)
    results.draw(f"{base}.json", f"{base}.png")
  return rows


def make_page(rows):
  """The page: a table of the statements, then each with its figure."""
  kept = sum(row["holds"] == "yes" for row in rows)
  lines = [
    "# The theory, run",
    "",
    "Written by `./scripts/reproduce_theory.sh`; every number is a row of "
    f"[results.csv](results.csv). {kept} of {len(rows)} are within their "
    "bounds.",
    "",
    "| statement | figure | measured | command |",
    "|---|---|---|---|",
  ]
  sections = []
  for name, statement in STATEMENTS.items():
    own = [row for row in rows if row["figure"] == name]
    if not own:
      continue
    first, holding = own[0], sum(row["holds"] == "yes" for row in own)
    lines.append(
      f"| {statement.name} | [{name}.png]({name}.png) | "
      f"{_cell(first['quantity'])}: {first['measured']} ({first['bound']}); "
      f"{holding} of {len(own)} within their bounds | "
      f"`python -m trainers.theory --figures={name}` |"
    )
    sections += ["", f"## {statement.name}", "", statement.text, ""]
    sections += [f"![{statement.name}]({name}.png)", ""]
    sections += ["| quantity | measured | bound | holds |", "|---|---|---|---|"]
    for row in own:
      sections.append(
        f"| {_cell(row['quantity'])} | {row['measured']} | {row['bound']} | "
        f"{row['holds']} |"
      )
  return "\n".join(lines + sections) + "\n"


def _cell(text):
  """Escapes the bars that would end a table's cell."""
  return text.replace("|", "\\|")


def main(argv):
  """Makes the page that the command line asks for; returns the exit code."""
  given = command_line.read_flags(argv, _FLAGS, __doc__)
  figures, output = given["figures"], given["output"]
  if figures == ("",):
    raise CommandError("--figures is empty; name some, or leave it out.")
  if unknown := [name for name in figures if name not in STATEMENTS]:
    raise CommandError(
      f"there is no figure {unknown[0]!r}; use --figures with some of "
      f"{', '.join(STATEMENTS)}."
    )
  if not given["redraw"]:
    run.make_folder(output, "output")
    if set(figures) < set(STATEMENTS):  # the others' rows stay
      check_unchanged(output)
    merge_rows(output, write_figures(output, figures))
  rows = redraw(output)
  print(f"Written to {output}.", file=sys.stderr)
  measured = [row for row in rows if row["figure"] in figures]
  return int(any(row["holds"] != "yes" for row in measured))
