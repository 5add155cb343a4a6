#!/usr/bin/env bash
# Runs tests in Miri, which reports undefined behaviour and leaks: tests/miri.sh
#
# Miri interprets Rust and cannot call C: cryptography and SQLite are out of its reach. It runs the C ABI's handling of
# pointers, and the core's parsers and caches with the libraries below them. It needs a nightly toolchain.
set -euo pipefail
# shellcheck source=tests/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_miri
cd "$ROOT"
# The tests read the clock and the files of this repository.
export MIRIFLAGS=-Zmiri-disable-isolation CARGO_TARGET_DIR=$ROOT/target/miri CREDGATE_CASES=20
cargo +nightly miri test --locked -p credgate-ffi --lib -- session status
cargo +nightly miri test --locked -p credgate-core --lib -- cache::tokens cache::refusals request::hide request::json request::form request::basic
