#!/usr/bin/env bash
# Installs what is missing and runs the tests of all languages.
#
#   tests/run.sh                    every suite
#   tests/run.sh SUITE...           these suites only
#   tests/run.sh header --update    writes include/credgate.h, the configuration's reference and its Python types anew
#
# Suites: lint rust model c nginx store current sanitized lua python guides harden demo; by name only: properties coverage crates supply providers.
# Ends with 0 when every test passed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
# shellcheck source=tests/lib.sh
source tests/lib.sh

readonly suites=(lint rust model c nginx store current sanitized lua python guides harden demo)
readonly by_name=(properties coverage crates supply providers)
readonly results=target/tests
readonly bin=$ROOT/target/venv/bin
declare -A passed=() failed=() seconds=()
# A line for each test that failed, and its suite.
failures=()

usage() {
    sed -n '2,9s/^# \{0,1\}//p' "$0"
    exit 2
}

# Runs a command as one test: check NAME COMMAND...
check() {
    local name=$1
    shift
    if "$@" >"$results/$name.log" 2>&1; then
        echo "ok      $name"
        ((passed[$suite] += 1))
    else
        cat "$results/$name.log"
        echo "FAILED  $name: $*"
        ((failed[$suite] += 1))
        mapfile -t -O "${#failures[@]}" failures < <(reasons "$results/$name.log" | sed "s/^/$suite: $name: /")
    fi
}

# Prints the failures that a log lists, or its last line: reasons LOG
reasons() {
    sed -n 's/^FAILED  //p' "$1" | grep . || tail -n 1 "$1" | grep . || echo "no output"
}

