#!/usr/bin/env bash
# demo.sh [--keep]: Credgate in nginx between a client, a local OpenID provider and an upstream.
# Shows what each of them sees, and fails if the client's secret gets any further than the gateway.
# With --keep everything stays up until Ctrl-C, to play with.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case "${1-}" in
  "" | --keep) ;;
  *) printf 'usage: %s [--keep]\n' "$0" >&2; exit 2 ;;
esac

need_apt ca-certificates openssl
need_version python3 3.11
need_version node 20
build_library
build_module
need_lab

# The demonstration stops its parts and removes its directory by itself, also on Ctrl-C.
PYTHONDONTWRITEBYTECODE=1 exec python3 "$ROOT/tests/lab/demo.py" "$@"
