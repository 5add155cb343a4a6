#!/usr/bin/env bash
# Tests the tests: changes one operator, condition or result of the core at a time, and expects a test to fail.
#
#   tests/mutants.sh [OPTION...]     all mutants of .cargo/mutants.toml; takes hours
#   tests/mutants.sh -f core/src/request/hide.rs
#
# Options are those of cargo-mutants. Ends with 0 if no mutant survives. The results are in target/mutants/mutants.out.
set -euo pipefail
# shellcheck source=tests/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_mutants
mkdir -p "$ROOT/target/mutants"
cd "$ROOT"
# One build of the dependencies for all mutants, without debug information.
export CARGO_PROFILE_DEV_DEBUG=0
exec cargo mutants --output target/mutants "$@"
