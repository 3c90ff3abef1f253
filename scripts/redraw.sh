#!/usr/bin/env bash
# Makes every table and figure of results/ again from the numbers that are
# committed there; trains nothing. A minute; the theory is measured anew by
# ./scripts/reproduce_theory.sh.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

python -m trainers.redraw
