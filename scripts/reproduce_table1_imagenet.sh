#!/usr/bin/env bash
# Reproduces Table 1's lower part: ResNet-50 with one and with three modules.
# Run it again to resume.
#
#   ./scripts/reproduce_table1_imagenet.sh
#
#   PRESET=smoke|desk|paper   (default: desk)
#     smoke: two steps of every method at 224x224 on synthetic pictures in
#       ImageNet's form, and a table of memory and time.
#     desk: all methods on frames of games, 64x64, a quarter of the width. It is
#       not ImageNet.
#     paper: ImageNet, for a machine with GPUs.
#       On paper: a run is 200,000 steps, in each of which a replica has 32
#       pictures. ResNet-50 takes 4.1e9 multiply-adds for one, forward; three
#       times that for backpropagation, four times for Sobolev. With 34 replicas
#       that makes 2.1e17 operations on each for a Sobolev run: 6 hours where a
#       GPU sustains 1e13 per second, and about 3 days for all 13 runs.
#   PICTURES=games|grey_games for desk: frames as they are, or grey and of random
#                             contrast, so that colours tell nothing (default:
#                             games)
#   NUM_MODULES=1,3           (default: 1 for smoke, 1,3 otherwise)
#   METHODS=NAME,...          of backprop, noprop, direct, vfbn, critic, sobolev,
#                             sobolev_labels and local, which is no row of the
#                             paper (default: all the others)
#   SEEDS=0,1,2               (default: 0)
#   DATA_DIR=DIR              TFDS' folder: with imagenet2012 for paper
#                             (default: TFDS' own); otherwise made if missing
#                             (default: below runs/)
#   NUM_REPLICAS=N            devices per run (default: the preset's: 1 in smoke
#                             and desk; paper wants 34 GPUs)
#   BATCH_SIZE=N              pictures per step, over all replicas (default: the
#                             preset's; 32 a replica is the paper's)
#   WORKDIR=DIR               training runs (default: runs/table1_DATA_PRESET)
#   OUTPUT=DIR                table and figures (default: results/table1_games
#                             for desk, results/table1_imagenet for paper,
#                             WORKDIR/report for smoke)
#
# Time: desk about an hour on 2 idle cores, smoke some minutes.
# Writes: WORKDIR and OUTPUT, and the pictures into DATA_DIR.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/usage.sh"
choice PRESET desk smoke desk paper
all=(backprop noprop direct vfbn critic sobolev sobolev_labels)
choice PICTURES games games grey_games
items METHODS all all "${all[@]}" local
if [ "$METHODS" = all ]; then
  METHODS="$(IFS=, && echo "${all[*]}")"
fi
whole_numbers SEEDS 0
whole_number NUM_REPLICAS "" 1
whole_number BATCH_SIZE "" 1
case "$PRESET" in
  smoke) dataset=imagenet default=1 about="synthetic pictures, not ImageNet" ;;
  desk) dataset="$PICTURES" default=1,3 about="frames of games, not ImageNet" ;;
  paper) dataset=imagenet default=1,3 about="ImageNet" ;;
esac
items NUM_MODULES "$default" 1 3
[ -z "${DATA_DIR:-}" ] || folder DATA_DIR ""
folder WORKDIR "$ROOT/runs/table1_${dataset}_$PRESET"
results "table1_$PICTURES" table1_imagenet
echo "On $about."
source "$ROOT/scripts/setup.sh"

# Makes what the preset learns from, once.
case "$PRESET" in
  smoke)
    DATA_DIR="${DATA_DIR:-$ROOT/runs/imagenet_stand_in}"
    [ -d "$DATA_DIR/imagenet2012" ] ||
      python -m data.imagenet_stand_in --output="$DATA_DIR" --num_train=16 \
        --num_validation=4 2> >(without_notes >&2)
    ;;
  desk)
    DATA_DIR="${DATA_DIR:-$ROOT/runs/game_frames}"
    [ -d "$DATA_DIR/game_frames" ] ||
      python -m data.game_frames --output="$DATA_DIR" 2> >(without_notes >&2)
    ;;
esac

command=(python -m trainers.synthetic_gradients
  --preset="${PRESET}_${dataset#grey_}" --dataset="$dataset" --method="$METHODS"
  --num_modules="$NUM_MODULES" --seed="$SEEDS" --data_dir="${DATA_DIR:-}"
  --workdir="$WORKDIR")
[ -z "$NUM_REPLICAS" ] || command+=(--num_replicas="$NUM_REPLICAS")
[ -z "$BATCH_SIZE" ] || command+=(--batch_size="$BATCH_SIZE")

# At the paper's size, or with several replicas, one process has the machine.
code=0
if [ "$PRESET" = paper ] || [ "${NUM_REPLICAS:-1}" != 1 ] ||
  [[ "$METHODS$NUM_MODULES$SEEDS" != *,* ]]; then
  alone "${command[@]}" || code=$?
else
  sweep "${command[@]}" || code=$?
fi
# Code 1 means that some run's loss was not finite; the table counts it.
[ "$code" -le 1 ] || exit "$code"
python -m trainers.synthetic_gradients.report --workdir="$WORKDIR" \
  --output="$OUTPUT"
if [ "$PRESET" = smoke ]; then
  # A fresh process for each method: its peak is its own.
  python -m benchmarks.decoupled_memory --method="$METHODS" \
    --num_modules="$NUM_MODULES" --batch_size="${BATCH_SIZE:-4}" --steps=1 \
    --output="$OUTPUT" 2> >(without_notes >&2)
fi

