#!/usr/bin/env bash
# Trains the Atari teachers and lets them play 30 games. Run it again to resume.
#
#   ./scripts/train_teachers.sh [FLAG ...]
#
# FLAGs go to trainers.teachers: --num_steps=8000000, and what
# python -m trainers.teachers --help lists.
#
#   PRESET=smoke|desk|paper   (default: desk)
#   GAMES=pong,...            (default: pong,breakout,space_invaders)
#   WORKDIR=DIR               runs, one folder per game (default: runs/teachers
#                             for desk, runs/teachers_PRESET for the others)
#   OUTPUT=DIR                (default: results/teachers for desk,
#                             results/teachers_paper for paper, WORKDIR/report
#                             for smoke)
#
# Time: about 55 minutes per game on 2 idle cores in desk, one in smoke.
# Writes: WORKDIR, and in OUTPUT GAME.npz, its card GAME.json, a table, curves.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/usage.sh"
choice PRESET desk smoke desk paper
items GAMES pong,breakout,space_invaders
case "$PRESET" in
  desk) folder WORKDIR "$ROOT/runs/teachers" ;;
  *) folder WORKDIR "$ROOT/runs/teachers_$PRESET" ;;
esac
results teachers
source "$ROOT/scripts/setup.sh"

# The actor threads share the processors among themselves; threads within an
# operation would only get in their way.
export TF_NUM_INTRAOP_THREADS=1
status=0
for game in ${GAMES//,/ }; do
  code=0
  python -m trainers.teachers --preset="$PRESET" --game="$game" \
    --workdir="$WORKDIR/$game" "$@" || code=$?
  # Code 1: a gradient was not finite. The other games go on.
  [ "$code" -le 1 ] || exit "$code"
  [ "$code" -le "$status" ] || status="$code"
done
python -m trainers.teachers.report --workdir="$WORKDIR" \
  --output="$OUTPUT"
exit "$status"
