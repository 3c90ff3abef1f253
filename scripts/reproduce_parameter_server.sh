#!/usr/bin/env bash
# Trains on clusters of this machine's processes and on one process, and writes
# accuracy against staleness into results/parameter_server. Run it again to
# resume. About 50 minutes on 2 idle cores in desk.
#   PRESET=smoke|desk   (default: desk)
#   SEEDS="0 1 2"       seeds of the comparison with one process
#   WORKERS="1 2 4 8"   workers of the staleness table (seed 0)
#   WORKDIR=DIR         training runs (default: runs/parameter_server_$PRESET)
#   OUTPUT=DIR          table (default: results/parameter_server; the smoke
#                       preset writes into WORKDIR instead)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

PRESET="${PRESET:-desk}"
case "$PRESET" in
  smoke | desk) ;;
  *) fail "PRESET is $PRESET; use smoke or desk." ;;
esac
WORKDIR="${WORKDIR:-$ROOT/runs/parameter_server_$PRESET}"
if [ "$PRESET" = smoke ]; then
  OUTPUT="${OUTPUT:-$WORKDIR/report}"
fi
OUTPUT="${OUTPUT:-$ROOT/results/parameter_server}"
settings=(--preset="$PRESET" --dataset=digits --method=sobolev)

# Two workers, two shares of each batch: what the paper's ten do.
for seed in ${SEEDS:-0 1 2}; do
  python -m trainers.synthetic_gradients "${settings[@]}" --num_replicas=1 \
    --seed="$seed" --workdir="$WORKDIR/one_process/seed_$seed"
  python -m trainers.synthetic_gradients "${settings[@]}" --num_replicas=2 \
    --estimator_updates=hogwild --seed="$seed" \
    --workdir="$WORKDIR/mirrored/seed_$seed"
  for updates in sync async; do
    python -m trainers.parameter_server.local_cluster --workers=2 -- "${settings[@]}" \
      --main_updates="$updates" --seed="$seed" \
      --workdir="$WORKDIR/$updates/seed_$seed"
  done
done
# Always eight shares of each batch, on fewer or more workers: all that changes
# is how much happens at once. Shares of four pictures are mostly messages, hence
# few steps, on digits and at a rate that show a difference after so few.
if [ "$PRESET" = desk ]; then
  settings+=(--num_steps=500 --clutter=0 --learning_rate=0.03
    --evaluate_every=100)
fi
for workers in ${WORKERS:-1 2 4 8}; do
  for updates in sync async; do
    python -m trainers.parameter_server.local_cluster --workers="$workers" -- \
      "${settings[@]}" --num_replicas=8 --main_updates="$updates" \
      --workdir="$WORKDIR/staleness/${updates}_$workers"
  done
done
python -m trainers.parameter_server.report --workdir="$WORKDIR" \
  --output="$OUTPUT"
