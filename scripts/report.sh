#!/usr/bin/env bash
# Makes one page of all results, to read offline: tables, verdicts, figures and
# the commands that made them. It is made of the files of results/ alone; run it
# whenever one of them has changed.
#
#   ./scripts/report.sh
#
# Time: a few seconds.
# Writes: results/report.html.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/usage.sh"
source "$ROOT/scripts/setup.sh"

cd "$ROOT"
python -m trainers.results_page
