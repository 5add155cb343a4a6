#!/usr/bin/env bash
# Compiles Debian's CPython for musl with Zig, because Debian has none that can load a musllinux wheel.
#
#   musl_python.sh ZIG ARCHITECTURE OUT
#
# Installs it to OUT/opt/python. It has the modules that need no other library: no ssl, no zlib.
set -euo pipefail

zig=$1 architecture=$2 out=$3
work=$out.build
python=python$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')

rm -rf "$work" "$out" && mkdir -p "$work/lists/partial" "$work/source"
cd "$work"
# The source archives of the Debian archives that apt uses here.
apt-get indextargets --format "deb-src \$(REPO_URI) \$(RELEASE) \$(COMPONENT)" "Origin: Debian" "Created-By: Packages" >sources.list
apt=(-o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$work/lists")
apt-get "${apt[@]}" update
apt-get "${apt[@]}" source --download-only --tar-only "$python"
tar -xf "${python}"_*.orig.tar.xz -C source --strip-components=1

cd source
CC="$zig cc -target $architecture-linux-musl -fno-sanitize=undefined" AR="$zig ar" RANLIB="$zig ranlib" LDFLAGS=-dynamic \
    ./configure --host="$architecture-linux-musl" --build="$(uname -m)-linux-gnu" --with-build-python="/usr/bin/$python" \
    --prefix=/opt/python --disable-test-modules --without-ensurepip ac_cv_file__dev_ptmx=no ac_cv_file__dev_ptc=no
make -j "$(nproc)"
make install DESTDIR="$out"
rm -rf "$work"
