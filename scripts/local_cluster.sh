#!/usr/bin/env bash
# Trains on a cluster of processes on this machine: a chief, parameter servers
# and workers. Ctrl-C saves and stops everything; the same command resumes.
#
#   ./scripts/local_cluster.sh [--workers=N] [--ps=N] [--port=N] -- FLAG ...
#
# By default there are 2 workers, 1 server, and a network of their own where the
# system allows it; --port=N takes N and those after it on this machine's
# loopback. FLAGs go to trainers.parameter_server, such as --preset=smoke
# --dataset=digits --method=sobolev --workdir=DIR; all of them:
# python -m trainers.parameter_server --help
#
# Time: --preset=smoke under a minute; otherwise what the preset takes.
# Writes: --workdir (default: runs/local_cluster), logs in its folder logs.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/usage.sh"
source "$ROOT/scripts/setup.sh"

exec python -m trainers.parameter_server.local_cluster "$@"
