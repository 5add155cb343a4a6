#!/usr/bin/env bash
# Builds the nginx module to target/nginx/ngx_http_credgate_module.so, or to the
# directory that CREDGATE_OUT names.
#
#   ffi/nginx/build.sh [NGINX_SOURCE]
#
# NGINX_SOURCE is the source tree of the nginx that will load the module, which
# must have been configured with --with-compat; without it, Debian's nginx-dev.
# For CREDGATE_LIB and CREDGATE_RPATH, where the library is, see "config" beside
# this. CREDGATE_CC_OPT and CREDGATE_LD_OPT are further flags for compiler and
# linker.
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
    [[ $# -eq 0 ]] && fail "nginx's headers are missing: apt-get install nginx-dev, or name a source tree"
    fail "$source is no directory"
fi

# In a copy: configure writes into the tree, and two builds at once would collide. And with a directory for what is built
# that is named from there: nginx takes ".c" and ".S" anywhere in its path for the end of a source's name.
mkdir -p "$out"
tree=$(mktemp -d "$out/build.XXXXXX")
trap 'rm -rf "$tree"' EXIT
cp -rL "$source/." "$tree"
cd "$tree"

if [[ -f conf_flags ]]; then
    # Debian's: the flags of its nginx, and of its compiler.
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
    fail "the module was not built"
fi
mv "$tree/objs/ngx_http_credgate_module.so" "$out/"
echo "$out/ngx_http_credgate_module.so"
