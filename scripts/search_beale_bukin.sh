#!/usr/bin/env bash
# Looks for what makes Sobolev training win on Beale and Bukin: scaling, a
# larger learning rate, other losses and weights of the gradient. Run it again
# to resume.
#
#   ./scripts/search_beale_bukin.sh
#
#   WORKDIR=DIR   training runs (default: runs/figure2_search)
#   OUTPUT=DIR    table (default: results/figure2_search)
#
# Time: about 15 minutes on 2 idle cores.
# Writes: WORKDIR and OUTPUT.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/usage.sh"
folder WORKDIR "$ROOT/runs/figure2_search"
folder OUTPUT "$ROOT/results/figure2_search"
source "$ROOT/scripts/setup.sh"

search() {
  local part="$1"
  shift
  sweep python -m trainers.regression --preset=desk \
    --num_train=20,100 --seed=0,1,2 --num_steps=30000 --method=all \
    --workdir="$WORKDIR/$part" "$@"
}

# Adam moves a weight by at most about the learning rate in a step: 30,000 steps
# at 1e-3 reach as far as a million at the paper's 3e-5.
search scaling --function=beale,bukin --scaling=none,standard \
  --learning_rate=1e-3
search scaling_slow --function=beale,bukin --scaling=standard
search loss --function=bukin --derivative_loss=l1,huber --learning_rate=1e-3
search weight --function=bukin --derivative_weight=0.1,0.01 \
  --learning_rate=1e-3
python -m trainers.regression.report --workdir="$WORKDIR" \
  --output="$OUTPUT"
