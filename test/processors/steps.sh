# SPDX-License-Identifier: MIT
# The tests on other processors, by qemu's emulation of their programs: s390x, which is big-endian,
# and aarch64.
#   sh test/run.sh processors [s390x] [aarch64]      default: both
#
# Cross-compiles with Debian's compilers against Debian's libraries for that processor, which are
# downloaded and unpacked in build/processors. System calls are the machine's own, except those of
# io_uring, which qemu does not pass on: the pool and the memory backend run, and the ring's probe
# says why it can't.

# shellcheck shell=sh disable=SC2034,SC2154 # variables that test/run.sh sets or reads

faults="system calls that fail"
default="s390x aarch64"
libraries="libuv1-dev libuv1 libjansson-dev libjansson4 libcmocka-dev libcmocka0"
libraries="$libraries liburing-dev liburing2"

# choose PROCESSOR: sets the variables of a processor. Returns 1 with the reason in $why.
choose() {
  case $1 in
    s390x) architecture=s390x ;;
    aarch64) architecture=arm64 ;;
  esac
  triple=$1-linux-gnu binary=$root/$folder/$1 sysroot=$root/$folder/$1-sysroot
  statx=$root/$folder/$1-statx.so
  if ! emulator=$(command -v "qemu-$1-static" || command -v "qemu-$1"); then
    why="qemu-$1 is not installed"
    return 1
  fi
  command -v "$triple-gcc" >/dev/null || { why="$triple-gcc is not installed"; return 1; }
  suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  # shellcheck disable=SC2086
  if ! debian_begin "$root/$folder/cache" "$suite" "$architecture" ||
    ! debian_unpack "$sysroot" $libraries; then
    why=$debian_why
    return 1
  fi
}

# The C library is the cross compiler's, below /usr/TRIPLE, and the emulator looks for it there.
cross_build() {
  PKG_CONFIG_LIBDIR=$sysroot/usr/lib/$triple/pkgconfig PKG_CONFIG_SYSROOT_DIR=$sysroot \
    cmake -S . -B "$binary" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DUVDIO_BUILD_TESTS=ON \
    -DUVDIO_INSTALL=OFF -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR="$1" \
    -DCMAKE_C_COMPILER="$triple-gcc" \
    -DCMAKE_CROSSCOMPILING_EMULATOR="$emulator;-L;/usr/$triple;-E;LD_PRELOAD=$statx" &&
    "$triple-gcc" -D_GNU_SOURCE -Wall -Wextra -Werror -shared -fPIC -o "$statx" \
      test/processors/statx.c &&
    cmake --build "$binary" -j "$(job_count)"
}

run_processor() {
  if ! choose "$1"; then
    leave_out "$1" "$why"
    return
  fi
  if ! cross_build "$1" >"$binary.build.log" 2>&1; then
    echo "Building for $1 failed. The end of $binary.build.log:"
    tail -n 40 "$binary.build.log"
    failed=$((failed + 1))
    return
  fi
  "$emulator" -L "/usr/$triple" -E "LD_PRELOAD=$statx" "$binary/uvdio" probe . |
    sed -n '/^uvdio/p;/^Backends/,/^$/p'
  # sim_replay is a script, which calls the program without the emulator.
  ctest --test-dir "$binary" -V -j "$(job_count)" -L '^(unit|contract|sim)$' -E '^sim_replay$' \
    >"$binary.log" 2>&1
  count_log "$1" "$folder/$1.log"
  print_reasons
}

run_steps() {
  . test/lib/debian.sh
  each run_processor
}
