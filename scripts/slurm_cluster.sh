#!/usr/bin/env bash
# A parameter-server run on the machines of a Slurm cluster: task 0 is the
# chief, the next tasks are parameter servers, the others are workers. A member
# that dies is restarted on its machine; the job ends with the chief.
# Start it in the repository:
#
#   sbatch --ntasks=15 --cpus-per-task=4 --gpus-per-task=1 \
#     scripts/slurm_cluster.sh [--ps=N] -- FLAG ...
#
# FLAGs go to every task: --bind=any --preset=paper --workdir=DIR, where the
# chief's machine must see DIR, and all of them the repository. The protocol has
# no authentication (hence --bind=any must be given): use it only where nobody
# else reaches the ports PORT to PORT + ntasks.
#
#   PORT=22220                          the chief's port, the others follow
#                                       (default: 22220)
#   TRAINER=trainers.parameter_server   the module that every task runs
#                                       (default: trainers.parameter_server)
#
# Time: what the preset takes.
# Writes: --workdir.
#SBATCH --job-name=parameter_server
set -euo pipefail
HERE="$(dirname "${BASH_SOURCE[0]}")"
if [ ! -f "$HERE/usage.sh" ]; then # sbatch runs a copy from elsewhere
  HERE="${SLURM_SUBMIT_DIR:-.}/scripts"
fi
source "$HERE/usage.sh"
SELF="$ROOT/scripts/slurm_cluster.sh"
TRAINER="${TRAINER:-trainers.parameter_server}"
whole_number PORT 22220 1

# One task: takes its part in the cluster, again and again if necessary.
member() {
  local stopping="" code part="$1" config="$2"
  shift 2
  trap 'stopping=yes' TERM INT
  case "$part" in chief | ps) export CUDA_VISIBLE_DEVICES=-1 ;; esac
  while true; do
    code=0
    # In the background, so that a signal is heard at once.
    TF_CONFIG="$config" python -m "$TRAINER" "$@" &
    child=$!
    wait "$child" || code=$?
    while [ -n "$stopping" ] && kill -TERM "$child" 2>/dev/null; do
      code=0
      wait "$child" || code=$?
    done
    # 75: somebody else is lost; 128 and above: killed. Otherwise it is done.
    if [ -n "$stopping" ]; then return "$code"; fi
    if [ "$code" -ne 75 ] && [ "$code" -lt 128 ]; then return "$code"; fi
    echo "$part ended with code $code; starting it again." >&2
    sleep 2
  done
}

if [ "${1:-}" = "--member" ]; then
  shift
  source "$ROOT/scripts/setup.sh"
  number="$SLURM_PROCID"
  if [ "$number" -eq 0 ]; then
    part=chief index=0
  elif [ "$number" -le "$SERVERS" ]; then
    part=ps index=$((number - 1))
  else
    part=worker index=$((number - 1 - SERVERS))
  fi
  task="{\"type\": \"$part\", \"index\": $index}"
  member "$part" "{\"cluster\": $CLUSTER, \"task\": $task}" "$@"
  exit $?
fi

SERVERS=1
case "${1:-}" in --ps=*) SERVERS="${1#--ps=}" && shift ;; esac
[ "${1:-}" = "--" ] || fail "write [--ps=N] -- and then the trainer's flags."
shift
[ -n "${SLURM_NTASKS:-}" ] || fail "SLURM_NTASKS is not set; start this with" \
  "sbatch --ntasks=N, or on one machine use ./scripts/local_cluster.sh."
case "$SERVERS" in
  '' | *[!0-9]* | 0) fail "--ps is '$SERVERS'; give a whole number above 0." ;;
esac
[ "$SLURM_NTASKS" -ge $((SERVERS + 2)) ] ||
  fail "$SLURM_NTASKS tasks cannot hold a chief, $SERVERS servers and a" \
    "worker; ask for more with --ntasks."

source "$ROOT/scripts/setup.sh"
# Where Slurm puts each task; several can share a machine, so ports differ.
addresses=()
while read -r number host; do
  addresses[number]="\"$host:$((PORT + number))\""
done < <(srun bash -c 'echo "$SLURM_PROCID $SLURMD_NODENAME"')
[ "${#addresses[@]}" -eq "$SLURM_NTASKS" ] ||
  fail "srun named ${#addresses[@]} of $SLURM_NTASKS tasks; see its words" \
    "above."
listed() { # FIRST COUNT
  local IFS=,
  echo "[${addresses[*]:$1:$2}]"
}
CLUSTER="{\"chief\": $(listed 0 1), \"ps\": $(listed 1 "$SERVERS"), "
CLUSTER+="\"worker\": $(listed $((SERVERS + 1)) "$SLURM_NTASKS")}"
export CLUSTER SERVERS PORT TRAINER
# A task ends for good only when the run does: then --wait ends the others.
exec srun --label --wait=15 --kill-on-bad-exit=1 "$SELF" --member "$@"
