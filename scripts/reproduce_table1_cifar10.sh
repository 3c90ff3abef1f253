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

# At desk size one single-threaded process per processor trains more networks
# in an hour than one process with many threads. The processes share the work:
# each takes the next run that no other one has. At the paper's size one
# process has the machine.
processes=1
if [ "$PRESET" != paper ] && [ "${NUM_REPLICAS:-1}" = 1 ]; then
  processes="$(nproc)"
  export TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1
fi
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait || true' INT TERM
for _ in $(seq "$processes"); do
  python -m trainers.synthetic_gradients "${settings[@]}" &
  pids+=($!)
done
# Code 1 says that some run's loss was not finite; the table counts it.
for pid in "${pids[@]}"; do
  code=0
  wait "$pid" || code=$?
  [ "$code" -le 1 ] || exit "$code"
done
python -m trainers.synthetic_gradients_report --workdir="$WORKDIR" \
  --output="$OUTPUT"
