r"""Chooses alpha and the learning rate from a search on the validation slice.

    python -m trainers.distillation.search_report --workdir=DIR \
        --output=results/figure4

Reads every search run below --workdir, takes for each game, method and
percentage of frames the settings with the lowest KL on the validation slice,
and writes all trials to search.csv.
"""

import os

from trainers.distillation import search as distillation_search
from trainers.distillation.runs import read_runs
from trainers.lifecycle import command_line


def write_report(workdir, output):
  """Writes search.csv; returns a line for each choice.

  Raises:
    CommandError: there is no finished search run.
  """
  found = distillation_search.trials(read_runs(workdir, is_search=True))
  os.makedirs(output, exist_ok=True)
  path = os.path.join(output, "search.csv")
  distillation_search.write_csv(path, found)
  lines = []
  for key, settings in distillation_search.read_choice(path).items():
    (game, method, percentage), trials = key, found[key]
    listed = ", ".join(
      f"{name} {value:g}"
      for name, value in settings.items()
      if distillation_search.matters(name, method)
    )
    line = (
      f"{game} {method} at {percentage:g} %, best of {len(trials)} trials: "
      f"{listed}"
    )
    edges = distillation_search.at_an_edge(settings, trials)
    if edges:
      line += f" (at the edge of the values tried: {', '.join(edges)})"
    lines.append(line)
  return "\n".join(lines)


def main(argv):
  """Writes the choice that the command line asks for."""
  return command_line.write_report(argv, __doc__, write_report)


if __name__ == "__main__":
  command_line.run_main(main)
