#!/usr/bin/env bash
# Builds all packages in target/packages, and tests each in a clean Debian.
#
#   tests/packages.sh               every step
#   tests/packages.sh STEP...       these steps only
#
# Steps: debian rocks wheels check. Ends with 0 if every test passed. The step check runs as root: a clean Debian is a chroot.
# A first run takes about half an hour on two processors; Debian's packages, cargo-c and the compiled crates remain in target/.
set -euo pipefail
# shellcheck source=tests/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

readonly steps=(debian rocks wheels check)
readonly out=$ROOT/target/packages
readonly work=$ROOT/target/packaging
readonly bin=$ROOT/target/venv/bin
# The wheels: a target of rustc, and the policy that auditwheel checks.
readonly wheels=(
    "x86_64-unknown-linux-gnu manylinux2014"
    "x86_64-unknown-linux-musl musllinux_1_2"
    "aarch64-unknown-linux-gnu manylinux2014"
    "aarch64-unknown-linux-musl musllinux_1_2"
)

usage() {
    sed -n '2,8s/^# \{0,1\}//p' "$0"
    exit 2
}

# cargo-c, of the newest version that compiles with this project's compilers. It takes four minutes on two processors.
need_cargo_c() {
    command -v cargo-cinstall >/dev/null ||
        quietly "compiling cargo-c" env CARGO_PROFILE_DEV_DEBUG=0 \
            cargo install --quiet --locked cargo-c --version =0.10.24 --profile dev
}

need_packagers() {
    need_venv
    _need_packages "the tools for wheels" tests/packages/requirements.txt
}

