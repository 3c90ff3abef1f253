#!/usr/bin/env bash
# Reproduces Table 1's upper part: every way to produce gradients, three
# splits, several seeds. Writes results/table1_$DATASET. Run it again to resume.
#   PRESET=smoke|desk|paper   (default: desk)
#   DATASET=digits|cifar10    (default: digits, which needs no download)
#   SEEDS=0,1,2               seeds, separated by commas
#   DATA_DIR=DIR              TFDS' folder with cifar10 (default: TFDS' own)
#   NUM_REPLICAS=N            devices per run (default: the preset's; the paper
#                             preset wants 10 GPUs)
#   WORKDIR=DIR               training runs (default: runs/table1_..._$PRESET)
#   OUTPUT=DIR                table and figures (default:
#                             results/table1_$DATASET; the smoke preset writes
#                             into WORKDIR instead)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

PRESET="${PRESET:-desk}"
DATASET="${DATASET:-digits}"
SEEDS="${SEEDS:-0,1,2}"
case "$DATASET" in
  digits | cifar10) ;;
  *) fail "DATASET is $DATASET; use digits or cifar10." ;;
esac
WORKDIR="${WORKDIR:-$ROOT/runs/table1_${DATASET}_$PRESET}"
case "$PRESET" in
  smoke) OUTPUT="${OUTPUT:-$WORKDIR/report}" ;;
  desk | paper) OUTPUT="${OUTPUT:-$ROOT/results/table1_$DATASET}" ;;
  *) fail "PRESET is $PRESET; use smoke, desk or paper." ;;
esac

settings=(--preset="$PRESET" --dataset="$DATASET" --method=all --seed="$SEEDS"
  --data_dir="${DATA_DIR:-}" --workdir="$WORKDIR")
if [ -n "${NUM_REPLICAS:-}" ]; then
  settings+=(--num_replicas="$NUM_REPLICAS")
fi

command=(python -m trainers.synthetic_gradients "${settings[@]}")
# At the paper's size, or with several replicas, one process has the machine.
code=0
if [ "$PRESET" = paper ] || [ "${NUM_REPLICAS:-1}" != 1 ]; then
  "${command[@]}" || code=$?
else
  on_every_processor "${command[@]}" || code=$?
fi
# Code 1 says that some run's loss was not finite; the table counts it.
[ "$code" -le 1 ] || exit "$code"
python -m trainers.synthetic_gradients.report --workdir="$WORKDIR" \
  --output="$OUTPUT"
