#!/usr/bin/env bash
# Photographs TensorBoard's pages of a small sweep with Chromium, for docs/.
#
#   docs/images/photograph.sh
#
#   WORKDIR=DIR   the sweep (default: runs/photographs); trained where it is not
#   OUTPUT=DIR    where the pictures go (default: docs/images)
#   PORT=N        of TensorBoard, on this machine alone (default: 6123)
#
# Time: three minutes on 2 cores.
# Writes: WORKDIR, and tensorboard_PAGE.png in OUTPUT.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/usage.sh"
folder WORKDIR "$ROOT/runs/photographs"
folder OUTPUT "$ROOT/docs/images"
whole_number PORT 6123 1024

BROWSER="$(command -v chromium || command -v chromium-browser ||
  command -v google-chrome || true)"
[ -n "$BROWSER" ] ||
  fail "there is no Chromium here; install it (Debian: apt-get install chromium)."
source "$ROOT/scripts/setup.sh"

# No path of this machine is to be in the pictures.
cd "$ROOT"
python -m trainers.regression --preset=quickstart --function=styblinski_tang \
  --num_train=20,100 --method=all --num_steps=3000 --workdir="${WORKDIR#"$ROOT/"}"

SCRATCH="$(mktemp -d)"
(cd "$WORKDIR" && exec tensorboard --logdir . --host 127.0.0.1 --port "$PORT" \
  2>"$SCRATCH/log") &
SERVER=$!
trap 'kill "$SERVER" 2>/dev/null || true; rm -rf "$SCRATCH"' EXIT
HAS_RUNS='import json, sys, urllib.request as r
sys.exit(not json.load(r.urlopen(sys.argv[1])))'
until python -c "$HAS_RUNS" "http://127.0.0.1:$PORT/data/runs" 2>/dev/null; do
  kill -0 "$SERVER" 2>/dev/null || fail "$(tail -n 1 "$SCRATCH/log")"
  sleep 1
done

mkdir -p "$OUTPUT"
# Without a graphics card curves are drawn as SVG alone.
VIEW="darkMode=false&forceSVG=true&$(tensorboard_view)"
for page in timeseries images text hparams; do
  # Its parts are drawn seconds after the page has been loaded.
  "$BROWSER" --headless --no-sandbox --disable-gpu --hide-scrollbars \
    --user-data-dir="$SCRATCH" --window-size=1400,900 \
    --virtual-time-budget=60000 --screenshot="$SCRATCH/$page.png" \
    "http://127.0.0.1:$PORT/?$VIEW#$page" 2>/dev/null
  python - "$SCRATCH/$page.png" "$OUTPUT/tensorboard_$page.png" <<'END'
import sys

from PIL import Image

from trainers.lifecycle.figures import write_png

write_png(Image.open(sys.argv[1]), sys.argv[2])
END
  echo "$OUTPUT/tensorboard_$page.png"
done
