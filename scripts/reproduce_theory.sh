#!/usr/bin/env bash
# Runs the paper's theory and writes its page of figures into results/theory.
#   ./scripts/reproduce_theory.sh [--output=DIR] [--figures=NAME,...]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

python -m trainers.theory "$@"
