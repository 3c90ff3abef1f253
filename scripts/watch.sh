#!/usr/bin/env bash
# Films a game: the teacher, its Sobolev student and its regular student side
# by side, with scores and the probabilities of their actions.
#   ./scripts/watch.sh breakout     writes runs/films/breakout.mp4
# Further arguments go to trainers.teachers.watch: --percentage=1 --seconds=120
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

case "${1:-}" in
  "" | -*) fail "no game is named; try ./scripts/watch.sh breakout." ;;
esac
game="$1"
shift
python -m trainers.teachers.watch --game="$game" --workdir="$ROOT/runs/films" "$@"
