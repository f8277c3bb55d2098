#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the project and its tests against musl, in build/musl/dev, by musl-gcc (the package
# musl-tools).
#   sh test/musl/build.sh
#
# What it stands on (libuv, liburing, jansson, cmocka) is built statically from the distribution's
# sources into build/musl/root, and stays for the next time; the kernel's headers are the system's.
# FUSE is left out. Exit status: 0 built, 77 it can't be had (a line "SKIP: reason" says why),
# anything else: it does not build.
set -u

cd "$(dirname "$0")/../.." || exit 1
. cmake/common.sh
. test/lib/debian.sh

folder=$PWD/build/musl
root=$folder/root

skip() {
  echo "SKIP: musl: $*"
  exit 77
}

command -v musl-gcc >/dev/null || skip "musl-gcc is not installed (musl-tools)"
multiarch=$(gcc -print-multiarch 2>/dev/null)
[ -d "/usr/include/linux" ] && [ -d "/usr/include/$multiarch/asm" ] ||
  skip "the kernel's headers are not where they are looked for"

# Prints the folder of a package's source, without the distribution's changes.
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
    -DCMAKE_C_COMPILER=musl-gcc -DCMAKE_C_FLAGS="-isystem $root/include" \
    -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_INSTALL_PREFIX="$root" \
    -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DBUILD_SHARED_LIBS=OFF \
    -DCMAKE_POLICY_VERSION_MINIMUM=3.5 "$@" &&
    cmake --build "$folder/source/$package/build" -j "$(job_count)" &&
    cmake --install "$folder/source/$package/build"
}

build_liburing() {
  (
    cd "$folder/source/liburing" &&
      ./configure --cc="musl-gcc -isystem $root/include" --prefix="$root" &&
      make -C src ENABLE_SHARED=0 CFLAGS="-O2 -fPIC -D_GNU_SOURCE" install && make liburing.pc &&
      install -D -m 644 liburing.pc "$root/lib/pkgconfig/liburing.pc"
  )
}

# Only static libraries, by the names under which pkg-config's files look for them.
only_static() {
  rm -f "$root"/lib/*.so "$root"/lib/*.so.*
  for name in uv_a:uv cmocka-static:cmocka; do
    [ ! -e "$root/lib/lib${name%:*}.a" ] ||
      mv "$root/lib/lib${name%:*}.a" "$root/lib/lib${name#*:}.a"
  done
}

build_root() {
  mkdir -p "$root/include"
  ln -sfn /usr/include/linux "$root/include/linux"
  ln -sfn /usr/include/asm-generic "$root/include/asm-generic"
  ln -sfn "/usr/include/$multiarch/asm" "$root/include/asm"
  build_liburing &&
    build_by_cmake libuv1 -DLIBUV_BUILD_TESTS=OFF -DLIBUV_BUILD_BENCH=OFF &&
    build_by_cmake jansson -DJANSSON_BUILD_DOCS=OFF -DJANSSON_WITHOUT_TESTS=ON \
      -DJANSSON_EXAMPLES=OFF &&
    build_by_cmake cmocka -DWITH_STATIC_LIB=ON -DWITH_EXAMPLES=OFF -DUNIT_TESTING=OFF &&
    only_static && : >"$root/whole"
}

if [ ! -e "$root/whole" ]; then
  rm -rf "$root"
  suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  debian_begin "$folder" "$suite" "$(dpkg --print-architecture 2>/dev/null)" || skip "$debian_why"
  for package in liburing libuv1 jansson cmocka; do
    unpack "$package"
  done
  build_root || exit 1
fi

export PKG_CONFIG_LIBDIR="$root/lib/pkgconfig"
cmake -S . -B "$folder/dev" -G Ninja \
  -DCMAKE_BUILD_TYPE=Debug -DUVDIO_BUILD_TESTS=ON -DUVDIO_TEST_FUSE=OFF -DUVDIO_TEST_SAMPLE=ON \
  -DUVDIO_WITH_RING=ON -DCMAKE_C_COMPILER=musl-gcc -DCMAKE_C_FLAGS="-isystem $root/include" &&
  cmake --build "$folder/dev" -j "$(job_count)"
