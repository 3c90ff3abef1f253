#!/usr/bin/env bash
# Shows the runs below a folder: ./scripts/tensorboard.sh [DIR] [FLAGS ...]
# TensorBoard listens on this machine alone unless --bind_all is given.
set -euo pipefail
FOLDER="$(realpath "${1:-$(dirname "${BASH_SOURCE[0]}")/../runs}")"
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
[ -d "$FOLDER" ] || fail "there is no folder $FOLDER; name one with runs in it."
exec tensorboard --logdir "$FOLDER" "${@:2}"
