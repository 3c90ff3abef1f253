#!/usr/bin/env bash
# Shows the runs below a folder in a browser. Ctrl-C ends it.
#
#   ./scripts/tensorboard.sh [DIR] [FLAG ...]
#
# DIR is runs/ by default. FLAGs go to TensorBoard, which listens on this
# machine alone unless --bind_all is given.
#
# What is to be added to the address, so that the main result is on top and every
# method has one colour, is printed first.
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
echo "The main result on top, one colour per method: add" \
  "?$(tensorboard_view)#timeseries to the address below." >&2
exec tensorboard --logdir "$FOLDER" "$@" 2> >(without_notes >&2)
