#!/usr/bin/env bash
# Builds ngx_http_credgate_module.so in the directory CREDGATE_OUT; the default
# is target/nginx.
#
#   ffi/nginx/build.sh [NGINX_SOURCE]
#
# NGINX_SOURCE is the source tree of the nginx that loads the module. That nginx
# must be configured with --with-compat. The default is Debian's nginx-dev.
# CREDGATE_LIB and CREDGATE_RPATH locate the library, see the file "config".
# CREDGATE_CC_OPT and CREDGATE_LD_OPT are additional compiler and linker flags.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
module=$root/ffi/nginx
out=${CREDGATE_OUT:-$root/target/nginx}

fail() {
    echo "build.sh: $*" >&2
    exit 1
}

source=${1:-/usr/share/nginx/src}
if [[ ! -d $source ]]; then
    [[ $# -eq 0 ]] && fail "nginx's sources are missing: run apt-get install nginx-dev, or pass a source tree"
    fail "$source is not a directory"
fi

# configure writes into the source tree, so each build takes a copy: concurrent builds must not collide. The path of the
# build directory is relative, because nginx takes ".c" or ".S" anywhere in it for the extension of a source file.
mkdir -p "$out"
tree=$(mktemp -d "$out/build.XXXXXX")
trap 'rm -rf "$tree"' EXIT
cp -rL "$source/." "$tree"
cd "$tree"

if [[ -f conf_flags ]]; then
    # Debian: the flags of its nginx, and those of dpkg-buildflags.
    # shellcheck source=/dev/null
    source ./conf_flags
    flags=("${NGX_CONF_FLAGS[@]}"
        --with-cc-opt="$(dpkg-buildflags --get CFLAGS) -fPIC $(dpkg-buildflags --get CPPFLAGS) ${CREDGATE_CC_OPT-}"
        --with-ld-opt="$(dpkg-buildflags --get LDFLAGS) -fPIC ${CREDGATE_LD_OPT-}")
else
    flags=(--with-compat --with-threads --with-http_ssl_module --with-http_v2_module
        --with-cc-opt="${CREDGATE_CC_OPT-}" --with-ld-opt="${CREDGATE_LD_OPT-}")
fi
configure=./configure
[[ -x $configure ]] || configure=auto/configure

if ! { "$configure" "${flags[@]}" --add-dynamic-module="$module" --builddir=objs \
    && make -f objs/Makefile modules; } >"$tree/log" 2>&1; then
    tail -n 40 "$tree/log" >&2
    fail "the build failed"
fi
mv "$tree/objs/ngx_http_credgate_module.so" "$out/"
echo "$out/ngx_http_credgate_module.so"
