#!/usr/bin/env bash
# Sets up the environment, then runs the linter and the tests.
# Arguments go to pytest: ./scripts/test.sh tests/sobolev_tf -k losses
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

echo "Checking the style ..."
ruff check .
ruff format --check .
echo "Running the tests ..."
# In two processes, since tracing uses one core; a file stays in one of them.
python -m pytest -n 2 --dist loadfile "$@"
