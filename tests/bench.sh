#!/usr/bin/env bash
# Measures a hit through nginx beside what else there is, in the same rounds, and writes target/bench/figures.json.
#
#   tests/bench.sh [--rounds N] [--seconds N]     7 rounds of 2 seconds each, unless told otherwise
#
# Requests per second are for comparing within one run: machines are shared and noisy. Instructions per request are not.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/lib.sh
source tests/lib.sh

need_apt nginx nginx-dev libnginx-mod-http-lua lua-cjson lua-resty-core lua-resty-lrucache wrk valgrind openssl util-linux
need_lab
need_venv
build_library
build_module
mkdir -p target/bench
cd tests
exec "$ROOT/target/venv/bin/python" -m bench "$@"
