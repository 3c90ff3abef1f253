#!/usr/bin/env bash
# Builds the pages of docs/, offline.
#
#   ./scripts/docs.sh
#
#   OUTPUT=DIR   where the pages go (default: docs/_build)
#
# Time: half a minute on 2 idle cores.
# Writes: OUTPUT.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/usage.sh"
source "$ROOT/scripts/setup.sh"

OUTPUT="${OUTPUT:-$ROOT/docs/_build}"
python -m sphinx -W -q -b html "$ROOT/docs" "$OUTPUT"
echo "Open $OUTPUT/index.html."
