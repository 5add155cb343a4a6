#!/usr/bin/env bash
# A history of a shared SQLite file and of a shared Redis, with kills and purges, and its check. long makes more than a million
# operations.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
# shellcheck source=tests/lib.sh
source tests/lib.sh

need_apt redis-server
need_venv
build_package

cd tests || exit
options=()
[[ ${1-short} == long ]] && options=(--long)
../target/venv/bin/python -m faults history "${options[@]}"
