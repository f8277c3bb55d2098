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

folder=build/versions
passed=0 failed=0 skipped=0 ran=

for release; do
  case $release in
    here | next | testing | unstable) ;;
    *) head_comment test/versions/run.sh; exit 2 ;;
  esac
done
[ $# -gt 0 ] || set -- here next testing unstable

finish() {
  echo "LAYER versions|${ran:-none}: $passed passed, $skipped skipped|those of the fault tests|$failed"
  [ "$failed" -eq 0 ] || exit 1
  [ -n "$ran" ] || exit 77
  exit 0
}

leave_out() {
  echo "$1: left out: $2"
  skipped=$((skipped + 1))
}

# in_release COMMAND...: runs it in the release that is under test.
in_release() {
  if [ "$suite" = here ]; then "$@"; else chroot_run "$@"; fi
}

# What is to be seen of the versions, on one line.
versions() {
  # The words are expanded by the inner shell.
  # shellcheck disable=SC2016
  in_release sh -c 'echo "libuv $(pkg-config --modversion libuv), liburing $(pkg-config --modversion liburing)," \
    "$("$1" --version | head -n 1)"' sh "$1"
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
  if ! in_release sh -c ". cmake/common.sh && build_preset $preset build/$preset-build.log -DCMAKE_C_COMPILER=$1"; then
    failed=$((failed + 1))
    return
  fi
  in_release ctest --preset "$preset" -V -j "$(job_count)" >"$log" 2>&1
  counts=$(awk -v pass="$name" -v reasons="$reasons" -v log_name="$log" -f cmake/count.awk "$log")
  echo "$counts" | sed '$d'
  ran="$ran${ran:+, }$name"
  # The last line that count.awk prints is for us: three numbers.
  # shellcheck disable=SC2046
  set -- $(echo "$counts" | tail -n 1)
  passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}

run_release() {
  suite=here
  if [ "$1" != here ]; then
    suite=$(chroot_suite "$1")
    [ -n "$suite" ] || { leave_out "$1" "apt knows no such release, or its mirror can't be reached"; return; }
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
sort "$reasons" | uniq -c | sort -rn
echo
finish
