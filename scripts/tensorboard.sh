#!/usr/bin/env bash
# Shows the runs below a folder in a browser. Ctrl-C ends it.
#
#   ./scripts/tensorboard.sh [DIR] [FLAG ...]
#
# DIR is runs/ by default. FLAGs go to TensorBoard, which listens on this
# machine alone unless --bind_all is given.
#
# What is to be added to the address so that every method has one colour is
# printed first.
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
METHODS='regular%7Csobolev_labels%7Csobolev%7Cnoise%7Cattention%7Cbackprop'
METHODS="$METHODS%7Cnoprop%7Cdirect%7Cvfbn%7Ccritic"
echo "One colour per method: add ?runColorGroup=regex%3A($METHODS)#timeseries" \
  "to the address below." >&2
exec tensorboard --logdir "$FOLDER" "$@" 2> >(without_notes >&2)
