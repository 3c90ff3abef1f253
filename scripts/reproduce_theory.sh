#!/usr/bin/env bash
# Runs the paper's theory: measured numbers against their bounds, as a page of
# figures. Code 1 if a number breaks its bound.
#
#   ./scripts/reproduce_theory.sh [--output=DIR] [--figures=NAME,...]
#
# Time: about a minute on 2 idle cores.
# Writes: results/theory, or --output.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/usage.sh"
source "$ROOT/scripts/setup.sh"

python -m trainers.theory --output="$ROOT/results/theory" "$@"
