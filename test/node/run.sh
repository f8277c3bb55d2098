#!/bin/sh
# SPDX-License-Identifier: MIT
# The npm package, as its users get it: packed, its content checked, installed from the archive,
# which compiles it, and tested there by node --test.
#   run.sh SCRATCH [NODE...]
#
# SCRATCH is a directory; what is made in it is removed. NODE: executables of Node.js, each of which
# compiles the package anew; the `node` in PATH where none is given. Fetches nothing. Prints TAP.
# Exit status: 0, 1 where something failed, 77 where Node.js, npm or a C compiler are missing.
set -eu

tests=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$tests/../.." && pwd)

skip() {
  echo "SKIP: $*"
  exit 77
}

die() {
  echo "node: $*" >&2
  exit 1
}

[ $# -gt 0 ] || die "usage: run.sh SCRATCH [NODE...]"
scratch=$1
shift
for program in node npm "${CC:-cc}"; do
  command -v "$program" >/dev/null 2>&1 || skip "$program is not installed"
done
[ $# -gt 0 ] || set -- "$(command -v node)"

mkdir -p "$scratch"
work=$(mktemp -d "$(cd "$scratch" && pwd)/node.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
export npm_config_cache="$work/cache" npm_config_offline=true npm_config_audit=false \
  npm_config_fund=false npm_config_update_notifier=false

# A copy, so that packing changes nothing in the tree.
copy_tree() {
  mkdir -p "$work/tree/cmake"
  cp -R "$root/include" "$root/src" "$root/LICENSE" "$work/tree"
  cp "$root/cmake/library.cmake" "$work/tree/cmake"
  rm -rf "$work/tree/src/node/build" "$work/tree/src/node/vendor"
}

# All that building takes is there, and nothing else.
check_content() {
  tar -tzf "$archive" | sed 's|^package/||' | LC_ALL=C sort >"$work/content"
  for name in index.js index.d.ts package.json README.md build.js lib/file.js addon/module.c \
    addon/exports.map vendor/LICENSE vendor/cmake/library.cmake vendor/include/uvdio.h \
    vendor/src/engine.c vendor/src/ring/ring.c; do
    grep -qx "$name" "$work/content" || die "$name is not in the package"
  done
  unwanted=$(grep -Evx -e 'index\.(js|d\.ts)|package\.json|README\.md|build\.js|vendor/LICENSE' \
    -e 'lib/[a-z_]*\.js|addon/[a-z_]*\.(c|h|map)|vendor/cmake/library\.cmake' \
    -e 'vendor/(include|src)/[a-z0-9_/]*\.(h|hpp|c)' "$work/content" || true)
  [ -z "$unwanted" ] || die "what is this in the package? $unwanted"
  ! grep -Eq '^vendor/src/(cli|examples|tools|node)/' "$work/content" || die "programs are packed"
  echo "ok - the package has $(wc -l <"$work/content" | tr -d ' ') files"
}

# package.json and the header tell the same version.
check_version() {
  number() { sed -n "s/^#define UVDIO_VERSION_$1 //p" "$root/include/uvdio/version.h"; }
  version=$(number MAJOR).$(number MINOR).$(number PATCH)
  grep -q "\"version\": \"$version\"" "$root/src/node/package.json" ||
    die "package.json has another version than include/uvdio/version.h, $version"
  echo "ok - package.json has the version of the library"
}

pack() {
  (cd "$work/tree/src/node" && npm pack --pack-destination "$work") >"$work/pack.log" 2>&1 ||
    { cat "$work/pack.log"; die "npm pack failed"; }
  archive=$(echo "$work"/uvdio-*.tgz)
  [ ! -e "$work/tree/src/node/vendor" ] || die "npm pack left its copies behind"
}

# npm is run by the Node that is tested, whose headers the package has to find. Some npm run no
# install scripts of packages that nobody has approved: `npm rebuild` is what the README names.
install_package() {
  app=$work/app
  rm -rf "$app"
  mkdir -p "$app/bin"
  ln -s "$1" "$app/bin/node"
  cp "$tests"/*.mjs "$app"
  (
    cd "$app"
    echo '{ "private": true }' >package.json
    PATH=$app/bin:$PATH
    npm install --foreground-scripts "$archive" || exit 1
    [ -e node_modules/uvdio/build/uvdio.node ] || npm rebuild --foreground-scripts uvdio
    [ -e node_modules/uvdio/build/uvdio.node ]
  ) >"$app/install.log" 2>&1 || { cat "$app/install.log"; die "npm install failed"; }
  sed -n 's/^uvdio: built .*node, /# built with /p' "$app/install.log"
}

# The tests' files lie there.
check_direct() {
  (cd "$app" && "$1" -e "require('uvdio').open('probe', 'w').then((fh) => fh.close(), (error) => {
    process.exitCode = error.code === 'UVDIO_ENODIRECT' ? 77 : 1;
    console.error(error.message);
  })") && return
  [ $? -ne 77 ] || skip "the filesystem of $scratch has no direct I/O"
  die "no file could be opened in $app"
}

failed=0
copy_tree
check_version
pack
check_content
for node; do
  echo "# Node.js $("$node" --version)"
  install_package "$node"
  check_direct "$node"
  (cd "$app" && "$node" --expose-gc --test --test-reporter=tap ./*.test.mjs) || failed=1
  left=$(cd "$app" && find . -maxdepth 1 -name 'files-*')
  [ -z "$left" ] || die "tests left files behind: $left"
done
exit "$failed"
