#!/usr/bin/env bash
# Reproduces Figures 2, 3 and 5-11: seven functions, three training-set sizes,
# two methods, five seeds. Run it again to resume.
#
#   ./scripts/reproduce_figure2.sh
#
#   PRESET=smoke|desk|paper   (default: desk)
#   RATE=paper|chosen         the learning rate: the paper's for all, or for
#                             each function, size and method the best of three
#                             on held-out points (default: paper)
#   WORKDIR=DIR               training runs (default: runs/figure2_PRESET, with
#                             chosen rates runs/figure2_chosen_PRESET)
#   OUTPUT=DIR                table and figures (default: results/figure2 for
#                             desk, results/figure2_paper for paper,
#                             WORKDIR/report for smoke; figure2_chosen likewise)
#
# Time: desk about an hour on 2 idle cores, with chosen rates three, smoke about
# two minutes.
# Writes: WORKDIR and OUTPUT.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/usage.sh"
choice PRESET desk smoke desk paper
choice RATE paper paper chosen
name=figure2
[ "$RATE" = paper ] || name=figure2_chosen
folder WORKDIR "$ROOT/runs/${name}_$PRESET"
results "$name"
source "$ROOT/scripts/setup.sh"

experiments=(--preset="$PRESET" --function=all --num_train=20,100,10000
  --method=all)
final=("${experiments[@]}" --workdir="$WORKDIR")
if [ "$RATE" = chosen ]; then
  sweep python -m trainers.regression "${experiments[@]}" --seed=100,101,102 \
    --num_validation=10000 --learning_rate=3e-5,3e-4,3e-3 \
    --workdir="$WORKDIR/search"
  python -m trainers.regression.rates --workdir="$WORKDIR/search" \
    --output="$WORKDIR"
  final=("${experiments[@]}" --rates="$WORKDIR/rates.csv"
    --workdir="$WORKDIR/final")
fi
sweep python -m trainers.regression "${final[@]}"
python -m trainers.regression.report --workdir="${final[-1]#--workdir=}" \
  --output="$OUTPUT"
[ "$RATE" = paper ] || cp "$WORKDIR/rates.csv" "$OUTPUT"
