#!/usr/bin/env bash
# Builds ngx_http_credgate_module.so in the directory CREDGATE_OUT; the default
# is target/nginx.
#
#   ffi/nginx/build.sh [NGINX_SOURCE]
#
# NGINX_SOURCE is the source tree of the nginx that loads the module. That nginx
# must be configured with --with-compat. The default is Debian's nginx-dev.
# CREDGATE_NGINX is the binary of that nginx. The build fails if its version or
# signature differs from the module's. The default is the nginx in PATH, if its
# version is that of the source tree.
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

# nginx refuses a module of another version, or with another signature: a string that stands for the options that change
# nginx's structures.
signature() {
    grep -aoE '[0-9],[0-9],[0-9],[01]{30,}' "$1" | sort -u
}

# The name of the copy is random; in the module it is ".", so that equal sources give equal modules.
prefix_map=-ffile-prefix-map=$tree=.

fits=
version=$(sed -n 's/^#define NGINX_VERSION *"\(.*\)"/\1/p' src/core/nginx.h)
nginx=${CREDGATE_NGINX:-$(command -v nginx || true)}
if [[ -z $nginx ]]; then
    echo "build.sh: not compared with an nginx: none is in PATH, and CREDGATE_NGINX is not set" >&2
else
    about=$("$nginx" -V 2>&1)
    loads=$(sed -n 's/^nginx version: [^/]*\/\([0-9.]*\).*/\1/p' <<<"$about")
    if [[ $loads == "$version" ]]; then
        fits=yes
    else
        differs="$nginx is version $loads, and the module is for $version"
        [[ -n ${CREDGATE_NGINX-} || $# -eq 0 ]] && fail "$differs: build with the source of nginx $loads"
        echo "build.sh: not compared with an nginx: $differs" >&2
    fi
fi

if [[ -f conf_flags ]]; then
    # Debian: the flags of its nginx, and those of dpkg-buildflags.
    # shellcheck source=/dev/null
    source ./conf_flags
    flags=("${NGX_CONF_FLAGS[@]}"
        --with-cc-opt="$(dpkg-buildflags --get CFLAGS) -fPIC $(dpkg-buildflags --get CPPFLAGS) ${CREDGATE_CC_OPT-} $prefix_map"
        --with-ld-opt="$(dpkg-buildflags --get LDFLAGS) -fPIC ${CREDGATE_LD_OPT-}")
else
    flags=(--with-compat --with-threads --with-http_ssl_module --with-http_v2_module
        --with-cc-opt="${CREDGATE_CC_OPT-} $prefix_map" --with-ld-opt="${CREDGATE_LD_OPT-}")
    # Messages of the module at level debug, if that nginx has them.
    [[ -n $fits && $about == *--with-debug* ]] && flags+=(--with-debug)
fi
configure=./configure
[[ -x $configure ]] || configure=auto/configure

if ! { "$configure" "${flags[@]}" --add-dynamic-module="$module" --builddir=objs \
    && make -f objs/Makefile modules; } >"$tree/log" 2>&1; then
    tail -n 40 "$tree/log" >&2
    fail "the build failed"
fi

built=$tree/objs/ngx_http_credgate_module.so
if [[ -n $fits && $(signature "$nginx") != "$(signature "$built")" ]]; then
    hint="configure the source tree with the arguments that $nginx -V prints, and --add-dynamic-module=$module"
    [[ $about == *--with-compat* ]] || hint="that nginx is not configured with --with-compat: $hint"
    fail "$nginx would refuse the module as \"not binary compatible\"
  signature of nginx:      $(signature "$nginx")
  signature of the module: $(signature "$built")
  $hint"
fi
mv "$built" "$out/"
echo "$out/ngx_http_credgate_module.so"
