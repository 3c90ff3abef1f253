#!/usr/bin/env bash
# Reproduces Figure 4: students of Atari teachers, distilled with and without
# gradients, from several percentages of the recorded frames. Records the
# teachers, chooses alpha and the learning rate of every method on a validation
# slice of the training episodes, and trains. Run it again to resume.
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
#   JACOBIAN_GIB=4            memory that each process (one per processor, in
#                             paper one in all) may take for its teacher's
#                             gradients; 0 to ask the teacher at every update
#   WORKDIR=DIR               training runs (default: runs/figure4_PRESET)
#   OUTPUT=DIR                table and figures (default: results/figure4 for
#                             desk, results/figure4_paper for paper,
#                             WORKDIR/report for smoke)
#
# Time: about 4 hours on 2 idle cores in desk.
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
items GAMES "$games"
items PERCENTAGES "$percentages"
whole_numbers SEEDS "$seeds"
folder TEACHERS "$ROOT/results/teachers"
folder RECORDINGS "$recordings"
JACOBIAN_GIB="${JACOBIAN_GIB:-4}"
results figure4

NUM_FRAMES=100000
EPISODES=30
# As many trials for each method: learning rates of SM §3, or one that suits the
# number of updates with as many weights.
ALL_RATES=3.2e-5,1e-4,3.2e-4,1e-3
SOME_RATES=1e-3
ALPHAS=0.003,0.03,0.3,3
NOISES=0.001,0.003,0.01,0.03
SEARCHED_PERCENTAGE=10
# Of the searched frames: training on little data is searched by itself.
VALIDATION_SHARES="0.9 0.2"
CONTROLLED_PERCENTAGE=5
case "$PRESET" in
  smoke)
    NUM_FRAMES=2000 EPISODES=2
    ALL_RATES=1e-4,1e-3 SOME_RATES=1e-3 ALPHAS=0.1,1 NOISES=0.03,0.1
    SEARCHED_PERCENTAGE=50 CONTROLLED_PERCENTAGE=50 VALIDATION_SHARES=0.5
    ;;
  paper)
    ALL_RATES=1e-5,1.9e-5,3.7e-5,7.2e-5,1.4e-4,2.7e-4,5.2e-4,1e-3
    SOME_RATES=1e-4,3.2e-4
    ;;
esac

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
      --teacher="$TEACHERS/$game.npz" --num_frames="$NUM_FRAMES" \
      --workdir="$RECORDINGS/$game"
done

# Code 1 says that some run's loss was not finite; the table counts it.
distil() {
  local code=0 command
  command=(python -m trainers.distillation --preset="$PRESET" --game="$game"
    --teachers="$TEACHERS" --recordings="$RECORDINGS"
    --jacobian_gib="$JACOBIAN_GIB"
    --reserved_percentage="$SEARCHED_PERCENTAGE" "$@")
  if [ "$PRESET" = paper ]; then
    "${command[@]}" || code=$?
  else
    on_every_processor "${command[@]}" || code=$?
  fi
  [ "$code" -le 1 ] || exit "$code"
}

search() {  # VALIDATION_SHARE METHOD FLAGS
  distil --percentage="$SEARCHED_PERCENTAGE" --seed=100 \
    --validation_share="$1" --num_score_episodes=0 --method="$2" \
    --workdir="$WORKDIR/search/$game/validation_$1/$2" "${@:3}"
}

final() {
  distil --search="$OUTPUT/search.csv" \
    --workdir="$WORKDIR/final/$game/seed_$seed/$1" --seed="$seed" "${@:2}"
}

# Folders are named by game and seed, so that more of them can be added later.
for game in ${GAMES//,/ }; do
  for share in $VALIDATION_SHARES; do
    search "$share" regular --learning_rate="$ALL_RATES"
    search "$share" sobolev --learning_rate="$SOME_RATES" --alpha="$ALPHAS"
  done
  # The controls have much data: the last share.
  search "${VALIDATION_SHARES##* }" noise --learning_rate="$SOME_RATES" \
    --noise="$NOISES"
done
python -m trainers.distillation.search_report --workdir="$WORKDIR/search" \
  --output="$OUTPUT"
# To play takes as long as to train: only the first seed's students do it.
for game in ${GAMES//,/ }; do
  episodes="$EPISODES"
  for seed in ${SEEDS//,/ }; do
    final students --method=regular,sobolev --percentage="$PERCENTAGES" \
      --num_score_episodes="$episodes"
    episodes=0
  done
done
for game in ${GAMES//,/ }; do
  for seed in ${SEEDS//,/ }; do
    final controls --method=noise,attention \
      --percentage="$CONTROLLED_PERCENTAGE" --num_score_episodes=0
  done
done
python -m trainers.distillation.report --workdir="$WORKDIR/final" \
  --output="$OUTPUT"
