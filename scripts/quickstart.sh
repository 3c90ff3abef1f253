#!/usr/bin/env bash
# Sets up the environment, then trains regular and Sobolev networks on two of
# the paper's functions, prints a table and draws figures.
#
#   ./scripts/quickstart.sh
#
# Time: one to two minutes on 2 cores, besides the first set-up.
# Writes: runs/quickstart (figures, TensorBoard logs).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/usage.sh"
source "$ROOT/scripts/setup.sh"

OUTPUT="$ROOT/runs/quickstart"
echo "Training regular and Sobolev networks (one to two minutes) ..."
python -m trainers.regression --preset=quickstart \
  --function=styblinski_tang,rosenbrock --num_train=20,100 --method=all \
  --workdir="$OUTPUT/training"
python -m trainers.regression.report --workdir="$OUTPUT/training" \
  --output="$OUTPUT"
cat <<END

Look at:  $OUTPUT/*.png
Curves:   $ROOT/scripts/tensorboard.sh $OUTPUT/training

What to try next:
  your own data, one call          README.md, "Your own data"
  the theory as figures, 1 min    ./scripts/reproduce_theory.sh
  Figure 2 of the paper, 1 hour   ./scripts/reproduce_figure2.sh
  every script says what it does  ./scripts/NAME.sh --help
END
