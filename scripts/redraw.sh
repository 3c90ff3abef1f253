#!/usr/bin/env bash
# Makes every table and figure of results/ again from the numbers that are
# committed there; trains nothing. (The theory is measured anew by
# ./scripts/reproduce_theory.sh.)
#
#   ./scripts/redraw.sh
#
# Time: about a minute.
# Writes: results/.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/usage.sh"
source "$ROOT/scripts/setup.sh"

cd "$ROOT"
python -m trainers.redraw
