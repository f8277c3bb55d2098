#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the tests, the command and uvdio-bench as static programs, which run under any kernel and
# need nothing there.
#   sh test/kernels/build.sh FOLDER
# FOLDER/cache keeps downloads, FOLDER/static is the build, FOLDER/static.log its output. cmocka is
# built from its Debian source: its package has no static library. Exit status: 0 built, 1 failed,
# 77 something can't be had here (it says what).
set -u

cd "$(dirname "$0")/../.." || exit 1
. cmake/common.sh
. test/lib/debian.sh

mkdir -p "$1" || exit 1
folder=$(cd "$1" && pwd)
prefix=$folder/prefix
log=$folder/static.log

# describe NAME VERSION HEADERS: makes $prefix/lib/libNAME.a known to pkg-config.
describe() {
  archive=${1#lib}
  {
    printf 'Name: %s\nDescription: static\nVersion: %s\n' "$1" "$2"
    printf 'Libs: -L%s/lib -l%s -lpthread -ldl -lrt\n' "$prefix" "$archive"
    printf 'Cflags: -I%s\n' "$3"
  } >"$prefix/lib/pkgconfig/$1.pc"
}

# library NAME FILE...: takes the first of these files that the system has for its module NAME.
library() {
  name=$1 directory=$(pkg-config --variable=libdir "$1")
  shift
  for file; do
    if [ -e "$directory/$file" ]; then
      ln -sf "$directory/$file" "$prefix/lib/lib${name#lib}.a"
      describe "$name" "$(pkg-config --modversion "$name")" \
        "$(pkg-config --variable=includedir "$name")"
      return
    fi
  done
  echo "SKIP: $name has no static library in $directory"
  exit 77
}

# libuv's own calls are not to fail where the library's are made to: what lib/faults_system.c wraps
# is known to libuv's objects by the linker's name for what is not wrapped. That name is made good,
# for programs that wrap nothing, by a jump for each.
keep_libuv_unwrapped() {
  rm -rf "$folder/libuv"
  mkdir "$folder/libuv"
  (
    cd "$folder/libuv" || exit 1
    ar x "$(readlink -f "$prefix/lib/libuv.a")" || exit 1
    grep -o '__wrap_[a-z_0-9]*' "$OLDPWD/test/lib/faults_system.c" | sed 's/__wrap_//' |
      sort -u >wrapped
    for object in *.o; do
      nm --defined-only "$object" | awk '{ print $3 }' | grep -vxFf - wrapped |
        sed 's/.*/& __real_&/' >names
      objcopy --redefine-syms=names "$object" || exit 1
    done
    while read -r name; do
      {
        printf '.globl __real_%s\n.type __real_%s, @function\n' "$name" "$name"
        printf '__real_%s: jmp %s\n.section .note.GNU-stack\n' "$name" "$name"
      } >"real_$name.s"
      gcc -c "real_$name.s" || exit 1
    done <wrapped
    rm "$prefix/lib/libuv.a" && ar rcs "$prefix/lib/libuv.a" ./*.o
  )
}

fetch_cmocka() {
  suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  if ! debian_begin "$folder/cache" "$suite" "$(dpkg --print-architecture)" ||
    ! debian_source cmocka; then
    echo "SKIP: $debian_why"
    exit 77
  fi
  rm -rf "$folder/cmocka"
  mkdir "$folder/cmocka"
  tar -xf "$folder"/cache/sources/cmocka_*.orig.tar.xz -C "$folder/cmocka" --strip-components=1
}

# Versions before 1.1.6 have an option of their own for a static library, later ones go by CMake's.
build_cmocka() {
  cmake -S "$folder/cmocka" -B "$folder/cmocka/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DWITH_STATIC_LIB=ON -DBUILD_SHARED_LIBS=OFF -DWITH_EXAMPLES=OFF &&
    cmake --build "$folder/cmocka/build" &&
    cp "$(find "$folder/cmocka/build" -name 'libcmocka*.a' | head -n 1)" \
      "$prefix/lib/libcmocka.a" &&
    describe cmocka "$(pkg-config --modversion cmocka)" "$folder/cmocka/include"
}

build_tests() {
  PKG_CONFIG_PATH=$prefix/lib/pkgconfig cmake -S . -B "$folder/static" -G Ninja \
    -DCMAKE_BUILD_TYPE=Debug -DUVDIO_BUILD_TESTS=ON -DUVDIO_INSTALL=OFF -DUVDIO_TEST_FUSE=OFF \
    -DUVDIO_WITH_ISAL=OFF \
    -DCMAKE_EXE_LINKER_FLAGS=-static &&
    cmake --build "$folder/static" -j "$(job_count)" --target uvdio_programs
}

mkdir -p "$prefix/lib/pkgconfig"
library libuv libuv.a libuv_a.a
library liburing liburing.a
library jansson libjansson.a
[ -e "$prefix/lib/libcmocka.a" ] || fetch_cmocka
if ! { keep_libuv_unwrapped && { [ -e "$prefix/lib/libcmocka.a" ] || build_cmocka; } &&
  build_tests; } >"$log" 2>&1; then
  echo "Building static tests failed. The end of $log:"
  tail -n 40 "$log"
  exit 1
fi
