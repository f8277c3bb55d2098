# SPDX-License-Identifier: MIT
# The tests with other versions of libuv, liburing and the compilers: those of this release of the
# distribution and, in trees that debootstrap makes (lib/chroot.sh), of its next, testing and
# unstable ones; each with gcc and with clang.
#   sh test/run.sh versions [here] [next] [testing] [unstable]      default: all

# shellcheck shell=sh disable=SC2034,SC2154 # variables that test/run.sh sets or reads

faults="those of the fault tests"
default="here next testing unstable"

# in_release COMMAND...: runs it in the release that is under test.
in_release() {
  if [ "$suite" = here ]; then "$@"; else chroot_run "$@"; fi
}

# Prints the versions on one line.
print_versions() {
  # The words are expanded by the inner shell.
  # shellcheck disable=SC2016
  in_release sh -c 'echo "libuv $(pkg-config --modversion libuv)," \
    "liburing $(pkg-config --modversion liburing), $("$1" --version | head -n 1)"' sh "$1"
}

# run_compiler NAME: with the debug build. A compiler that a release lacks is not tested there.
run_compiler() {
  results=$folder/$suite-$1.log
  preset=dev
  [ "$1" = gcc ] || preset=$1
  if ! in_release sh -c "command -v $1" >/dev/null; then
    leave_out "$suite, $1" "it is not installed there"
    return
  fi
  print_versions "$1"
  build="build_preset $preset build/$preset-build.log -DCMAKE_C_COMPILER=$1"
  if ! in_release sh -c ". cmake/common.sh && $build"; then
    failed=$((failed + 1))
    return
  fi
  in_release ctest --preset "$preset" -V -j "$(job_count)" >"$results" 2>&1
  count_log "$suite-$1" "$results"
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

run_steps() {
  . test/lib/chroot.sh
  each run_release
  print_reasons
}
