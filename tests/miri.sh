#!/usr/bin/env bash
# Runs tests in Miri, which reports undefined behaviour and leaks: tests/miri.sh
#
# Miri interprets Rust and cannot call C: cryptography and SQLite are out of its reach. It runs the sessions of a C host that
# need no provider (ffi/src/session.rs): all pointers that C passes and gets, and the core and its libraries behind them. The
# core itself forbids unsafe code. It needs a nightly toolchain.
set -euo pipefail
# shellcheck source=tests/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need_miri
cd "$ROOT"
# The process key comes from the system.
export MIRIFLAGS=-Zmiri-disable-isolation CARGO_TARGET_DIR=$ROOT/target/miri
cargo +nightly miri test --locked -p credgate-ffi --lib -- session status boundary::tests::panic
