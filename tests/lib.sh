# shellcheck shell=bash
# Functions that get a machine ready: sourced by demo.sh and run.sh, from any directory.
# Each does only what is missing, is quiet, and shows its whole output when it fails.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PATH="$PATH:/usr/sbin:$HOME/.cargo/bin"

# quietly WHAT COMMAND...: says WHAT, runs COMMAND, and shows its output only if it fails.
quietly() {
  local what=$1 output status=0
  shift
  printf '· %s ...' "$what" >&2
  output=$("$@" 2>&1) || status=$?
  if [ "$status" -ne 0 ]; then
    printf ' failed\n%s\n' "$output" >&2
    return "$status"
  fi
  printf ' done\n' >&2
}

_as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

_apt_install() {
  # The services of the packages stay down: the tests start their own.
  local policy=/usr/sbin/policy-rc.d status=0 ours=
  if [ ! -e "$policy" ]; then
    ours=yes
    printf '#!/bin/sh\nexit 101\n' | _as_root tee "$policy" >/dev/null
    _as_root chmod +x "$policy"
  fi
  _as_root apt-get update &&
    _as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" || status=$?
  [ -z "$ours" ] || _as_root rm -f "$policy"
  return "$status"
}

# need_apt PACKAGE...: installs the Debian packages that are missing.
need_apt() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ "${#missing[@]}" -eq 0 ] || quietly "installing ${missing[*]}" _apt_install "${missing[@]}"
}

# need_command COMMAND WHY: stops with a hint if COMMAND is not there.
need_command() {
  command -v "$1" >/dev/null || { printf '%s is needed: %s\n' "$1" "$2" >&2; return 1; }
}

# need_version COMMAND MINIMUM: stops with a hint if COMMAND is not there, or is older.
need_version() {
  local version
  need_command "$1" "install version $2 or later" || return
  version=$("$1" --version 2>&1 | grep -Eo '[0-9]+(\.[0-9]+)+' | head -n 1)
  [ "$(printf '%s\n' "$2" "$version" | sort --version-sort | head -n 1)" = "$2" ] ||
    { printf '%s %s is too old: install version %s or later\n' "$1" "$version" "$2" >&2; return 1; }
}

# need_rust: a compiler that is new enough for the workspace.
need_rust() {
  need_command cargo "install Rust with rustup"
  need_version rustc "$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$ROOT/Cargo.toml")"
}

# need_coverage: cargo-llvm-cov, and the tools of the compiler that it reads with.
need_coverage() {
  command -v cargo-llvm-cov >/dev/null ||
    quietly "installing cargo-llvm-cov" cargo install --quiet --locked cargo-llvm-cov
  local tools
  tools=$(rustc --print target-libdir)/../bin
  [ -x "$tools/llvm-cov" ] || quietly "installing llvm-tools" rustup component add llvm-tools
}

# need_deny: cargo-deny, of the release series that deny.toml is written for. Compiling it takes minutes, even without optimization.
need_deny() {
  command -v cargo-deny >/dev/null ||
    quietly "installing cargo-deny" env CARGO_PROFILE_DEV_DEBUG=0 \
      cargo install --quiet --locked cargo-deny --version '^0.20' --profile dev
}

# need_cyclonedx: cargo-cyclonedx, of the release series whose output tests/support/sbom.py reads.
need_cyclonedx() {
  command -v cargo-cyclonedx >/dev/null ||
    quietly "installing cargo-cyclonedx" cargo install --quiet --locked cargo-cyclonedx --version '^0.5.9'
}

# need_miri: Miri, which the nightly toolchain alone has.
need_miri() {
  need_command rustup "install Rust with rustup"
  local nightly
  nightly=$(rustup run nightly rustc --print sysroot 2>/dev/null) && [ -x "$nightly/bin/miri" ] &&
    [ -e "$nightly/lib/rustlib/src/rust/library/Cargo.lock" ] && return
  quietly "installing Miri" rustup toolchain install nightly --profile minimal --component miri,rust-src --no-self-update
}

# need_mutants: cargo-mutants, of the release series that .cargo/mutants.toml is written for.
need_mutants() {
  command -v cargo-mutants >/dev/null ||
    quietly "installing cargo-mutants" cargo install --quiet --locked cargo-mutants --version '^27.1'
}

# need_rust_src: the source of the standard library, which sanitizers instrument.
need_rust_src() {
  [ -e "$(rustc --print sysroot)/lib/rustlib/src/rust/library/Cargo.lock" ] ||
    quietly "installing rust-src" rustup component add rust-src
}

# need_toolchain VERSION: that version of Rust, beside the default one.
need_toolchain() {
  need_command rustup "install Rust with rustup"
  rustup run "$1" rustc --version >/dev/null 2>&1 ||
    quietly "installing Rust $1" rustup toolchain install "$1" --profile minimal --no-self-update
}

