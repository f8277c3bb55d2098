#!/bin/sh
# SPDX-License-Identifier: MIT
# The tests with other versions of libuv, liburing and the compilers: those of this release of the
# distribution and, in trees that debootstrap makes (lib/chroot.sh), of its next, testing and
# unstable ones; each with gcc and with clang.
#   sh test/versions/run.sh [here] [next] [testing] [unstable]      default: all
#
# Exit status: 0 nothing failed, 1 something did, 77 nothing could run. The last line is for
# cmake/check.sh --long.
set -u

cd "$(dirname "$0")/../.." || exit 1
. cmake/common.sh
. test/lib/chroot.sh
. test/lib/layer.sh

layer=versions faults="those of the fault tests"
folder=build/versions

for release; do
  case $release in
    here | next | testing | unstable) ;;
    *) head_comment test/versions/run.sh; exit 2 ;;
  esac
done
[ $# -gt 0 ] || set -- here next testing unstable

# in_release COMMAND...: runs it in the release that is under test.
in_release() {
  if [ "$suite" = here ]; then "$@"; else chroot_run "$@"; fi
}

# What is to be seen of the versions, on one line.
versions() {
  # The words are expanded by the inner shell.
  # shellcheck disable=SC2016
  in_release sh -c 'echo "libuv $(pkg-config --modversion libuv)," \
    "liburing $(pkg-config --modversion liburing), $("$1" --version | head -n 1)"' sh "$1"
}

# run_compiler NAME: with the debug build. A compiler that a release lacks is not tested there.
run_compiler() {
  name=$suite-$1 log=$folder/$suite-$1.log
  preset=dev
  [ "$1" = gcc ] || preset=$1
  if ! in_release sh -c "command -v $1" >/dev/null; then
    leave_out "$suite, $1" "it is not installed there"
    return
  fi
  versions "$1"
  build="build_preset $preset build/$preset-build.log -DCMAKE_C_COMPILER=$1"
  if ! in_release sh -c ". cmake/common.sh && $build"; then
    failed=$((failed + 1))
    return
  fi
  in_release ctest --preset "$preset" -V -j "$(job_count)" >"$log" 2>&1
  count_log "$name" "$log"
}

run_release() {
  suite=here
  if [ "$1" != here ]; then
    suite=$(chroot_suite "$1")
    if [ -z "$suite" ]; then
      leave_out "$1" "apt knows no such release, or its mirror can't be reached"
      return
    fi
    chroot_begin "$suite" || { leave_out "$1" "$chroot_why"; return; }
    chroot_setup || { leave_out "$suite" "$chroot_why"; return; }
  fi
  run_compiler gcc
  run_compiler clang
}

mkdir -p "$folder"
reasons=$folder/reasons.txt
: >"$reasons"
for release; do
  printf '\n== %s\n' "$release"
  run_release "$release"
done
tell_reasons
echo
finish
