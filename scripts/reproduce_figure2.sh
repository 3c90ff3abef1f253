#!/usr/bin/env bash
# Reproduces Figures 2, 3 and 5-11: seven functions, three training-set sizes,
# two methods, five seeds. Writes results/figure2. Run it again to resume.
#   PRESET=smoke|desk|paper   (default: desk)
#   WORKDIR=DIR               training runs (default: runs/figure2_$PRESET)
#   OUTPUT=DIR                table and figures (default: results/figure2; the
#                             smoke preset writes into WORKDIR instead)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

PRESET="${PRESET:-desk}"
WORKDIR="${WORKDIR:-$ROOT/runs/figure2_$PRESET}"
case "$PRESET" in
  smoke) OUTPUT="${OUTPUT:-$WORKDIR/report}" ;;
  desk | paper) OUTPUT="${OUTPUT:-$ROOT/results/figure2}" ;;
  *) fail "PRESET is $PRESET; use smoke, desk or paper." ;;
esac

on_every_processor python -m trainers.regression --preset="$PRESET" \
  --function=all --num_train=20,100,10000 --method=all --workdir="$WORKDIR"
python -m trainers.regression.report --workdir="$WORKDIR" --output="$OUTPUT"
