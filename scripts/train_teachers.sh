#!/usr/bin/env bash
# Trains the Atari teachers, lets them play 30 games and writes
# results/teachers: GAME.npz, its card GAME.json, a table and the curves. About
# 55 minutes per game on 2 idle cores in desk; run it again to resume.
#   GAME=pong,...             (default: pong,breakout,space_invaders)
#   PRESET=smoke|desk|paper   (default: desk)
#   WORKDIR=DIR               runs, one folder per game (default: runs/teachers
#                             for desk, runs/teachers_$PRESET for the others)
#   OUTPUT=DIR                (default: results/teachers; the smoke preset
#                             writes into WORKDIR/report instead)
# Arguments go to the trainer: ./scripts/train_teachers.sh --num_steps=8000000
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

PRESET="${PRESET:-desk}"
GAME="${GAME:-pong,breakout,space_invaders}"
case "$PRESET" in
  smoke)
    WORKDIR="${WORKDIR:-$ROOT/runs/teachers_smoke}"
    OUTPUT="${OUTPUT:-$WORKDIR/report}"
    ;;
  desk) WORKDIR="${WORKDIR:-$ROOT/runs/teachers}" ;;
  paper) WORKDIR="${WORKDIR:-$ROOT/runs/teachers_paper}" ;;
  *) fail "PRESET is $PRESET; use smoke, desk or paper." ;;
esac

# The actor threads share the processors among themselves; threads within an
# operation would only get in their way.
export TF_NUM_INTRAOP_THREADS=1
status=0
for game in ${GAME//,/ }; do
  code=0
  python -m trainers.teachers --preset="$PRESET" --game="$game" \
    --workdir="$WORKDIR/$game" "$@" || code=$?
  # Code 1: a gradient was not finite. The other games go on.
  [ "$code" -le 1 ] || exit "$code"
  [ "$code" -le "$status" ] || status="$code"
done
python -m trainers.teachers.report --workdir="$WORKDIR" \
  --output="${OUTPUT:-$ROOT/results/teachers}"
exit "$status"
