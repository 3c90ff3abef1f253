#!/usr/bin/env bash
# Trains on a cluster whose members are machines of their own as far as the
# network goes: Linux network namespaces with an address each, on a switch. Cuts
# their cables, slows them down, and prints what became of each run. Code 1 if a
# scenario fails. Needs root, and the programs ip, tc and nft.
#
#   ./scripts/namespaces.sh [--only=NAME,...] [--output=DIR] [-- FLAG ...]
#   ./scripts/namespaces.sh --rates [--workers=1,2] [--output=DIR]
#   ./scripts/namespaces.sh --ports [--output=DIR]
#
# FLAGs go to the trainer. --rates compares the model of the throughput with
# networks of several rates; --ports shows which ports another host reaches.
#
# Time: about 20 minutes on 2 idle cores.
# Writes: a table into --output, if it is given; runs in a temporary folder.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/usage.sh"
source "$ROOT/scripts/setup.sh"

case "${1:-}" in
  --rates) shift && exec python -m tests.acceptance.network_rates "$@" ;;
  --ports) shift && exec python -m tests.acceptance.open_ports "$@" ;;
esac
exec python -m tests.acceptance.network_faults "$@"
