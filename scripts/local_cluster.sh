#!/usr/bin/env bash
# Trains on a cluster of processes on this machine: a chief, parameter servers
# and workers, each with a log in WORKDIR/logs.
#   ./scripts/local_cluster.sh [--workers=N] [--ps=N] [--port=N] -- FLAGS ...
# FLAGS go to trainers.parameter_server; without --workdir the run is in
# runs/local_cluster. Ctrl-C saves and stops everything; the same command
# resumes.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

exec python -m trainers.parameter_server.local_cluster "$@"
