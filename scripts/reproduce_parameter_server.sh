#!/usr/bin/env bash
# Trains on clusters of this machine's processes and on one process, and writes
# accuracy against staleness. Run it again to resume.
#
#   ./scripts/reproduce_parameter_server.sh
#
#   PRESET=smoke|desk   (default: desk)
#   SEEDS=0,1,2         of the comparison with one process (default: 0,1,2)
#   WORKERS=1,2,4,8     of the staleness table, seed 0 (default: 1,2,4,8)
#   WORKDIR=DIR         training runs (default: runs/parameter_server_PRESET)
#   OUTPUT=DIR          table (default: results/parameter_server for desk,
#                       WORKDIR/report for smoke)
#
# Time: about 50 minutes on 2 idle cores in desk.
# Writes: WORKDIR and OUTPUT.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/usage.sh"
choice PRESET desk smoke desk
whole_numbers SEEDS 0,1,2
whole_numbers WORKERS 1,2,4,8
folder WORKDIR "$ROOT/runs/parameter_server_$PRESET"
results parameter_server
source "$ROOT/scripts/setup.sh"

settings=(--preset="$PRESET" --dataset=digits --method=sobolev)

# Two workers, two shares of each batch: what the paper's ten do.
for seed in ${SEEDS//,/ }; do
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
for workers in ${WORKERS//,/ }; do
  for updates in sync async; do
    python -m trainers.parameter_server.local_cluster --workers="$workers" -- \
      "${settings[@]}" --num_replicas=8 --main_updates="$updates" \
      --workdir="$WORKDIR/staleness/${updates}_$workers"
  done
done
python -m trainers.parameter_server.report --workdir="$WORKDIR" \
  --output="$OUTPUT"
