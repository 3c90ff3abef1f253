#!/usr/bin/env bash
# Sets up the environment, then trains regular and Sobolev networks on two of
# the paper's functions, prints a table and writes figures and TensorBoard logs.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

OUTPUT="$ROOT/runs/quickstart"
echo "Training regular and Sobolev networks (one to two minutes) ..."
python -m trainers.regression --preset=quickstart \
  --function=styblinski_tang,rosenbrock --num_train=20,100 --method=all \
  --workdir="$OUTPUT/training"
python -m trainers.regression.report --workdir="$OUTPUT/training" \
  --output="$OUTPUT"
echo
echo "Look at:  $OUTPUT/*.png"
echo "Curves:   $ROOT/scripts/tensorboard.sh $OUTPUT/training"
