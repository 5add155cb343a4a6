#!/usr/bin/env bash
# Mixed traffic through nginx, Lua and Python, with faults and kills, in which every response is checked; long takes two hours.
# Further arguments go to python -m soak.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
# shellcheck source=tests/lib.sh
source tests/lib.sh

need_apt nginx nginx-dev libnginx-mod-http-lua lua-resty-core lua-cjson redis-server
need_venv
build_library
build_module
build_package

cd tests || exit
options=(--seconds 30)
[[ ${1-short} == long ]] && options=(--hours 2)
../target/venv/bin/python -m soak run "${options[@]}" "${@:2}"
