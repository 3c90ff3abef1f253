#!/usr/bin/env bash
# Runs the library's tests with other versions of Python and of the packages
# than those of constraints.txt: the newest and the oldest that the ranges in
# pyproject.toml allow. Prints a table for BUILD.md. Code 1 if tests fail.
#
#   ./scripts/releases.sh
#
#   VERSIONS=3.11,3.12,3.13  those that are there, on PATH or in pyenv (default:
#                            3.11,3.12,3.13)
#   RANGES=newest,oldest     (default: newest,oldest)
#   TESTS=PATH,...           of pytest (default: tests/sobolev_tf)
#   WORKDIR=DIR              an environment for each, 2 GB, removed when its
#                            tests are done (default: runs/releases)
#
# Time: about 10 minutes for each pair on 2 idle cores.
# Writes: WORKDIR: table.md, and a log for each pair.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/usage.sh"
items VERSIONS 3.11,3.12,3.13 3.11 3.12 3.13
items RANGES newest,oldest newest oldest
items TESTS tests/sobolev_tf
folder WORKDIR "$ROOT/runs/releases"
source "$ROOT/scripts/setup.sh"

# The interpreter of a version: VERSION.
interpreter() {
  local candidate candidates=("python$1")
  if command -v pyenv >/dev/null; then
    candidates+=("$(pyenv root)"/versions/"$1".*/bin/python)
  fi
  for candidate in "${candidates[@]}"; do
    if is_suitable "$candidate"; then
      echo "$candidate"
      return
    fi
  done
}

# What pip is told beside the package itself: a pin at each range's lower end.
write_constraints() { # RANGE FILE
  python - "$1" >"$2" <<'END'
import re, sys, tomllib

with open("pyproject.toml", "rb") as file:
  wanted = tomllib.load(file)["project"]["dependencies"]
for line in wanted if sys.argv[1] == "oldest" else ():
  name, least = re.match(r"([\w-]+)>=([\d.]+)", line).groups()
  print(f"{name}=={least}.*" if least.count(".") < 2 else f"{name}=={least}")
END
}

try() { # VERSION RANGE
  local python env="$WORKDIR/python$1_$2" log="$WORKDIR/python$1_$2.log"
  local outcome versions code=0
  python="$(interpreter "$1")"
  if [ -z "$python" ]; then
    echo "| $(date +%F) | $1 | $2 | | not there |" | tee -a "$WORKDIR/table.md"
    return 0
  fi
  echo "Python $1 with the $2 versions ($log) ..."
  rm -rf "$env"
  "$python" -m venv "$env" >"$log" 2>&1
  write_constraints "$2" "$env/constraints.txt"
  if "$env/bin/python" -m pip install --disable-pip-version-check \
    --constraint "$env/constraints.txt" "$ROOT[tensorboard,plots]" \
    pytest hypothesis >>"$log" 2>&1
  then
    # shellcheck disable=SC2086
    "$env/bin/python" -m pytest -p no:cacheprovider ${TESTS//,/ } \
      >>"$log" 2>&1 || code=$?
    outcome="$(grep -E '[0-9]+ (passed|failed)' "$log" | tail -1)"
    [ -n "$outcome" ] || outcome="pytest ended with code $code"
  else
    code=1 outcome="cannot be installed: $(grep '^ERROR' "$log" | tail -1)"
  fi
  versions="$("$env/bin/python" -m pip freeze --disable-pip-version-check |
    grep -E '^(tensorflow|keras|dm-sonnet|numpy|scikit-learn)==' |
    paste -sd ' ')"
  echo "| $(date +%F) | $("$env/bin/python" -V | cut -d' ' -f2) | $2 |" \
    "$versions | ${outcome//=/} |" | tee -a "$WORKDIR/table.md"
  rm -rf "$env"
  return "$code"
}

cd "$ROOT"
mkdir -p "$WORKDIR"
printf '%s\n' "| date | Python | range | versions | tests |" \
  "|---|---|---|---|---|" | tee "$WORKDIR/table.md"
status=0
for version in ${VERSIONS//,/ }; do
  for range in ${RANGES//,/ }; do
    try "$version" "$range" || status=1
  done
done
exit "$status"
