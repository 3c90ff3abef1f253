#!/usr/bin/env bash
# Shows the runs below a folder in a browser. Ctrl-C ends it.
#
#   ./scripts/tensorboard.sh [DIR] [FLAG ...]
#
# DIR is runs/ by default. FLAGs go to TensorBoard, which listens on this
# machine alone unless --bind_all is given.
#
# Time: until Ctrl-C.
# Writes: nothing.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/usage.sh"
FOLDER="$ROOT/runs"
case "${1:-}" in
  '' | -*) ;;
  *) FOLDER="$1" && shift ;;
esac
[ -d "$FOLDER" ] || fail "there is no folder $FOLDER; name one with runs in it."
source "$ROOT/scripts/setup.sh"
exec tensorboard --logdir "$FOLDER" "$@" 2> >(without_notes >&2)
