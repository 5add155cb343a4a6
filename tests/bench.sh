#!/usr/bin/env bash
# Measures a hit through nginx, exchanges through nginx, a hit in Python, the cost of a token to a Python client, and
# parts of the core such as a lookup in the shared stores, each beside its alternatives and in the same rounds; an engine
# with up to a million clients; the size of the library, and the memory of a worker. Writes target/bench/figures.json.
#
#   tests/bench.sh [--rounds N] [--seconds N]      13 rounds for nginx, 7 for Python, 5 for cold, of 2 seconds; not for the rest
#   tests/bench.sh nginx|cold|python|core|scale|size   one of them alone
#   tests/bench.sh nginx --cases NAME...          some cases and those beside them, without writing
#   tests/bench.sh report                         shows the last results in tests/README.md and tests/bench/plots
#
# Requests per second are for comparing within one run: machines are shared and noisy. Instructions per request are not.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tests/lib.sh
source tests/lib.sh

readonly python=$ROOT/target/venv/bin/python
if [[ ${1-} == report ]]; then
    need_venv
    cd tests && exec "$python" -m bench.report
fi
only=
[[ ${1-} =~ ^(nginx|cold|python|core|scale|size)$ ]] && only=$1 && shift
need_lab
need_venv
need_apt nginx openssl util-linux
mkdir -p target/bench

bench_nginx() {
    need_apt nginx-dev libnginx-mod-http-lua lua-cjson lua-resty-core lua-resty-lrucache wrk valgrind libc6-dbg
    build_library
    build_module
    (cd tests && "$python" -m bench "$@")
}

bench_cold() {
    need_apt nginx-dev wrk
    build_library
    build_module
    (cd tests && "$python" -m bench.cold "$@")
}

bench_python() {
    need_peers
    build_package
    (cd tests && "$python" -m bench.python "$@" && "$python" -m bench.clients "$@")
}

bench_core() {
    need_apt redis-server
    (cd tests && "$python" -m bench.core)
}

bench_size() {
    need_apt nginx-dev binutils
    build_library
    build_module
    (cd tests && "$python" -m bench.size)
}

bench_scale() {
    (cd tests && "$python" -m bench.scale)
}

for part in ${only:-nginx cold python core scale size}; do
    "bench_$part" "$@"
done
