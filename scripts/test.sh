#!/usr/bin/env bash
# Runs the linter and the tests.
#
#   ./scripts/test.sh [ARGUMENT ...]
#
# ARGUMENTs go to pytest: ./scripts/test.sh tests/sobolev_tf -k losses
#
# Time: about 11 minutes on 2 idle cores, besides the first set-up.
# Writes: nothing but caches.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/usage.sh"
source "$ROOT/scripts/setup.sh"

arguments=()
for argument in "$@"; do
  # A path, if the caller is elsewhere.
  if [ "$CALLER" != "$ROOT" ] && [ -e "$argument" ]; then
    argument="$(realpath "$argument")"
  fi
  arguments+=("$argument")
done
cd "$ROOT"
echo "Checking the style ..."
ruff check .
ruff format --check .
echo "Running the tests ..."
# In three processes, since many tests wait for others; a file stays in one,
# and tests/conftest.py puts the longest first.
python -m pytest -n 3 --dist loadfile --no-loadscope-reorder "${arguments[@]}"
