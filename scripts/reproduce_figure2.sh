#!/usr/bin/env bash
# Reproduces Figures 2, 3 and 5-11: seven functions, three training-set sizes,
# two methods, five seeds. Run it again to resume.
#
#   ./scripts/reproduce_figure2.sh
#
#   PRESET=smoke|desk|paper   (default: desk)
#   WORKDIR=DIR               training runs (default: runs/figure2_PRESET)
#   OUTPUT=DIR                table and figures (default: results/figure2 for
#                             desk, results/figure2_paper for paper,
#                             WORKDIR/report for smoke)
#
# Time: desk about an hour on 2 idle cores, smoke about two minutes.
# Writes: WORKDIR and OUTPUT.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/usage.sh"
choice PRESET desk smoke desk paper
folder WORKDIR "$ROOT/runs/figure2_$PRESET"
results figure2
source "$ROOT/scripts/setup.sh"

sweep python -m trainers.regression --preset="$PRESET" \
  --function=all --num_train=20,100,10000 --method=all --workdir="$WORKDIR"
python -m trainers.regression.report --workdir="$WORKDIR" --output="$OUTPUT"
