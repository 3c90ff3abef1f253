#!/usr/bin/env bash
# Kills, stops and starves the members of real clusters on this machine, one
# scenario after the other, and prints what became of each run.
#   ./scripts/cluster_faults.sh [--only=NAME,...] [--output=DIR] [-- FLAGS ...]
# Code 1 if a scenario fails. About 40 minutes on two idle cores. The full disk needs root (a small tmpfs).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

exec python -m tests.acceptance.cluster_faults "$@"