# Runs pytest and counts what it ran: run_pytest ARGUMENTS... Half of the time, a test waits: each processor gets two.
run_pytest() {
    local report=$results/$suite-$RANDOM.xml ran bad names
    (cd tests && "$bin/python" -m pytest -n "$((2 * $(nproc)))" --junitxml="../$report" "$@")
    local status=$?
    # The number of tests, and a line for each that failed. A skipped test is one that did not pass.
    mapfile -t names < <("$bin/python" - "$report" <<'PYTHON'
import sys
import xml.etree.ElementTree as tree

cases = list(tree.parse(sys.argv[1]).iter("testcase"))
print(len(cases))
for case in cases:
    if len(case.findall("failure") + case.findall("error") + case.findall("skipped")):
        print(f"{case.get('classname')}::{case.get('name')}")
PYTHON
    )
    ran=${names[0]-0} names=("${names[@]:1}")
    ((status != 0 && ${#names[@]} == 0)) && ((ran += 1)) && names+=("pytest ended with $status: $*")
    bad=${#names[@]}
    ((passed[$suite] += ran - bad, failed[$suite] += bad))
    failures+=("${names[@]/#/$suite: }")
}

suite_lint() {
    need_apt shellcheck
    need_venv
    need_deny
    check rustfmt cargo fmt --all --check
    check rustfmt-fuzz cargo fmt --all --check --manifest-path core/fuzz/Cargo.toml
    check clippy cargo clippy --quiet --workspace --all-targets -- -D warnings
    check rustdoc env RUSTDOCFLAGS="-D warnings" cargo doc --quiet --no-deps -p credgate-core --document-private-items
    check ruff "$bin/ruff" check python/credgate python/examples
    check ruff-format "$bin/ruff" format --check python/credgate python/examples
    check mypy "$bin/mypy" --strict python/credgate
    check headless env PYTHONPATH=tests "$bin/python" -m support.headless
    run_pytest lint
    # Advisories need the network: CI checks them in a job of its own.
    check deny cargo deny --workspace check bans licenses sources
    check rust-version rust_version_allows_dependencies
    check shellcheck shellcheck -x -P SCRIPTDIR tests/*.sh tests/harden/*.sh core/fuzz/instrument tests/lab/*.sh tests/packages/*.sh ffi/install.sh ffi/nginx/build.sh .ci/run
}

rust_version_allows_dependencies() {
    cargo metadata --locked --format-version 1 | python3 -c '
import json, sys

packages = json.load(sys.stdin)["packages"]
version = lambda package: tuple(map(int, (package["rust_version"] or "1").split(".")))
ours = min(version(package) for package in packages if package["source"] is None)
newer = [package["id"] for package in packages if version(package)[:2] > ours[:2]]
print(*newer, sep="\n")
sys.exit(bool(newer))'
}

# The crates as crates.io would get them, and everything with the oldest Rust that they promise to work with.
suite_crates() {
    local oldest
    oldest=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    need_toolchain "$oldest"
    check package cargo package --quiet --locked --allow-dirty -p credgate-core -p credgate-ffi
    check rust-version cargo "+$oldest" check --quiet --locked --workspace --all-targets
}

# The lists of components. `tests/reproduce.sh` builds what they list.
suite_supply() {
    need_release_tools
    run_pytest supply
}

suite_rust() {
    need_apt redis-server
    need_lab
    need_venv
    run_cargo test --workspace --exclude credgate-python
    # The build without the shared stores.
    run_cargo test -p credgate-core --no-default-features --lib
    run_pytest core
}

suite_model() {
    run_cargo test -p credgate-core --features model --lib schedules
}

suite_properties() {
    CREDGATE_CASES=${CREDGATE_CASES:-10000000} run_cargo test --release -p credgate-core --lib properties
}

suite_coverage() {
    need_apt redis-server
    need_coverage
    # A test kills its child, whose profile is then incomplete.
    check coverage env CARGO_TARGET_DIR=target/coverage cargo llvm-cov --quiet -p credgate-core --lib --summary-only \
        --failure-mode all --ignore-filename-regex '(tests|bench)[.]rs|/(tests|testing)/' --fail-under-lines 94
    grep -E '^(Filename|TOTAL)|[.]rs' "$results/coverage.log" |
        awk '{ printf "%-28s lines %8s  regions %8s\n", $1, $10, $4 }'
}

# Runs cargo and counts its tests: run_cargo ARGUMENTS...
run_cargo() {
    local log=$results/$suite.log
    cargo "$@" 2>&1 | tee "$log" | grep -vE '^test .* ok$|^$'
    local status=${PIPESTATUS[0]}
    ((passed[$suite] += $(sum_of passed "$log"), failed[$suite] += $(sum_of failed "$log")))
    # A failure to compile counts as one as well.
    ((status != 0 && failed[$suite] == 0)) && ((failed[$suite] += 1))
    # Failed tests, or the errors of a build.
    mapfile -t -O "${#failures[@]}" failures < <(
        { sed -nE 's/^(test .*) [.]{3} FAILED$/\1/p' "$log" | grep . || grep '^error' "$log"; } | sed "s/^/$suite: /"
    )
}

# Adds up what cargo's closing lines count: sum_of passed|failed LOG
sum_of() {
    grep -oE "[0-9]+ $1;" "$2" | awk '{ sum += $1 } END { print sum + 0 }'
}

suite_c() {
    need_apt gcc g++ binutils libcurl4-openssl-dev valgrind openssl pkg-config nginx nginx-dev
    need_lab
    need_venv
    build_library
    run_pytest c
}

suite_nginx() {
    need_apt nginx nginx-dev libnginx-mod-http-headers-more-filter valgrind openssl redis-server
    need_lab
    need_venv
    build_library
    build_module
    run_pytest nginx
}

suite_store() {
    need_apt nginx nginx-dev libnginx-mod-http-lua lua-resty-core lua-cjson openssl redis-server
    need_lab
    need_venv
    build_library
    build_module
    install_package
    run_pytest store
}

install_package() {
    check install build_package
}

suite_lua() {
    need_apt nginx libnginx-mod-http-lua lua-resty-core lua-cjson luarocks openssl valgrind
    need_lab
    need_venv
    build_library
    run_pytest lua
}

# The nginx suite once more, with an nginx that is newer than Debian's; HTTP/3 and the static module with that one only.
suite_current() {
    need_apt nginx valgrind openssl redis-server
    need_lab
    need_venv
    build_library
    build_current_nginx
    CREDGATE_NGINX=$ROOT/target/nginx-current/nginx \
        CREDGATE_NGINX_MODULE=$ROOT/target/nginx-current/ngx_http_credgate_module.so run_pytest nginx current
}

# The nginx suite once more, with sanitizers in nginx, the module and the library, and first with faults for them to find.
suite_sanitized() {
    need_apt nginx openssl redis-server
    need_lab
    need_venv
    build_sanitized
    local reports=$ROOT/$results/sanitized
    rm -rf "$reports"
    mkdir -p "$reports"
    local asan=log_path=$reports/asan:detect_leaks=1:detect_odr_violation=0:detect_stack_use_after_return=1
    with_sanitizers run_pytest sanitized
    # Without another tool that replaces malloc, and without a look for old bytes: a sanitizer keeps freed memory and frames.
    with_sanitizers run_pytest nginx --ignore nginx/test_valgrind.py --ignore nginx/test_memory.py
    check reports no_reports "$reports"
}

with_sanitizers() {
    CREDGATE_NGINX=$ROOT/target/sanitized/nginx \
        CREDGATE_NGINX_MODULE=$ROOT/target/sanitized/ngx_http_credgate_module.so \
        ASAN_OPTIONS=$asan UBSAN_OPTIONS=log_path=$reports/ubsan:print_stacktrace=1 \
        LSAN_OPTIONS=suppressions=$ROOT/tests/sanitized/nginx.supp:print_suppressions=0 "$@"
}

no_reports() {
    find "$1" -type f -print -exec cat {} +
    [[ -z $(ls "$1") ]]
}

suite_python() {
    # The configurations that migrate writes run in nginx.
    need_apt nginx nginx-dev openssl
    need_lab
    need_servers
    build_library
    build_module
    install_package
    check stubtest "$bin/stubtest" --ignore-disjoint-bases credgate
    run_pytest python
    run_pytest --doctest-modules --pyargs credgate
}

# The guides for providers, the README, the alerts and the dashboard.
suite_guides() {
    need_apt gcc libcurl4-openssl-dev nginx nginx-dev libnginx-mod-http-lua lua-resty-core lua-cjson openssl pkg-config prometheus
    need_venv
    build_library
    build_module
    install_package
    run_pytest guides
}

# Parts of tests/harden.sh, and the tests of them and of the reference model. Fuzz targets compile everything once more; the suite
# `rust` replays their inputs.
suite_harden() {
    local part
    for part in faults history flood soak; do
        check "$part" "tests/harden/$part.sh" short
    done
    run_pytest reference soak faults
}

# nginx and Python with two providers of other projects. This suite alone needs Java, Maven and Go.
suite_providers() {
    need_apt nginx nginx-dev
    local ready=yes
    need_keycloak || ready=
    need_hydra || ready=
    if [[ -z $ready ]]; then
        echo "FAILED  providers: Keycloak or Ory Hydra is not available"
        ((failed[$suite] += 1))
        failures+=("providers: Keycloak or Ory Hydra is not available")
        return
    fi
    need_venv
    build_library
    build_module
    install_package
    run_pytest providers
}

suite_demo() {
    check demo tests/demo.sh
    ((failed[demo] == 0)) && tail -n 3 "$results/demo.log"
}

main() {
    if [[ ${1-} == header ]]; then
        [[ ${2-} == --update ]] && export CREDGATE_UPDATE=1
        cargo test --quiet -p credgate-core --lib committed
        [[ ${2-} == --update ]] && (cd tests && python3 -m support.settings)
        exec cargo test --quiet -p credgate-ffi --test header
    fi
    local wanted=("$@") suite
    ((${#wanted[@]})) || wanted=("${suites[@]}")
    for suite in "${wanted[@]}"; do
        [[ " ${suites[*]} ${by_name[*]} " == *" $suite "* ]] || usage
    done
    mkdir -p "$results"
    for suite in "${wanted[@]}"; do
        echo "=== $suite"
        passed[$suite]=0 failed[$suite]=0
        local start=$SECONDS
        "suite_$suite"
        seconds[$suite]=$((SECONDS - start))
    done
    local all_passed=0 all_failed=0
    printf '\n%-9s %7s %7s %8s\n' suite passed failed seconds
    for suite in "${wanted[@]}"; do
        printf '%-9s %7d %7d %8d\n' "$suite" "${passed[$suite]}" "${failed[$suite]}" "${seconds[$suite]}"
        ((all_passed += passed[$suite], all_failed += failed[$suite]))
        # A suite that ran nothing has not passed.
        ((passed[$suite] + failed[$suite] > 0)) || ((all_failed += 1))
    done
    ((${#failures[@]} == 0)) || printf 'FAILED  %s\n' "${failures[@]}"
    echo "$all_passed passed, $all_failed failed"
    ((all_failed == 0))
}

main "$@"
