#!/bin/sh
# SPDX-License-Identifier: MIT
# The tests on other processors, by qemu's emulation of their programs: s390x, which is big-endian,
# and aarch64.
#   sh test/processors/run.sh [s390x] [aarch64]      default: both
#
# Cross-compiles with Debian's compilers against Debian's libraries for that processor, which are
# downloaded and unpacked in build/processors. System calls are the machine's own, but for
# io_uring's, which qemu does not pass on: the pool and the files in memory run, and the ring says
# why not. Exit status: 0 nothing failed, 1 something did, 77 no processor could be had. The last
# line is for cmake/check.sh --long.
set -u

cd "$(dirname "$0")/../.." || exit 1
. cmake/common.sh
. test/lib/debian.sh
. test/lib/layer.sh

layer=processors faults="system calls that fail"
folder=$PWD/build/processors
libraries="libuv1-dev libuv1 libjansson-dev libjansson4 libcmocka-dev libcmocka0"
libraries="$libraries liburing-dev liburing2"

for processor; do
  case $processor in
    s390x | aarch64) ;;
    *) head_comment test/processors/run.sh; exit 2 ;;
  esac
done
[ $# -gt 0 ] || set -- s390x aarch64

# choose PROCESSOR: sets what the rest needs to know of it. Returns 1 with the reason in $why.
choose() {
  case $1 in
    s390x) architecture=s390x ;;
    aarch64) architecture=arm64 ;;
  esac
  triple=$1-linux-gnu build=$folder/$1 sysroot=$folder/$1-sysroot
  if ! emulator=$(command -v "qemu-$1-static" || command -v "qemu-$1"); then
    why="qemu-$1 is not installed"
    return 1
  fi
  command -v "$triple-gcc" >/dev/null || { why="$triple-gcc is not installed"; return 1; }
  suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  # shellcheck disable=SC2086
  if ! debian_begin "$folder/cache" "$suite" "$architecture" ||
    ! debian_unpack "$sysroot" $libraries; then
    why=$debian_why
    return 1
  fi
}

# The C library is the cross compiler's, below /usr/TRIPLE, and the emulator looks for it there.
build() {
  PKG_CONFIG_LIBDIR=$sysroot/usr/lib/$triple/pkgconfig PKG_CONFIG_SYSROOT_DIR=$sysroot \
    cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DUVDIO_BUILD_TESTS=ON \
    -DUVDIO_INSTALL=OFF -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR="$1" \
    -DCMAKE_C_COMPILER="$triple-gcc" \
    -DCMAKE_CROSSCOMPILING_EMULATOR="$emulator;-L;/usr/$triple;-E;LD_PRELOAD=$folder/$1-statx.so" &&
    "$triple-gcc" -D_GNU_SOURCE -Wall -Wextra -Werror -shared -fPIC -o "$folder/$1-statx.so" \
      test/processors/statx.c &&
    cmake --build "$build" -j "$(job_count)"
}

run_processor() {
  if ! choose "$1"; then
    leave_out "$1" "$why"
    return
  fi
  if ! build "$1" >"$build.build.log" 2>&1; then
    echo "Building for $1 failed. The end of $build.build.log:"
    tail -n 40 "$build.build.log"
    failed=$((failed + 1))
    return
  fi
  "$emulator" -L "/usr/$triple" -E "LD_PRELOAD=$folder/$1-statx.so" "$build/uvdio" probe . |
    sed -n '/^uvdio/p;/^Backends/,/^$/p'
  reasons=$build.reasons.txt
  : >"$reasons"
  # sim_replay is a script, which calls the program without the emulator.
  ctest --test-dir "$build" -V -j "$(job_count)" -L '^(unit|contract|sim)$' -E '^sim_replay$' \
    >"$build.log" 2>&1
  count_log "$1" "build/processors/$1.log"
  tell_reasons
}

mkdir -p "$folder"
for processor; do
  printf '\n== %s\n' "$processor"
  run_processor "$processor"
done
echo
finish
