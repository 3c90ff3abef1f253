#!/usr/bin/env bash
# Reproduces Figure 4: students of Atari teachers, distilled with and without
# gradients, from several percentages of the recorded frames. Records the
# teachers, chooses the learning rate and a second setting of every method on a
# validation slice of the training episodes, with as many trials for each, and
# trains. Run it again to resume.
#
#   ./scripts/reproduce_figure4.sh
#
#   PRESET=smoke|desk|paper   (default: desk)
#   GAMES=pong,...            (default: pong,breakout,space_invaders; in smoke
#                             breakout alone)
#   PERCENTAGES=1,5,10,50     of the frames, to learn from (in smoke 50)
#   SEEDS=0,1,2               the first one's students also play the game
#                             (default: 0,1,2; in smoke 0,1)
#   TEACHERS=DIR              GAME.npz of each (default: results/teachers)
#   RECORDINGS=DIR            (default: runs/recordings, for smoke
#                             WORKDIR/recordings)
#   CHOOSE_BY=kl|error        measure on the validation slice that settings are
#                             the best by (default: kl)
#   JACOBIAN_GIB=4            memory that each process (one per processor, in
#                             paper one in all) may take for its teacher's
#                             gradients; 0 to ask the teacher at every update
#   WORKDIR=DIR               training runs (default: runs/figure4_PRESET)
#   OUTPUT=DIR                table and figures (default: results/figure4 for
#                             desk, results/figure4_paper for paper,
#                             WORKDIR/report for smoke)
#
# Time: about 6 hours on 2 idle cores in desk, by its number of updates.
# Writes: RECORDINGS, WORKDIR and OUTPUT.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/usage.sh"
choice PRESET desk smoke desk paper
games=pong,breakout,space_invaders percentages=1,5,10,50 seeds=0,1,2
recordings="$ROOT/runs/recordings"
folder WORKDIR "$ROOT/runs/figure4_$PRESET"
if [ "$PRESET" = smoke ]; then
  games=breakout percentages=50 seeds=0,1 recordings="$WORKDIR/recordings"
fi
choice CHOOSE_BY kl kl error
items GAMES "$games"
items PERCENTAGES "$percentages"
whole_numbers SEEDS "$seeds"
folder TEACHERS "$ROOT/results/teachers"
folder RECORDINGS "$recordings"
JACOBIAN_GIB="${JACOBIAN_GIB:-4}"
results figure4

num_frames=100000
[ "$PRESET" != smoke ] || num_frames=2000

# A missing teacher is named before anything is recorded.
for game in ${GAMES//,/ }; do
  [ "$PRESET" = smoke ] || [ -e "$TEACHERS/$game.npz" ] ||
    fail "there is no teacher $TEACHERS/$game.npz; train it with" \
      "GAMES=$game ./scripts/train_teachers.sh, or leave it out of GAMES."
done
source "$ROOT/scripts/setup.sh"

for game in ${GAMES//,/ }; do
  if [ ! -e "$TEACHERS/$game.npz" ]; then
    echo "Making a teacher that has learnt nothing, for this trial only ..."
    TEACHERS="$WORKDIR/teachers"
    [ -e "$TEACHERS/$game.npz" ] ||
      GAMES="$game" PRESET=smoke OUTPUT="$TEACHERS" \
        WORKDIR="$WORKDIR/teacher_runs" "$ROOT/scripts/train_teachers.sh"
  fi
  [ -e "$RECORDINGS/$game" ] ||
    python -m trainers.teachers.record --game="$game" \
      --teacher="$TEACHERS/$game.npz" --num_frames="$num_frames" \
      --workdir="$RECORDINGS/$game"
done

# The grids are in trainers/distillation/figure4.py. Code 1 means that some run's
# loss was not finite; the table counts it.
train() {  # STAGE FLAGS
  local code=0 command
  command=(python -m trainers.distillation.figure4 --preset="$PRESET"
    --stage="$1" --workdir="$WORKDIR/$1" --games="$GAMES"
    --percentages="$PERCENTAGES" --seeds="$SEEDS" --teachers="$TEACHERS"
    --recordings="$RECORDINGS" --jacobian_gib="$JACOBIAN_GIB" "${@:2}")
  if [ "$PRESET" = paper ]; then
    alone "${command[@]}" || code=$?
  else
    sweep "${command[@]}" || code=$?
  fi
  [ "$code" -le 1 ] || exit "$code"
}

train search
python -m trainers.distillation.search_report --workdir="$WORKDIR/search" \
  --output="$OUTPUT"
train final --search="$OUTPUT/search.csv" --choose_by="$CHOOSE_BY"
python -m trainers.distillation.report --workdir="$WORKDIR/final" \
  --output="$OUTPUT"
