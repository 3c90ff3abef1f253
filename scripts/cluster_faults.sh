#!/usr/bin/env bash
# Kills, stops and starves the members of real clusters on this machine, one
# scenario after the other, and prints what became of each run. Code 1 if a
# scenario fails. The full disk needs root (a small tmpfs).
#
#   ./scripts/cluster_faults.sh [--only=NAME,...] [--output=DIR] [-- FLAG ...]
#
# FLAGs go to the trainer.
#
# Time: about 40 minutes on 2 idle cores.
# Writes: a table into --output, if it is given; runs in a temporary folder.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/usage.sh"
source "$ROOT/scripts/setup.sh"

exec python -m tests.acceptance.cluster_faults "$@"
