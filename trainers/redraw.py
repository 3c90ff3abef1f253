"""Makes every table and figure of results/ again, from its committed numbers.

    python -m trainers.redraw

Trains nothing. A figure whose numbers were never kept stays as it is, and a
sentence says which script makes them.
"""

from trainers.distillation import report as figure4
from trainers.distillation import search_report as figure4_search
from trainers.lifecycle import command_line
from trainers.parameter_server import report as parameter_server
from trainers.regression import report as figure2
from trainers.synthetic_gradients import report as table1
from trainers.teachers import report as teachers
from trainers.theory import report as theory

REPORTS = {
  "figure2": figure2,
  "figure2_search": figure2,
  "figure4": figure4,
  "parameter_server": parameter_server,
  "table1_digits": table1,
  "table1_digits_rates": table1,
  "table1_games": table1,
  "teachers": teachers,
}


def main(argv):
  """Redraws everything; returns the exit code."""
  del argv
  for folder, report in REPORTS.items():
    report.REPORT.redraw(f"results/{folder}")
  figure4_search.REPORT.redraw("results/figure4")
  theory.redraw("results/theory")
  return 0


if __name__ == "__main__":
  command_line.run_main(main)
