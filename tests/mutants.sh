#!/usr/bin/env bash
# Tests the tests: changes one operator, condition or result of the core at a time, and expects a test to fail.
#
#   tests/mutants.sh [OPTION...]     the mutants of .cargo/mutants.toml that no test has failed for yet
#   tests/mutants.sh -F hide.rs      those of one file
#
# Options are those of cargo-mutants. Ends with 0 if no mutant survives; one with which the tests wait for ever is found, too,
# and listed as a timeout. target/mutants/mutants.out has the results; an interrupted run is continued. A file that has
# changed, and everything after `rm -r target/mutants`, begins anew.
set -euo pipefail
# shellcheck source=tests/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

readonly out=$ROOT/target/mutants

# forget_changed: removes the results of files that have changed since the last run.
forget_changed() {
  local changed=() results file
  if [[ -e $out/sums ]]; then
    mapfile -t changed < <(sha256sum --check --quiet "$out/sums" 2>/dev/null | sed 's/: FAILED.*//')
  fi
  for results in "$out"/mutants.out/{caught,unviable,previously_caught}.txt; do
    [[ -e $results ]] || continue
    for file in "${changed[@]}"; do
      sed -i "\\|^$file:|d" "$results"
    done
  done
  cargo mutants --list-files | xargs sha256sum >"$out/sums"
}

need_mutants
mkdir -p "$out"
cd "$ROOT"
forget_changed
# One build of the dependencies for all runs, without debug information. The core is compiled in a copy of this directory, which
# has another name in each run.
export CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR=$out/build
rm -rf "$out"/build/debug/{incremental,deps/*credgate_core*}
status=0
cargo mutants --iterate --output "$out" "$@" || status=$?
# 3: timeouts only.
exit $((status == 3 ? 0 : status))
