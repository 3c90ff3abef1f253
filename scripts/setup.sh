# Sourced by the other scripts after usage.sh: makes .venv in the repository's
# root, installs the pinned packages into it and activates it. The script stays
# in the caller's folder; Python finds the repository's packages all the same.
# PYTHON names another interpreter than the newest suitable one on PATH.

umask 022

# TensorFlow 2.21 and numpy 2.4 have packages for these versions in common.
is_suitable() {
  "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
    2>/dev/null
}

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
    if is_suitable "$candidate"; then
      echo "$candidate"
      return
    fi
  done
}

install() {
  local python log
  python="$(find_python)"
  if [ -z "$python" ]; then
    fail "no Python 3.11, 3.12 or 3.13 found${PYTHON:+ in PYTHON=$PYTHON};" \
      "install one, or set PYTHON to its path."
  fi
  echo "Making .venv with $("$python" --version) ..."
  "$python" -m venv "$ROOT/.venv" >/dev/null 2>&1 ||
    fail "$python cannot make a virtual environment;" \
      "install its venv module (Debian and Ubuntu: python3-venv)."
  log="$ROOT/.venv/install.log"
  echo "Installing the packages of requirements.txt (about 2 GB) ..."
  "$ROOT/.venv/bin/python" -m pip install --disable-pip-version-check \
    --requirement "$ROOT/requirements.txt" \
    --constraint "$ROOT/constraints.txt" >"$log" 2>&1 ||
    fail "pip could not install the packages; check the network connection" \
      "and run this again (details in $log)."
  echo "$WANTED" >"$ROOT/.venv/installed"
}

WANTED="$(cat "$ROOT/requirements.txt" "$ROOT/constraints.txt" | cksum)"
if [ "$(cat "$ROOT/.venv/installed" 2>/dev/null)" = "$WANTED" ] &&
  is_suitable "$ROOT/.venv/bin/python"; then
  echo "Using the environment in .venv."
else
  install
fi
# shellcheck disable=SC1091
source "$ROOT/.venv/bin/activate"
export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}"
# Modules that lie in the caller's folder by chance are not ours to import.
export PYTHONSAFEPATH=1
# TensorFlow's notes about processors and missing GPUs hide what matters.
export TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-2}"

# Leaves out what TensorFlow writes before any log level counts, for commands
# that have no progress bar; the trainers do it themselves (trainers/quiet.py).
without_notes() {
  grep -vE --line-buffered '^WARNING: All log messages before absl|'\
'^[IE]0000 00:00:[0-9.]+ +[0-9]+ (port|cudart_stub|cuda_platform)\.cc' || true
}

# What TensorBoard's address says of its view: the main result of whatever runs
# there are is pinned, and colours are those of methods.
tensorboard_view() {
  local tag cards='' methods='regular|sobolev_labels|sobolev|noise|attention'
  methods="$methods|backprop|noprop|direct|vfbn|critic|local"
  for tag in mse error kl accuracy; do
    cards="$cards${cards:+,}{\"plugin\":\"scalars\",\"tag\":\"test/$tag\"}"
  done
  python -c 'import sys, urllib.parse as u; print(u.urlencode(
    {"pinnedCards": sys.argv[1], "runColorGroup": sys.argv[2]}))' \
    "[$cards]" "regex:($methods)"
}

# Starts processes that share a command's runs: each takes the next one that no
# other has. For small networks one thread per process trains more of them in an
# hour than one process with many threads. scripts/sweep.sh says where and how
# many; by default one per processor, here. Ctrl-C reaches them all; each saves
# and stops. Returns the largest of their exit codes: 1 where some run's loss was
# not finite.
sweep() {
  python -m trainers.lifecycle.sweep --executor="${SWEEP_EXECUTOR:-local}" \
    ${SWEEP_PARALLEL:+--parallel="$SWEEP_PARALLEL"} -- "$@"
}

# The same for large runs, where one process has the machine unless
# scripts/sweep.sh asks for more.
alone() {
  if [ -n "${SWEEP_EXECUTOR:-}" ]; then sweep "$@"; else "$@"; fi
}
