#!/usr/bin/env bash
# Every fault of a provider and of a store (core/FAULTS.md), in nginx, Lua and Python. long also waits for recoveries that take
# a minute.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
# shellcheck source=tests/lib.sh
source tests/lib.sh

need_apt nginx nginx-dev libnginx-mod-http-lua lua-resty-core lua-cjson openssl gcc redis-server
need_venv
build_library
build_module
build_package

cd tests || exit
options=()
[[ ${1-short} == long ]] && options=(--long)
status=0
../target/venv/bin/python -m faults provider "${options[@]}" || status=1
../target/venv/bin/python -m faults store || status=1
exit "$status"
