#!/usr/bin/env bash
# Compares the library with its reference model (tests/reference): half a minute of the same requests each time, or 100 million new ones.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/lib.sh
source tests/lib.sh

need_apt pypy3
need_venv
build_library
cd tests
"$ROOT/target/venv/bin/python" -m pytest reference
if [[ ${1-short} == long ]]; then
    pypy3 -m reference --cases 100000000
else
    pypy3 -m reference --cases 500000 --seed 1
fi
