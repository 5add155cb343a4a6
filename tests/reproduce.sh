#!/usr/bin/env bash
# Builds the library, the nginx module and the Python wheel twice and compares them bit by bit.
#
#   tests/reproduce.sh            two builds that share nothing but the machine and its compilers
#   tests/reproduce.sh build OUT  one build of this checkout, the same as those, in the directory OUT
#
# The two builds differ in their path and its depth, in the paths of target directory, Cargo's home and temporary files, in
# time zone, language, umask, number of jobs and modification times, and in their time of day. Ends with 0 if all files are the same.
# shellcheck disable=SC2030,SC2031  # Each build has an environment of its own.
set -euo pipefail
# shellcheck source=tests/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

readonly results=$ROOT/target/reproduce

# build TREE TARGET OUT: builds TREE, with TARGET as Cargo's target directory. The files are in OUT.
build() {
  local tree=$1 target=$2 out=$3
  mkdir -p "$out"
  (
    cd "$tree"
    export SOURCE_DATE_EPOCH=$epoch CARGO_TARGET_DIR=$target CARGO_INCREMENTAL=0
    map_paths "$tree" "$target"
    cargo build --release --locked -p credgate-ffi
    cp "$target/release/libcredgate.so" "$out/"
    # An installed library is found by the dynamic linker: no path of this machine is in the module.
    CREDGATE_OUT=$target/nginx CREDGATE_LIB=$target/release CREDGATE_RPATH='' CREDGATE_CC_OPT="$CFLAGS" ffi/nginx/build.sh
    cp "$target/nginx/ngx_http_credgate_module.so" "$out/"
    PYTHONPATH=tests python3 -m support.sbom "$(rustc --print host-tuple)" "$target/sbom"
    cp "$target/sbom/libcredgate.cdx.json" "$out/"
    "$python" -m maturin build --release --locked --manifest-path python/Cargo.toml --interpreter python3 --out "$out" \
      --sbom-include "$target/sbom/credgate.cdx.json"
  )
}

# build_elsewhere NUMBER DIRECTORY JOBS DATE: builds a copy of this checkout below DIRECTORY, as if on another machine.
build_elsewhere() {
  local number=$1 directory=$2 jobs=$3 date=$4 tree=$2/tree
  mkdir -p "$tree" "$directory/tmp" "$directory/home"
  (cd "$ROOT" && git ls-files -z | tar --null --files-from=- --create) | tar --directory "$tree" --extract
  find "$tree" -exec touch --no-dereference --date "$date" {} +
  # Cargo's downloads are at another path, as links to the same files. Its configuration says where they come from.
  cp --recursive --link "${CARGO_HOME:-$HOME/.cargo}/registry" "$directory/home/" 2>/dev/null ||
    cp --recursive "${CARGO_HOME:-$HOME/.cargo}/registry" "$directory/home/"
  cp "${CARGO_HOME:-$HOME/.cargo}"/config* "$directory/home/" 2>/dev/null || true
  CARGO_HOME=$directory/home CARGO_BUILD_JOBS=$jobs TMPDIR=$directory/tmp build "$tree" "$directory/target" "$results/$number"
}

# compare ONE OTHER: prints each file's hash, or its first difference.
compare() { PYTHONPATH=$ROOT/tests python3 -m support.same_bits "$1" "$2"; }

# finds_a_plant: a byte of the library's constants is changed, and compare must say in which section.
finds_a_plant() {
  rm -rf "$results/planted"
  cp -r "$results/1" "$results/planted"
  python3 - "$results/planted/libcredgate.so" <<'PYTHON'
import sys
from pathlib import Path

library = Path(sys.argv[1])
text = b"client_credentials"
library.write_bytes(library.read_bytes().replace(text, text.upper(), 1))
PYTHON
  local said
  if said=$(compare "$results/1" "$results/planted"); then
    echo "a planted difference was not found" >&2
    return 1
  fi
  grep -q 'section \.rodata: .*client_credentials.*CLIENT_CREDENTIALS' <<<"$said"
}

# holds_no_path: neither the paths of the two builds nor those of this user are in an artefact.
holds_no_path() {
  local file
  for file in "$results/1"/*; do
    case $file in *.whl) unzip -p "$file" ;; *) cat "$file" ;; esac |
      { ! grep -aoE "($scratch|$ROOT|$HOME)[[:graph:]]*" | sort | uniq -c | sort -rn | head -n 20 | grep .; } || {
      echo "$file holds a path of this machine" >&2
      return 1
    }
  done
}

main() {
  need_rust
  need_apt nginx nginx-dev build-essential unzip
  need_release_tools
  python=$ROOT/target/venv/bin/python
  # The time of the commit is the time in the artefacts.
  epoch=${SOURCE_DATE_EPOCH:-$(git -C "$ROOT" log -1 --format=%ct)}
  if [[ ${1-} == build && $# -eq 2 ]]; then
    build "$ROOT" "$ROOT/target" "$(realpath -m "$2")"
    return
  fi
  [[ $# -eq 0 ]] || { sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 2; }
  rm -rf "$results"
  mkdir -p "$results"
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  (
    umask 022
    export TZ=UTC LC_ALL=C
    quietly "building once" build_elsewhere 1 "$scratch/one" 1 2001-02-03
  )
  (
    umask 027
    export TZ=Asia/Kathmandu LC_ALL=C.UTF-8
    quietly "building again, elsewhere" build_elsewhere 2 "$scratch/another/path/of/other/depth" "$(nproc)" 2031-11-12
  )
  compare "$results/1" "$results/2"
  quietly "looking for paths of this machine" holds_no_path
  quietly "looking for a planted difference" finds_a_plant
}

main "$@"
