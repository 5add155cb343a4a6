#!/usr/bin/env bash
# Compiles Debian's CPython for musl with Zig, because Debian has none that can load a musllinux wheel.
#
#   musl_python.sh ZIG ARCHITECTURE OUT
#
# Installs it to OUT/opt/python. Of the modules that need another library, it has zlib, which pip needs.
set -euo pipefail

zig=$1 architecture=$2 out=$3
work=$out.build
python=python$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
# Fast to compile: the tests run it for seconds.
export CC="$zig cc -target $architecture-linux-musl -fno-sanitize=undefined -Wno-date-time" CFLAGS="-O1 -g0 -fPIC" \
    AR="$zig ar" RANLIB="$zig ranlib"

# download PACKAGE: its original source in the directory PACKAGE, from the Debian archives that apt uses here.
download() {
    local apt=(-o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$work/lists")
    if [ ! -e sources.list ]; then
        apt-get indextargets --format "deb-src \$(REPO_URI) \$(RELEASE) \$(COMPONENT)" "Origin: Debian" "Created-By: Packages" \
            >sources.list
        apt-get "${apt[@]}" update
    fi
    apt-get "${apt[@]}" source --download-only --tar-only "$1"
    mkdir "$1"
    tar -xf "$1"_*.orig.tar.* -C "$1" --strip-components=1
}

rm -rf "$work" "$out" && mkdir -p "$work/lists/partial"
cd "$work"
download zlib
download "$python"

(cd zlib && ./configure --static && make -j "$(nproc)" libz.a)

cd "$python"
# It would search the compiler's own directories in the reverse order.
sed -i 's/self.add_cross_compiling_paths()/pass/' setup.py
# Answers to questions that configure asks a running program. Debian's musl is older than Zig's, and lacks two functions.
answers=(ac_cv_buggy_getaddrinfo=no ac_cv_file__dev_ptmx=no ac_cv_file__dev_ptc=no ac_cv_func_preadv2=no ac_cv_func_pwritev2=no
    ac_cv_header_stropts_h=no)
# pkg-config would find the libraries of this machine.
PKG_CONFIG=false ZLIB_CFLAGS="-I$work/zlib" ZLIB_LIBS="-L$work/zlib -lz" OPT="-DNDEBUG -fwrapv" LDFLAGS=-dynamic \
    READELF=/usr/bin/readelf ./configure --host="$architecture-linux-musl" --build="$(uname -m)-linux-gnu" \
    --with-build-python="/usr/bin/$python" --prefix=/opt/python --disable-test-modules --without-ensurepip "${answers[@]}"
make -j "$(nproc)"
make install DESTDIR="$out"
rm -rf "$work"
