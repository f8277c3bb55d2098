#!/bin/sh
# SPDX-License-Identifier: MIT
# Finds libuv in the three ways that there are: as pkg-config's module (which run.sh tests), as a
# CMake package, and as a target that a parent project hands in. Called by CTest
# (cmake/package_test.cmake), which sets CMAKE, CMAKE_GENERATOR, CC, PKG_CONFIG and UVDIO_VERSION.
#   libuv.sh BUILD_DIR [CONFIG]
set -eu

here=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$here/../.." && pwd)
build=$1
config=${2:-}
subject=libuv
version=$UVDIO_VERSION
. "$here/common.sh"
work=$(mktemp -d "$build/libuv.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# run NAME COMMAND...: shows the output where the command fails.
run() {
  name=$1
  shift
  "$@" >"$work/log" 2>&1 || { cat "$work/log"; die "$name: failed: $*"; }
}

# expect_refusal NAME TEXT COMMAND...: it fails, and says TEXT. CMake breaks its messages.
expect_refusal() {
  name=$1 text=$2
  shift 2
  ! "$@" >"$work/log" 2>&1 || die "$name: was accepted"
  tr -s ' \n' '  ' <"$work/log" | grep -q -F -e "$text" ||
    { cat "$work/log"; die "$name: no '$text'"; }
  echo "libuv: $name: is refused"
}

include=$("$PKG_CONFIG" --variable=includedir libuv)
libdir=$("$PKG_CONFIG" --variable=libdir libuv)
library=
for candidate in "$libdir/libuv.so" "$libdir/libuv.dylib" "$libdir/libuv.a"; do
  [ -n "$library" ] || [ ! -e "$candidate" ] || library=$candidate
done
[ -n "$library" ] || die "there is no libuv in $libdir"

# pkg-config knows all but libuv in $work/none, and nothing in $work/nothing.
mkdir "$work/none" "$work/nothing"
for module in liburing libisal; do
  folder=$("$PKG_CONFIG" --variable=pcfiledir $module 2>/dev/null) || continue
  cp "$folder/$module.pc" "$work/none"
done
without_libuv() { env PKG_CONFIG_PATH='' PKG_CONFIG_LIBDIR="$work/none" "$@"; }

mkdir -p "$work/config/lib/cmake/libuv"
sed "s|@LIBUV_LIBRARY@|$library|; s|@LIBUV_INCLUDE@|$include|" "$here/libuvConfig.cmake.in" \
  >"$work/config/lib/cmake/libuv/libuvConfig.cmake"

# The build finds it as a CMake package ...
run "the build" without_libuv "$CMAKE" -S "$source" -B "$work/by-config" \
  -DUVDIO_BUILD_TESTS=OFF -DUVDIO_BUILD_CLI=OFF -DUVDIO_BUILD_EXAMPLES=OFF \
  -DCMAKE_PREFIX_PATH="$work/config"
grep -q 'libuv is libuv::uv$' "$work/log" || { cat "$work/log"; die "it was not libuv::uv"; }
echo "libuv: the build, by a CMake package: works"

# It takes no pkg-config at all, and says what is left out then.
run "the build" "$CMAKE" -S "$source" -B "$work/no-pkg-config" \
  -DUVDIO_BUILD_TESTS=OFF -DUVDIO_BUILD_CLI=OFF -DUVDIO_BUILD_EXAMPLES=OFF \
  -DCMAKE_DISABLE_FIND_PACKAGE_PkgConfig=ON -DCMAKE_PREFIX_PATH="$work/config"
grep -q 'no io_uring backend:' "$work/log" || { cat "$work/log"; die "it has an io_uring backend"; }
echo "libuv: the build, without pkg-config: works"

# ... and so does find_package(uvdio).
run "installing" "$CMAKE" --install "$build" --prefix "$work/prefix" ${config:+--config "$config"}
for shared in ON OFF; do
  name="find_package(uvdio), BUILD_SHARED_LIBS=$shared, by a CMake package"
  dir=$work/find-$shared
  run "$name" without_libuv "$CMAKE" -S "$here" -B "$dir" -DBUILD_SHARED_LIBS=$shared \
    -DEXPECT_VERSION="$UVDIO_VERSION" -DCMAKE_PREFIX_PATH="$work/prefix;$work/config"
  run "$name" "$CMAKE" --build "$dir"
  expect_version "$name" "$dir/consumer"
done

# embed NAME EMBED_BY LIBUV BUILD_SHARED_LIBS: $dir/consumer is built without any other libuv.
embed() {
  dir=$work/$2-$3
  run "$1" without_libuv "$CMAKE" -S "$here/embed" -B "$dir" -DUVDIO_SOURCE="$source" \
    -DEMBED_BY="$2" -DLIBUV="$3" -DBUILD_SHARED_LIBS="$4" -DLIBUV_INCLUDE="$include" \
    -DLIBUV_LIBRARY="$library"
  run "$1" "$CMAKE" --build "$dir" -j 2
  expect_version "$1" "$dir/consumer"
  made=$(find "$dir" -name 'libuvdio.a' -o -name 'libuvdio.so' -o -name 'libuvdio.dylib')
  case $4:$made in
    ON:*libuvdio.a* | OFF:*libuvdio.so* | OFF:*libuvdio.dylib*)
      die "$1: the form that is not used is built, too: $made" ;;
  esac
}
embed "FetchContent, with the parent's libuv" FetchContent library OFF
case $library in
  *.so)
    embed "add_subdirectory, with headers only" add_subdirectory headers ON
    ! readelf -d "$dir"/uvdio/libuvdio.so | grep 'NEEDED.*libuv' ||
      die "a library that was built with headers only wants a libuv"
    ;;
  *) echo "libuv: left out: headers only: there is no libuv.so" ;;
esac

# What is wrong is told.
configure() {
  "$CMAKE" -S "$source" -B "$work/wrong" -DUVDIO_BUILD_TESTS=OFF -DUVDIO_BUILD_CLI=OFF \
    -DUVDIO_BUILD_EXAMPLES=OFF "$@"
}
expect_refusal "a target that is none" "UVDIO_LIBUV_TARGET is nobody, and there is no such target" \
  configure -DUVDIO_LIBUV_TARGET=nobody
rm -rf "$work/wrong"
expect_refusal "no libuv" "libuv >= 1.44 was not found" \
  env PKG_CONFIG_PATH='' PKG_CONFIG_LIBDIR="$work/nothing" \
  "$CMAKE" -S "$source" -B "$work/wrong" -DUVDIO_BUILD_TESTS=OFF -DUVDIO_BUILD_CLI=OFF \
  -DUVDIO_BUILD_EXAMPLES=OFF
mkdir -p "$work/old/uv"
cp "$include/uv.h" "$work/old"
cp -R "$include/uv/." "$work/old/uv"
sed 's/^#define UV_VERSION_MINOR .*/#define UV_VERSION_MINOR 43/' "$include/uv/version.h" \
  >"$work/old/uv/version.h"
expect_refusal "headers of libuv 1.43" "uvdio needs libuv 1.44 or later" \
  "$CC" -fsyntax-only -I"$work/old" -I"$source/include" "$here/consumer.c"
