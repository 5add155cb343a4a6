#!/usr/bin/env bash
# Installs the library for C programs: header, shared library and pkg-config
# file. `cargo cinstall` of cargo-c installs the same, and a static library.
#
#   cargo build --release -p credgate-ffi && sudo ffi/install.sh [PREFIX]
#
# PREFIX defaults to /usr/local. The environment variable LIBDIR defaults to
# PREFIX/lib. If DESTDIR is set, everything is installed below it, for packages.
# CREDGATE_LIB is the directory of the built library, if not target/release.
# ffi/README.md has the commands that remove all of it.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
prefix=${1:-/usr/local}
libdir=${LIBDIR:-$prefix/lib}
includedir=$prefix/include
built=${CREDGATE_LIB:-$root/target/release}/libcredgate.so

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

[[ $# -le 1 && $prefix == /* && $libdir == /* ]] || fail "usage: [LIBDIR=/…] [DESTDIR=/…] ffi/install.sh [/PREFIX]"
[[ -e $built ]] || fail "$built is missing: cargo build --release -p credgate-ffi"

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml")
soname=libcredgate.so.$(sed -n 's/^#define CREDGATE_ABI_VERSION //p' "$root/include/credgate.h")
file=libcredgate.so.$(sed -n '/^\[package.metadata.capi.library\]$/,/^$/s/^version = "\(.*\)"$/\1/p' "$root/ffi/Cargo.toml")

install -D -m 644 "$root/include/credgate.h" "${DESTDIR-}$includedir/credgate.h"
install -D -m 755 "$built" "${DESTDIR-}$libdir/$file"
ln -sfn "$file" "${DESTDIR-}$libdir/$soname"
ln -sfn "$file" "${DESTDIR-}$libdir/libcredgate.so"
install -d "${DESTDIR-}$libdir/pkgconfig"
cat >"${DESTDIR-}$libdir/pkgconfig/credgate.pc" <<END
prefix=$prefix
libdir=${libdir/#"$prefix"\//\${prefix\}/}
includedir=\${prefix}/include

Name: credgate
Description: Client credentials of API clients, exchanged at an OpenID provider
Version: $version
Cflags: -I\${includedir}
Libs: -L\${libdir} -lcredgate
END

echo "installed to ${DESTDIR-}$prefix: try pkg-config --cflags --libs credgate"
[[ -n ${DESTDIR-} || $(id -u) -ne 0 ]] || ldconfig
