#!/usr/bin/env bash
# Runs the fuzz targets of core/fuzz: tests/harden/fuzz.sh short|long [TARGET]...
#
# short runs each target for some seconds. long runs each until it has had its executions, which target/fuzz/executions
# remembers, so that it continues where it was stopped. An input that breaks a promise is added to the committed corpus.
# CREDGATE_JOBS is the number of targets that run at a time.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
# shellcheck source=tests/lib.sh
source tests/lib.sh

readonly corpus=core/fuzz/corpus out=target/fuzz
# In the order of risk.
readonly all=(
    hiding jwt query form json basic headers redaction store_entry token_response introspection metadata jwks url_guard
    redis_reply abi configuration kong
)

# The executions that long promises: executions TARGET
executions() {
    case $1 in
        hiding | jwt) echo 100000000 ;;
        *) echo 20000000 ;;
    esac
}

build() {
    need_command cargo "install Rust with rustup"
    need_apt g++
    quietly "building the fuzz targets" env RUSTC_WRAPPER="$ROOT/core/fuzz/instrument" CARGO_TARGET_DIR="$ROOT/$out" \
        cargo build --release --locked --manifest-path "$ROOT/core/fuzz/Cargo.toml"
}

# had TARGET: the executions so far.
had() { cat "$out/executions/$1" 2>/dev/null || echo 0; }

# run_target TARGET LIMIT...: runs it once, and adds to its executions. Fails with an input that breaks a promise.
run_target() {
    local target=$1 log=$out/logs/$1.log status=0 ran
    shift
    mkdir -p "$out/corpus/$target"
    "$out/release/$target" -max_len=4096 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$out/findings/$target-" \
        "$@" "$out/corpus/$target" "$corpus/$target" >"$log" 2>&1 || status=$?
    ran=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    echo $(($(had "$target") + ${ran:-0})) >"$out/executions/$target"
    sed -n 's/.* ft: \([0-9]*\) .*/\1/p' "$log" | tail -n 1 >"$out/features/$target"
    return "$status"
}

# attack MODE TARGET: short: some seconds; long: until it has had its executions.
attack() {
    local mode=$1 target=$2 left
    if [[ $mode == short ]]; then
        run_target "$target" -max_total_time=3
        return
    fi
    while left=$(($(executions "$target") - $(had "$target"))) && ((left > 0)); do
        # In pieces, so that an interruption loses one piece.
        run_target "$target" -runs="$left" -max_total_time=120 || return
    done
}

# keep_findings TARGET: adds them to the committed corpus, and prints how many there are.
keep_findings() {
    local finding count=0
    for finding in "$out/findings/$1-"*; do
        [[ -e $finding ]] || continue
        mv "$finding" "$corpus/$1/finding-${finding##*-}"
        ((count += 1))
    done
    echo "$count"
}

main() {
    local mode=$1 target jobs=${CREDGATE_JOBS:-$(nproc)} found bad=0
    shift
    local targets=("$@")
    ((${#targets[@]})) || targets=("${all[@]}")
    # A target that nobody runs finds nothing.
    diff <(printf '%s\n' "${all[@]}" | sort) <(basename -s .rs core/fuzz/fuzz_targets/*.rs | sort) || return
    build || return
    mkdir -p "$out"/{corpus,executions,features,findings,logs}
    for target in "${targets[@]}"; do
        while (($(jobs -rp | wc -l) >= jobs)); do wait -n; done
        attack "$mode" "$target" &
    done
    wait
    printf '%-16s %13s %9s %9s\n' target executions features findings
    for target in "${targets[@]}"; do
        found=$(keep_findings "$target")
        printf '%-16s %13d %9d %9d\n' "$target" "$(had "$target")" "$(cat "$out/features/$target")" "$found"
        ((found == 0)) || { tail -n 40 "$out/logs/$target.log"; bad=1; }
        # A run that has not begun has found nothing either.
        grep -q '^stat::number_of_executed_units' "$out/logs/$target.log" || { tail -n 40 "$out/logs/$target.log"; bad=1; }
    done
    return "$bad"
}

main "$@"
