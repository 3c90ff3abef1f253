r"""Chooses each method's settings from a search on the validation slice.

    python -m trainers.distillation.search_report --workdir=DIR \
        --output=results/figure4

Reads every search run below --workdir, takes for each game, method and
percentage of frames the settings with the lowest KL on the validation slice,
and those with the lowest error, and writes all trials to search.csv. With
--redraw it names the choices of the search.csv that is there.
"""

import os

from trainers.distillation import search
from trainers.distillation.config import Config, in_order, measures
from trainers.lifecycle import command_line, tables
from trainers.lifecycle.report import Report


def collect(runs, output):
  """Writes search.csv, one row per trial."""
  found = search.trials(in_order(runs))
  search.write_csv(os.path.join(output, "search.csv"), found)


def render(output):
  """A line for each choice in search.csv; nothing is drawn."""
  path = os.path.join(output, "search.csv")
  groups = tables.group(tables.read_csv(path, *search.KEYS), *search.KEYS)
  choices = {c: search.read_choice(path, c) for c in search.CRITERIA}
  lines = []
  for key, settings in choices["kl"].items():
    game, method, percentage = key
    found = [
      search.settings_of(row) for row in groups[game, method, str(percentage)]
    ]
    line = _describe(settings, method, found)
    lines.append(
      f"{game} {method} at {percentage:g} %, best of {_count(found)} trials: "
      f"{line}"
    )
    other = _describe(choices["error"][key], method, found)
    if other != line:
      lines.append(f"  by error: {other}")
  return "\n".join(lines), {}


def _count(found):
  """How many settings were tried, at whatever length."""
  return len({tuple(settings.values()) for settings in found})


def _describe(settings, method, found):
  line = ", ".join(
    f"{name} {value:g}"
    for name, value in settings.items()
    if search.matters(name, method)
  )
  if edges := search.at_an_edge(settings, found):
    line += f" (at the edge of the values tried: {', '.join(edges)})"
  return line


REPORT = Report(
  __doc__,
  "./scripts/reproduce_figure4.sh",
  lambda fields: Config if fields.get("validation_share") else None,
  collect,
  render,
  measures,
  table="",
)
main = REPORT.main

if __name__ == "__main__":
  command_line.run_main(main)