step_debian() {
    need_apt build-essential debhelper dpkg-dev fakeroot libssl-dev nginx nginx-dev pkg-config
    need_cargo_c
    local tree=$work/source/credgate
    rm -rf "$work/source" && mkdir -p "$tree"
    # The files of the working tree that git tracks or would track.
    git ls-files -z --cached --others --exclude-standard -- ':!tests' ':!.*' |
        xargs -0 cp --parents --no-dereference --preserve=mode,timestamps -t "$tree"
    mv "$tree/ffi/debian" "$tree/debian"
    quietly "fetching crates" cargo fetch --locked
    quietly "building the Debian packages" build_debian "$tree"
    rm -f "$out"/*.deb
    mv "$work"/source/*.deb "$out/"
}

build_debian() {
    map_paths "$1" "$work/cargo"
    cd "$1" &&
        env DEB_BUILD_OPTIONS=noautodbgsym CARGO_TARGET_DIR="$work/cargo" \
            CARGO_HOME="${CARGO_HOME:-$HOME/.cargo}" RUSTUP_HOME="${RUSTUP_HOME:-$HOME/.rustup}" \
            dpkg-buildpackage --build=binary --unsigned-changes --no-pre-clean
}

step_rocks() {
    need_apt luarocks
    rm -f "$out"/*.rock
    local spec
    for spec in ffi/lua/*.rockspec; do
        quietly "packing $(basename "$spec" .rockspec)" pack_rock "$spec"
    done
}

# Installs a rock in a tree of its own, and packs it from there.
pack_rock() {
    local tree name
    name=$(sed -n 's/^package = "\(.*\)"/\1/p' "$1")
    tree=$(mktemp -d) &&
        (cd "$(dirname "$1")" && luarocks --lua-version 5.1 --tree "$tree" make --deps-mode none "$(basename "$1")") &&
        (cd "$out" && luarocks --lua-version 5.1 --tree "$tree" pack "$name")
    local status=$?
    rm -rf "$tree"
    return "$status"
}

step_wheels() {
    need_packagers
    need_cyclonedx
    rm -f "$out"/*.whl
    local wheel target policy
    for wheel in "${wheels[@]}"; do
        read -r target policy <<<"$wheel"
        rustc --print target-libdir --target "$target" | xargs test -d ||
            quietly "installing Rust's library for $target" rustup target add "$target"
        quietly "building the wheel for $target" build_wheel "$target" "$policy"
    done
}

# build_wheel TARGET POLICY: with a list of its components inside.
build_wheel() {
    local target=$1 policy=$2 cargo=$work/cargo-zig made=$work/wheels/$1
    rm -rf "$made"
    map_paths "$ROOT" "$cargo"
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
    export SOURCE_DATE_EPOCH PATH="$bin:$PATH" CARGO_TARGET_DIR=$cargo
    PYTHONPATH=tests "$bin/python" -m support.sbom "$target" "$made" &&
        "$bin/python" -m maturin build --manifest-path python/Cargo.toml --release --locked --zig --target "$target" \
            --compatibility "$policy" --sbom-include "$made/credgate.cdx.json" --out "$made" &&
        { [[ $target != *-musl ]] || name_musl "$made"/*.whl "${target%%-*}"; } &&
        mv "$made"/*.whl "$out/"
}

# name_musl WHEEL ARCHITECTURE: names the C library as Alpine does, which auditwheel expects. musl takes either name for itself.
name_musl() {
    local tree=$1.tree
    "$bin/python" -m wheel unpack --dest "$tree" "$1" &&
        patchelf --replace-needed libc.so "libc.musl-$2.so.1" "$tree"/*/credgate/*.so &&
        "$bin/python" -m wheel pack --dest-dir "$(dirname "$1")" "$tree"/*
}

# The codename of this Debian, whose nginx the packages are for.
codename() {
    sed -n 's/^VERSION_CODENAME=//p' /etc/os-release
}

# The directory of a clean Debian, from the archives that apt uses here.
need_clean_debian() {
    need_apt debootstrap
    local base=$work/root
    if [ ! -e "$base/installed" ]; then
        rm -rf "$base"
        quietly "installing a clean Debian" install_debian "$base"
    fi
    cp -L /etc/resolv.conf "$base/etc/resolv.conf"
    quietly "updating its lists of packages" chroot "$base" apt-get update
}

install_debian() {
    local base=$1 archives
    archives=$(apt-get indextargets --format "deb \$(REPO_URI) \$(RELEASE) \$(COMPONENT)" "Origin: Debian" "Created-By: Packages")
    read -r _ mirror _ < <(grep " $(codename) " <<<"$archives")
    debootstrap --variant=minbase --include=ca-certificates,openssl "$(codename)" "$base" "$mirror" &&
        printf '%s\n' "$archives" >"$base/etc/apt/sources.list" &&
        # Nothing starts a service in a chroot.
        printf '#!/bin/sh\nexit 101\n' >"$base/usr/sbin/policy-rc.d" && chmod +x "$base/usr/sbin/policy-rc.d" &&
        touch "$base/installed"
}

# target/packaging/python-ARCHITECTURE: a Python that loads a musllinux wheel.
need_musl_python() {
    local architecture=$1 python=$work/python-$1
    [ -x "$python/opt/python/bin/python3" ] ||
        quietly "compiling Python for musl on $architecture" tests/packages/musl_python.sh "$(zig)" "$architecture" "$python"
}

zig() {
    "$bin/python" -c 'import ziglang; print(f"{ziglang.__path__[0]}/zig")'
}

step_check() {
    need_apt binutils buildah dpkg-dev lintian openssl pkg-config qemu-user-static
    need_lab
    need_packagers
    need_clean_debian
    need_musl_python x86_64
    need_musl_python aarch64
    # The mounts of the tests end with them.
    (cd tests && exec unshare --mount --propagation private "$bin/python" -m pytest packages)
}

main() {
    local wanted=("$@") step
    ((${#wanted[@]})) || wanted=("${steps[@]}")
    for step in "${wanted[@]}"; do
        [[ " ${steps[*]} " == *" $step "* ]] || usage
    done
    [[ " ${wanted[*]} " != *" check "* || $(id -u) -eq 0 ]] || {
        echo "the step check runs as root, for chroot: without it, packages.sh debian rocks wheels" >&2
        exit 2
    }
    mkdir -p "$out" "$work"
    for step in "${wanted[@]}"; do
        "step_$step"
    done
}

main "$@"
