#!/usr/bin/env bash
# Runs the core's tests with ThreadSanitizer, in the standard library too: tests/races.sh [TEST...]
#
# First a planted race must be reported. SQLite and AWS-LC are not instrumented: their locks are seen, their memory is not.
# Ends with 0 if all tests pass and none races.
set -euo pipefail
# shellcheck source=tests/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

readonly out=$ROOT/target/races

# The tests of schedules have a scheduler of their own, and run in tests/run.sh model.
main() {
  local target
  need_rust_src
  target=$(rustc --print host-tuple)
  # The sanitizer needs a standard library that is instrumented, which the released compiler builds if it is told so.
  export RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=thread CARGO_TARGET_DIR=$out CARGO_PROFILE_DEV_DEBUG=line-tables-only
  export TSAN_OPTIONS=exitcode=66:second_deadlock_stack=1:suppressions=$ROOT/tests/races.supp
  mkdir -p "$out"
  quietly "looking for a planted race" finds_a_race "$target"
  # The sanitizer keeps a deleted file in TMPDIR, so the file system of this test cannot become read-only.
  local unfit=store::sqlite::tests::children::a_read_only_file_system_is_a_fault
  cargo test --locked -Zbuild-std --target "$target" --manifest-path "$ROOT/Cargo.toml" -p credgate-core --lib -- --skip "$unfit" "$@"
}

# finds_a_race TARGET: two threads count without a lock.
finds_a_race() {
  local said planted=$out/planted
  mkdir -p "$planted/src"
  printf '[package]\nname = "planted"\nversion = "0.0.0"\nedition = "2024"\n[workspace]\n' >"$planted/Cargo.toml"
  cat >"$planted/src/main.rs" <<'RUST'
static mut COUNT: u64 = 0;

fn main() {
    let count = || (0..1000).for_each(|_| unsafe { COUNT += 1 });
    let other = std::thread::spawn(count);
    count();
    other.join().unwrap();
}
RUST
  cargo build --quiet -Zbuild-std --target "$1" --manifest-path "$planted/Cargo.toml"
  if said=$("$out/$1/debug/planted" 2>&1); then
    echo "the planted race was not found" >&2
    return 1
  fi
  grep -q 'WARNING: ThreadSanitizer: data race' <<<"$said" || { echo "$said" >&2; return 1; }
}

main "$@"
