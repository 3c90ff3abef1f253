#!/usr/bin/env bash
# Runs one of the scripts whose runs are shared by several processes, with these
# processes here or as an array of Slurm tasks. Everything else of the script
# happens where this one is called: what goes before and between, and the report.
# What was interrupted goes on when the same is called again.
#
#   ./scripts/sweep.sh SCRIPT [--executor=local|slurm] [--parallel=N]
#   ./scripts/sweep.sh --table=DIR
#
# SCRIPT is one of reproduce_figure2, reproduce_figure4, reproduce_table1_cifar10,
# reproduce_table1_imagenet and search_beale_bukin; its variables are given
# before the command, as without this one. By default there is a process per
# processor here, or 8 tasks under Slurm, which read the repository and WORKDIR
# from a shared file system; what a task gets is said in Slurm's own variables,
# such as SBATCH_TIMELIMIT=2:00:00 and SBATCH_PARTITION. --table shows how far
# each run below a folder is.
#
# Time: what SCRIPT says, divided by the processes.
# Writes: what SCRIPT does; under Slurm, logs in WORKDIR/logs.
set -euo pipefail
# The variables of the environment are SCRIPT's, which checks them.
CALLED_BY_SCRIPT=sweep.sh
source "$(dirname "${BASH_SOURCE[0]}")/usage.sh"
unset CALLED_BY_SCRIPT

[ $# -gt 0 ] || fail "name a script, or --table=DIR; --help says more."
case "$1" in
  --table=?*)
    folder table "${1#--table=}"
    source "$ROOT/scripts/setup.sh"
    exec python -m trainers.lifecycle.sweep --table="$table"
    ;;
  -*) fail "the first word is $1; name a script, or --table=DIR." ;;
esac
name="$(basename "$1" .sh)"
swept() { # the scripts that share runs
  (cd "$ROOT/scripts" && grep -lE '^ *(sweep|alone) ' -- *.sh | sed 's/\.sh$//')
}
readarray -t known < <(swept)
is_among "$name" "${known[@]}" ||
  fail "$1 shares no runs; use $(listed "${known[@]}")."
shift
executor=local parallel=""
for argument in "$@"; do
  case "$argument" in
    --executor=local | --executor=slurm) executor="${argument#*=}" ;;
    --parallel=*) parallel="${argument#*=}" ;;
    *) fail "$argument is not known; give --executor=local, --executor=slurm" \
      "or --parallel=N." ;;
  esac
done
whole_number parallel "$parallel" 1
export SWEEP_EXECUTOR="$executor" SWEEP_PARALLEL="$parallel"
exec "$ROOT/scripts/$name.sh"
