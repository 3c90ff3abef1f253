#!/usr/bin/env bash
# Shows the runs below a folder: ./scripts/tensorboard.sh [DIR] [FLAGS ...]
# TensorBoard listens on this machine alone unless --bind_all is given.
set -euo pipefail
FOLDER="$(dirname "${BASH_SOURCE[0]}")/../runs"
case "${1:-}" in
  '' | -*) ;;
  *) FOLDER="$1" && shift ;;
esac
FOLDER="$(realpath "$FOLDER")"
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
[ -d "$FOLDER" ] || fail "there is no folder $FOLDER; name one with runs in it."
exec tensorboard --logdir "$FOLDER" "$@"
