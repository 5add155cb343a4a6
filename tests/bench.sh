#!/usr/bin/env bash
# Measures a hit through nginx, one in Python, and what a Python client pays for its token, beside what else there is, in
# the same rounds, and writes target/bench/figures.json.
#
#   tests/bench.sh [--rounds N] [--seconds N]     7 rounds of 2 seconds each, unless told otherwise
#   tests/bench.sh python [...]                   Python alone
#
# Requests per second are for comparing within one run: machines are shared and noisy. Instructions per request are not.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/lib.sh
source tests/lib.sh

readonly python=$ROOT/target/venv/bin/python
only=
[[ ${1-} == python ]] && only=python && shift
need_apt nginx openssl util-linux
need_lab
need_venv
need_peers
quietly "installing the Python package" "$python" -m pip install --quiet --force-reinstall --no-deps ./python
mkdir -p target/bench
if [[ -z $only ]]; then
  need_apt nginx-dev libnginx-mod-http-lua lua-cjson lua-resty-core lua-resty-lrucache wrk valgrind
  build_library
  build_module
  (cd tests && "$python" -m bench "$@")
fi
cd tests
"$python" -m bench.python "$@"
exec "$python" -m bench.clients "$@"
