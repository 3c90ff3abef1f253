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
# Two minutes before the time limit the chief saves and the job goes back into
# the queue, as it does where Slurm preempts and requeues it; it goes on at the
# newest checkpoint. Slurm's --gpus-per-task decides which GPU a worker sees;
# chief and servers use none.
#
#   PORT=22220                          the chief's port, the others follow
#                                       (default: 22220)
#   TRAINER=trainers.parameter_server   the module that every task runs
#                                       (default: trainers.parameter_server)
#
# Time: what the preset takes.
# Writes: --workdir.
#SBATCH --job-name=parameter_server
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@120
set -euo pipefail
HERE="$(dirname "${BASH_SOURCE[0]}")"
if [ ! -f "$HERE/usage.sh" ]; then # sbatch runs a copy from elsewhere
  HERE="${SLURM_SUBMIT_DIR:-.}/scripts"
fi
source "$HERE/usage.sh"
SELF="$ROOT/scripts/slurm_cluster.sh"
TRAINER="${TRAINER:-trainers.parameter_server}"
whole_number PORT 22220 1
# Seconds that servers and workers go on when all are told to stop.
PATIENCE=20

# Returns when the chief has gone, or the patience has.
wait_for_chief() {
  local second host="${CHIEF%:*}" port="${CHIEF##*:}"
  for second in $(seq "$PATIENCE"); do
    timeout 2 bash -c "exec 3<>/dev/tcp/$host/$port" 2>/dev/null || return 0
    sleep 1
  done
}

# One task: takes its part in the cluster, again and again if necessary.
member() {
  local stopping="" code part="$1" config="$2"
  shift 2
  trap 'stopping=yes' TERM INT
  # A warning is for the chief, who saves; it needs the others for that.
  if [ "$part" = chief ]; then trap 'stopping=yes' USR1; else trap '' USR1; fi
  case "$part" in chief | ps) export CUDA_VISIBLE_DEVICES=-1 ;; esac
  while true; do
    code=0
    # In the background, so that a signal is heard at once.
    TF_CONFIG="$config" python -m "$TRAINER" "$@" &
    child=$!
    wait "$child" || code=$?
    # All are told to stop at once; the chief needs the others for saving.
    [ -z "$stopping" ] || [ "$part" = chief ] || wait_for_chief
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
CHIEF="${addresses[0]//\"/}"
export CLUSTER SERVERS PORT TRAINER CHIEF
# A task ends for good only when the run does: then --wait ends the others.
srun --label --wait=15 --kill-on-bad-exit=1 "$SELF" --member "$@" &
tasks=$! warned=""
trap 'warned=yes; kill -USR1 "$tasks"' USR1
trap 'kill -TERM "$tasks"' TERM INT
code=0
wait "$tasks" || code=$?
while kill -0 "$tasks" 2>/dev/null; do # a signal ends `wait`, too
  code=0
  wait "$tasks" || code=$?
done
if [ -n "$warned" ] && [ "$code" -ge 128 ]; then
  echo "Job $SLURM_JOB_ID goes back into the queue."
  exec scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
