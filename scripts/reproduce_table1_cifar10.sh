#!/usr/bin/env bash
# Reproduces Table 1's upper part: every way to produce gradients, three
# splits, several seeds. Run it again to resume.
#
#   ./scripts/reproduce_table1_cifar10.sh
#
#   PRESET=smoke|desk|paper   (default: desk)
#   DATASET=cifar10|digits    digits are cluttered digits, made here; CIFAR-10
#                             has to be downloaded once, and the error of a
#                             missing one says how (default: cifar10, in smoke
#                             digits)
#   METHODS=NAME,...          of backprop, noprop, direct, vfbn, critic, sobolev,
#                             sobolev_labels and local, which is no row of the
#                             paper (default: all the others)
#   SEEDS=0,1,2               (default: 0,1,2)
#   DATA_DIR=DIR              TFDS' folder with cifar10 (default: TFDS' own)
#   NUM_REPLICAS=N            devices per run (default: the preset's: 1 in smoke
#                             and desk; paper wants 10 GPUs)
#   WORKDIR=DIR               training runs (default:
#                             runs/table1_DATASET_PRESET)
#   OUTPUT=DIR                table and figures (default:
#                             results/table1_DATASET for desk,
#                             results/table1_DATASET_paper for paper,
#                             WORKDIR/report for smoke)
#
# Time: desk on digits about an hour on 2 idle cores, smoke two minutes.
# Writes: WORKDIR and OUTPUT.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/usage.sh"
choice PRESET desk smoke desk paper
if [ "$PRESET" = smoke ]; then
  choice DATASET digits digits cifar10
else
  choice DATASET cifar10 digits cifar10
fi
all=(backprop noprop direct vfbn critic sobolev sobolev_labels)
items METHODS all all "${all[@]}" local
if [ "$METHODS" = all ]; then
  METHODS="$(IFS=, && echo "${all[*]}")"
fi
whole_numbers SEEDS 0,1,2
whole_number NUM_REPLICAS "" 1
[ -z "${DATA_DIR:-}" ] || folder DATA_DIR ""
folder WORKDIR "$ROOT/runs/table1_${DATASET}_$PRESET"
results "table1_$DATASET"
case "$DATASET" in
  digits) echo "On cluttered digits, not on CIFAR-10 (that is DATASET=cifar10)." ;;
  cifar10) echo "On CIFAR-10 (DATASET=digits needs no download)." ;;
esac
source "$ROOT/scripts/setup.sh"

settings=(--preset="$PRESET" --dataset="$DATASET" --seed="$SEEDS"
  --method="$METHODS" --data_dir="${DATA_DIR:-}" --workdir="$WORKDIR")
if [ -n "$NUM_REPLICAS" ]; then
  settings+=(--num_replicas="$NUM_REPLICAS")
fi

command=(python -m trainers.synthetic_gradients "${settings[@]}")
# At the paper's size, or with several replicas, one process has the machine.
code=0
if [ "$PRESET" = paper ] || [ "${NUM_REPLICAS:-1}" != 1 ]; then
  alone "${command[@]}" || code=$?
else
  sweep "${command[@]}" || code=$?
fi
# Code 1 means that some run's loss was not finite; the table counts it.
[ "$code" -le 1 ] || exit "$code"
python -m trainers.synthetic_gradients.report --workdir="$WORKDIR" \
  --output="$OUTPUT"
