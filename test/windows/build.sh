#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the library and the tests for Windows, in build/windows/dev, by mingw-w64.
#   sh test/windows/build.sh
#
# What they stand on (libuv, cmocka) is built statically from the distribution's sources into
# build/windows/root, and stays for the next time. Exit status: 0 built, 77 it can't be had (a line
# "SKIP: reason" says why), anything else: it does not build.
set -u

cd "$(dirname "$0")/../.." || exit 1
. cmake/common.sh
. test/lib/debian.sh

folder=$PWD/build/windows
root=$folder/root
toolchain=$PWD/test/windows/mingw.cmake

skip() {
  echo "SKIP: windows: $*"
  exit 77
}

command -v x86_64-w64-mingw32-gcc >/dev/null || skip "mingw-w64 is not installed"

# Unpacks a package's source, without the distribution's changes.
unpack() {
  debian_source "$1" || skip "$debian_why"
  rm -rf "${folder:?}/source/$1"
  mkdir -p "$folder/source/$1"
  tar -C "$folder/source/$1" --strip-components 1 -xf "$folder/sources/$1"_*.orig.tar.?z
}

build_by_cmake() {
  package=$1
  shift
  cmake -S "$folder/source/$package" -B "$folder/source/$package/build" -G Ninja \
    -DCMAKE_TOOLCHAIN_FILE="$toolchain" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DCMAKE_INSTALL_PREFIX="$root" -DCMAKE_INSTALL_LIBDIR=lib -DBUILD_SHARED_LIBS=OFF \
    -DCMAKE_POLICY_VERSION_MINIMUM=3.5 "$@" &&
    cmake --build "$folder/source/$package/build" -j "$(job_count)" &&
    cmake --install "$folder/source/$package/build"
}

# Only static libraries, by the names under which pkg-config's files look for them.
only_static() {
  rm -f "$root"/lib/*.dll.a "$root"/bin/*.dll
  mv "$root/lib/libuv_a.a" "$root/lib/libuv.a" &&
    mv "$root/lib/libcmocka-static.a" "$root/lib/libcmocka.a"
}

build_root() {
  build_by_cmake libuv1 -DLIBUV_BUILD_TESTS=OFF -DLIBUV_BUILD_BENCH=OFF &&
    build_by_cmake cmocka -DWITH_STATIC_LIB=ON -DWITH_EXAMPLES=OFF -DUNIT_TESTING=OFF \
      -DCMAKE_C_FLAGS=-D__USE_MINGW_ANSI_STDIO=1 &&
    only_static && : >"$root/whole"
}

if [ ! -e "$root/whole" ]; then
  rm -rf "$root"
  suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  debian_begin "$folder" "$suite" "$(dpkg --print-architecture 2>/dev/null)" || skip "$debian_why"
  for package in libuv1 cmocka; do
    unpack "$package"
  done
  build_root || exit 1
fi

export PKG_CONFIG_LIBDIR="$root/lib/pkgconfig"
cmake -S . -B "$folder/dev" -G Ninja -DCMAKE_TOOLCHAIN_FILE="$toolchain" \
  -DCMAKE_BUILD_TYPE=Debug -DUVDIO_BUILD_TESTS=ON -DUVDIO_INSTALL=OFF \
  -DCMAKE_CROSSCOMPILING_EMULATOR=wine &&
  cmake --build "$folder/dev" -j "$(job_count)"