# build_library: target/release/libcredgate.so
build_library() {
  need_apt build-essential
  need_rust
  quietly "building libcredgate" cargo build --release --locked -p credgate-ffi --manifest-path "$ROOT/Cargo.toml"
}

# map_paths TREE TARGET: from then on, compilers put neither the path of the sources TREE nor that of Cargo's target directory
# TARGET into their output, nor those of Cargo's home and the standard library.
map_paths() {
  local maps commit
  maps=("$1=/usr/src/credgate" "$2=/usr/src/credgate/target" "${CARGO_HOME:-$HOME/.cargo}=/usr/src/cargo")
  export CFLAGS=${maps[*]/#/-ffile-prefix-map=}
  # With the component rust-src, the compiler names the sources of the standard library by their path on this machine.
  commit=$(rustc --version --verbose | sed -n 's/^commit-hash: //p')
  maps+=("$(rustc --print sysroot)/lib/rustlib/src/rust=/rustc/$commit")
  export RUSTFLAGS=${maps[*]/#/--remap-path-prefix=}
}

# build_module: target/nginx/ngx_http_credgate_module.so
build_module() {
  need_apt nginx nginx-dev build-essential
  quietly "building the nginx module" "$ROOT/ffi/nginx/build.sh"
}

# build_package: the Python package, in target/venv
build_package() {
  quietly "installing the Python package" \
    "$ROOT/target/venv/bin/python" -m pip install --quiet --force-reinstall --no-deps "$ROOT/python"
}

# need_lab: the certified OpenID provider in tests/lab/node_modules
need_lab() {
  local lab=$ROOT/tests/lab
  need_version node 20
  need_command npm "it comes with Node"
  if [ ! "$lab/node_modules/.package-lock.json" -nt "$lab/package-lock.json" ]; then
    quietly "installing the OpenID provider" \
      npm ci --prefix "$lab" --ignore-scripts --no-audit --no-fund --no-update-notifier
  fi
}

# need_venv: target/venv with tests/requirements.txt
need_venv() {
  if [ ! -x "$ROOT/target/venv/bin/pip" ]; then
    python3 -c 'import ensurepip' 2>/dev/null || need_apt python3-venv
    quietly "making a Python environment" python3 -m venv "$ROOT/target/venv"
  fi
  _need_packages "the test runner" "$ROOT/tests/requirements.txt"
}

# need_servers: in target/venv too, what tests/python/requirements.txt names. uWSGI is built from its source.
need_servers() {
  need_venv
  need_apt gcc libc6-dev python3-dev
  _need_packages "servers and frameworks" "$ROOT/tests/python/requirements.txt"
}

# need_peers: in target/venv too, what tests/bench compares with.
need_peers() {
  _need_packages "the Python clients to compare with" "$ROOT/tests/bench/requirements.txt"
}

# need_release_tools: in target/venv too, what tests/supply/requirements.txt names; and cargo-cyclonedx.
need_release_tools() {
  need_venv
  need_cyclonedx
  _need_packages "the tools of a release" "$ROOT/tests/supply/requirements.txt"
}

# _need_packages WHAT FILE: installs what the file names into target/venv, where it has not been.
_need_packages() {
  local venv=$ROOT/target/venv installed
  installed=$venv/$(basename "$(dirname "$2")")-requirements.txt
  if ! cmp -s "$2" "$installed"; then
    quietly "installing $1" "$venv/bin/pip" install --disable-pip-version-check -r "$2"
    cp "$2" "$installed"
  fi
}

# The providers of the suite `providers`, which Debian does not package.
KEYCLOAK_VERSION=26.0.8
HYDRA_VERSION=v2.3.0
# The replacement in Hydra's own go.mod, which Go ignores in a dependency.
HYDRA_REPLACE=github.com/gobuffalo/pop/v6=github.com/ory/pop/v6@v6.2.1-0.20241121111754-e5dfc0f3344b

# need_keycloak: target/keycloak/bin/kc.sh, from Maven's repository, built for a database in a file.
need_keycloak() {
  local out=$ROOT/target/keycloak status=0
  need_command java "Keycloak runs on Java 17 or later (Debian: default-jre-headless)" || status=1
  _installed "$out" "$KEYCLOAK_VERSION, https-client-auth" && return "$status"
  need_command mvn "Maven downloads Keycloak (Debian: maven)" || status=1
  [ "$status" -eq 0 ] || return "$status"
  quietly "installing Keycloak, which takes two minutes" _install_keycloak "$out"
}

_install_keycloak() {
  local out=$1 archive=keycloak-quarkus-dist
  rm -rf "$out" && mkdir -p "$out/download" && (
    cd "$out" && mvn -q -B dependency:copy -DoutputDirectory="$out/download" \
      -Dartifact="org.keycloak:$archive:$KEYCLOAK_VERSION:tar.gz" &&
      tar -xzf "download/$archive-$KEYCLOAK_VERSION.tar.gz" --strip-components=1 && rm -r download &&
      bin/kc.sh build --db=dev-file --health-enabled=true --https-client-auth=request
  ) && echo "$KEYCLOAK_VERSION, https-client-auth" >"$out/installed"
}

# need_hydra: target/hydra/hydra, compiled by Go with SQLite. Compiling it takes three minutes on two processors.
need_hydra() {
  local out=$ROOT/target/hydra
  _installed "$out" "$HYDRA_VERSION" && return
  need_command go "Go 1.22 or later compiles Ory Hydra" || return
  need_apt gcc libc6-dev
  quietly "compiling Ory Hydra, which takes minutes" _install_hydra "$out"
}

_install_hydra() {
  local out=$1
  rm -rf "$out" && mkdir -p "$out" && (
    cd "$out" && go mod init hydra && go mod edit -replace="$HYDRA_REPLACE" &&
      go get "github.com/ory/hydra/v2@$HYDRA_VERSION" &&
      go build -tags sqlite,json1 -o hydra github.com/ory/hydra/v2
  ) && echo "$HYDRA_VERSION" >"$out/installed"
}

# _installed DIRECTORY VERSION: is that version there, completely?
_installed() { [ "$(cat "$1/installed" 2>/dev/null)" = "$2" ]; }

# build_current_nginx: target/nginx-current/{nginx,ngx_http_credgate_module.so}, from the source that a crate carries.
build_current_nginx() {
  local out=$ROOT/target/nginx-current
  _need_nginx "$out"
  quietly "building the module for it" env CREDGATE_OUT="$out" CREDGATE_NGINX="$out/nginx" \
    "$ROOT/ffi/nginx/build.sh" "$out/source"
}

# build_sanitized: target/sanitized/{nginx,ngx_http_credgate_module.so,…/libcredgate.so}, with AddressSanitizer, and the
# module with UndefinedBehaviorSanitizer too. This nginx takes every piece of a pool from malloc, so that a byte too far
# is seen there as well.
build_sanitized() {
  local out=$ROOT/target/sanitized
  # The runtime is gcc's, which nginx is linked to; two in one process would not do.
  quietly "building libcredgate with AddressSanitizer" env RUSTC_BOOTSTRAP=1 \
    RUSTFLAGS="-Zsanitizer=address -Zexternal-clangrt -Cforce-frame-pointers=yes" cargo build --locked -p credgate-ffi \
    --target "$(rustc --print host-tuple)" --target-dir "$out" --manifest-path "$ROOT/Cargo.toml"
  _need_nginx "$out" "-fsanitize=address -fno-omit-frame-pointer -O1 -DNGX_DEBUG_PALLOC=1" -fsanitize=address
  quietly "building the module with AddressSanitizer" build_sanitized_module "$ROOT" "$out"
}

# build_sanitized_module TREE OUT: OUT/ngx_http_credgate_module.so from TREE/{ffi/nginx,include}, for build_sanitized's nginx.
build_sanitized_module() {
  local out=$ROOT/target/sanitized undefined=-fsanitize=address,undefined
  env CREDGATE_OUT="$2" CREDGATE_NGINX="$out/nginx" CREDGATE_LIB="$out/$(rustc --print host-tuple)/debug" CREDGATE_LD_OPT=$undefined \
    CREDGATE_CC_OPT="$undefined -fno-omit-frame-pointer -O1 -DNGX_DEBUG_PALLOC=1" "$1/ffi/nginx/build.sh" "$out/source"
}

# _need_nginx OUT [CC_OPT LD_OPT]: OUT/nginx from OUT/source, both from the crate that carries the current source.
_need_nginx() {
  need_apt build-essential libssl-dev libpcre2-dev zlib1g-dev
  [[ $("$1/nginx" -V 2>&1) == *--with-http_v3_module* ]] || quietly "building a current nginx" _build_nginx "$@"
}

_build_nginx() {
  local out=$1 vendor=$ROOT/target/nginx-source
  mkdir -p "$out" "$vendor/crate/src"
  printf '[package]\nname = "source"\nversion = "0.0.0"\nedition = "2021"\n[dependencies]\nnginx-src = "1"\n[workspace]\n' \
    >"$vendor/crate/Cargo.toml"
  : >"$vendor/crate/src/lib.rs"
  cargo vendor --quiet --manifest-path "$vendor/crate/Cargo.toml" "$vendor/vendor" >/dev/null &&
    rm -rf "$out/source" && cp -r "$vendor/vendor/nginx-src/nginx" "$out/source" &&
    (
      cd "$out/source" && chmod +x configure auto/* 2>/dev/null
      configure=./configure
      [ -x "$configure" ] || configure=auto/configure
      "$configure" --with-compat --with-threads --with-poll_module --with-select_module \
        --with-http_ssl_module --with-http_v2_module --with-http_v3_module --with-http_realip_module \
        --with-http_auth_request_module --with-http_stub_status_module --with-cc-opt="${2-}" --with-ld-opt="${3-}" &&
        make -j2 && cp objs/nginx "$out/nginx" && make clean
    )
}
