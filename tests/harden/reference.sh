#!/usr/bin/env bash
# Compares the library with its reference model (tests/reference): tests/harden/reference.sh short|long
#
# short compares the same requests each time, for half a minute. long compares new ones until there have been a hundred million
# verdicts, which target/reference/rounds remembers, so that it continues where it was stopped. CREDGATE_JOBS is the number of
# processes.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/lib.sh
source tests/lib.sh

need_apt pypy3
need_venv
build_library
cd tests
"$ROOT/target/venv/bin/python" -m pytest reference
if [[ ${1-short} == short ]]; then
    exec pypy3 -m reference --verdicts 1000000 --seed 1
fi
jobs=()
# A signal ends this script alone: background jobs ignore Ctrl-C.
trap 'kill "${jobs[@]}" 2>/dev/null || true' EXIT
for _ in $(seq "${CREDGATE_JOBS:-$(nproc)}"); do
    pypy3 -m reference --verdicts 100000000 --file "$ROOT/target/reference/rounds" &
    jobs+=($!)
done
status=0
for job in "${jobs[@]}"; do wait "$job" || status=1; done
exit "$status"
