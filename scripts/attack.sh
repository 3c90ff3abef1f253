#!/usr/bin/env bash
# Attacks the trainers and the library: kills, damaged files, command lines and
# arguments that mean nothing, hostile files. Counts what became of each case:
# right, clear (a sentence), silent, traceback or hang. Code 1 if a case is one
# of the last three.
#
#   ./scripts/attack.sh [--kills=N] [--clusters=N] [--damages=N] [--places=N]
#     [--commands=N] [--calls=N] [--files=N] [--seed=N] [--results=FILE]
#     [--output=DIR]
#
# By default 60 kills, 300 damages, 60 places, 300 commands, all calls, 20
# files, seed 0, and no kills in clusters, each of which takes a minute. With
# --results the cases are kept in a file, and the same command goes on where it
# was stopped.
#
# Time: about an hour on 2 busy cores; commands, calls and files a few minutes.
# Writes: attack.md into --output, if it is given; runs in a temporary folder.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/usage.sh"
source "$ROOT/scripts/setup.sh"

exec python -m tests.attack "$@"
