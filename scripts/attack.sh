#!/usr/bin/env bash
# Attacks the trainers and the library: kills, damaged files, command lines and
# arguments that mean nothing, hostile files. Counts what became of each case:
# right, clear (a sentence), silent, traceback or hang. Code 1 if a case is one
# of the last three.
#
#   ./scripts/attack.sh [--kills=N] [--damages=N] [--commands=N] [--calls=N]
#     [--files=N] [--seed=N] [--output=DIR]
#
# By default 60 kills, 300 damages, 300 commands, 300 calls, 20 files, seed 0.
#
# Time: about two hours on 2 idle cores.
# Writes: attack.md into --output, if it is given; runs in a temporary folder.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/usage.sh"
source "$ROOT/scripts/setup.sh"

exec python -m tests.attack "$@"
