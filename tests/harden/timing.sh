#!/usr/bin/env bash
# Compares the times of a hit, a wrong secret and an unknown client (tests/c/timing.c). long takes fifty times as many.
set -euo pipefail
cd "$(dirname "$0")/../.." || exit
# shellcheck source=tests/lib.sh
source tests/lib.sh

need_apt gcc libc6-dev
need_lab
need_venv
build_library
samples=200000
[[ ${1-short} == long ]] && samples=10000000
cd tests
CREDGATE_SAMPLES=$samples "$ROOT/target/venv/bin/python" -m pytest -q -s harden/test_timing.py
