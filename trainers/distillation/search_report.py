r"""Chooses alpha and the learning rate from a search on the validation slice.

    python -m trainers.distillation.search_report --workdir=DIR \
        --output=results/figure4

Reads every search run below --workdir, takes for each game, method and
percentage of frames the settings with the lowest KL on the validation slice,
and writes all trials to search.csv. With --redraw it names the choices of the
search.csv that is there.
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
  trials = tables.group(tables.read_csv(path, *search.KEYS), *search.KEYS)
  lines = []
  for key, settings in search.read_choice(path).items():
    game, method, percentage = key
    found = [
      tuple(float(row[name]) for name in search.SETTINGS)
      for row in trials[game, method, str(percentage)]
    ]
    listed = ", ".join(
      f"{name} {value:g}"
      for name, value in settings.items()
      if search.matters(name, method)
    )
    line = (
      f"{game} {method} at {percentage:g} %, best of {len(found)} trials: "
      f"{listed}"
    )
    if edges := search.at_an_edge(settings, found):
      line += f" (at the edge of the values tried: {', '.join(edges)})"
    lines.append(line)
  return "\n".join(lines), {}


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
