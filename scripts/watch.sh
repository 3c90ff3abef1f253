#!/usr/bin/env bash
# Films a game: the teacher, its Sobolev student and its regular student side
# by side, with scores and the probabilities of their actions. Where no students
# have been trained (reproduce_figure4.sh), the teacher plays alone.
#
#   ./scripts/watch.sh [GAME] [FLAG ...]
#
# GAME is breakout (default), pong or space_invaders. FLAGs go to
# trainers.teachers.watch: --percentage=1 --seconds=120 --policies=PATH,... and
# what python -m trainers.teachers.watch --help lists.
#
# Time: about half a minute per minute of film.
# Writes: runs/films/GAME.mp4, or into --workdir.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/usage.sh"

game=breakout
case "${1:-}" in
  "" | -*) ;;
  *) game="$1" && shift ;;
esac
source "$ROOT/scripts/setup.sh"

python -m trainers.teachers.watch --game="$game" \
  --students="$ROOT/runs/figure4_desk/final" --workdir="$ROOT/runs/films" "$@"
