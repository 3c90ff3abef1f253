#!/usr/bin/env bash
# Builds the pages of docs/ into docs/_build; half a minute.
#   OUTPUT=DIR   where the pages go (default: docs/_build)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

OUTPUT="${OUTPUT:-$ROOT/docs/_build}"
python -m sphinx -W -q -b html docs "$OUTPUT"
echo "Open $OUTPUT/index.html."
