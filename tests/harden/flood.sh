#!/usr/bin/env bash
# Wrong secrets, tokens with unknown keys, slow bodies and huge headers, while warm clients work. long sends a million wrong
# secrets. Further arguments name floods: secrets, kids, bodies, heads.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
# shellcheck source=tests/lib.sh
source tests/lib.sh

need_apt nginx nginx-dev
need_venv
build_library
build_module

cd tests || exit
../target/venv/bin/python -m soak.flood "${1-short}" "${@:2}"
