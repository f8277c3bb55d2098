#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds and tests uvdio. Needs nothing but a shell and the system's package manager.
#   sh cmake/check.sh [--quick] [--tsan] [--valgrind] [--long]
#
# Passes: dev (debug build), lint (layout, columns, licence lines, layers, clang-tidy,
# documentation), asan (address and undefined behaviour sanitizers), no-uring (Linux: without the
# io_uring backend; what of its unit, contract and package tests could tell), next (debug build in
# the distribution's next release, which debootstrap makes in build/, and demo.sh there), musl
# (against musl, by musl-gcc; without what is long and asks little of a C library), m32 (compiles
# for 32 bits), guard (instructions and system calls per operation, optimised), fuzz (a minute,
# where clang has libFuzzer).
# dev runs every test in full; the others, on the same machine, run a sample of those that are
# random, exhaustive or about filesystems.
#
#   --quick      dev and lint only
#   --tsan       the thread sanitizer as well
#   --valgrind   the contract tests under valgrind as well
#   --long       the layers of test/layers.txt as well, which take some hours, and a table: layer,
#                amount, faults, failures
#   --help       this text
#
# Each pass prints what every layer of its tests did: cases, requests, injected faults, power cuts,
# ... Counts are of test cases, over all passes. The last line is "N passed, N failed, N skipped";
# the exit status is 0 where something passed and nothing failed. UVDIO_BACKEND in the environment
# reaches the tests.
set -u

cd "$(dirname "$0")/.." || exit 2
. cmake/common.sh
. test/lib/chroot.sh

long=no
passes="dev lint asan"
[ "$(uname -s)" != Linux ] || passes="$passes no-uring next musl m32"
fuzz_seconds=20 # of each of the three targets
for option; do
  case $option in
    --quick) passes="dev lint" fuzz_seconds=0 ;;
    --tsan | --valgrind) ;;
    --long) long=yes ;;
    -h | --help) head_comment cmake/check.sh; exit 0 ;;
    *)
      echo "check.sh: $option is unknown; sh cmake/check.sh --help tells what there is" >&2
      exit 2
      ;;
  esac
done
for option; do # after --quick, wherever that stood
  case $option in
    --tsan | --valgrind) passes="$passes ${option#--}" ;;
  esac
done

passed=0 failed=0 skipped=0
reasons=build/check-reasons.txt

# Prints the last line of all and ends.
finish() {
  echo
  echo "$passed passed, $failed failed, $skipped skipped"
  [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
  exit $?
}

# run_pass PRESET: builds and tests, prints one line of counts, the reasons of skips and the output
# of what failed, and adds to the totals.
run_pass() {
  say "$1"
  why=$(obstacle "$1")
  [ -z "$why" ] || { leave_out "$1" "$why"; return; }
  sample=
  case $1 in asan | no-uring) sample=-DUVDIO_TEST_SAMPLE=ON ;; esac
  if ! build_preset "$1" "build/check-$1-build.log" $sample; then
    failed=$((failed + 1))
    return
  fi
  set -- "$1" ctest --preset "$1" -V -j "$(test_count)"
  # The memory backend, a file's other handles, classes and vectors know no ring.
  [ "$1" != no-uring ] || set -- "$@" -L '^(unit|contract|package)$' \
    -E '\.memory|\.(pieces|classes|dup)$|^package_libuv$'
  count_tests "$@"
}

# leave_out PASS REASON
leave_out() {
  echo "$1: left out: $2"
  echo "$1: $2" >>"$reasons"
  skipped=$((skipped + 1))
}

# count_tests PASS CTEST...: runs the tests and adds to the totals.
count_tests() {
  log=build/check-$1.log
  pass=$1
  shift
  case $pass in
    asan | tsan) without_aslr "$@" >"$log" 2>&1 ;;
    *) "$@" >"$log" 2>&1 ;;
  esac
  counts=$(awk -v pass="$pass" -v reasons="$reasons" -v log_name="$log" -f cmake/count.awk "$log")
  echo "$counts" | sed '$d'
  # The last line that count.awk prints is for us: three numbers.
  # shellcheck disable=SC2046
  set -- $(echo "$counts" | tail -n 1)
  passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}

# count_case PASS LOG STATUS: one test that is a command.
count_case() {
  case $3 in
    0) passed=$((passed + 1)); echo "$1: passed" ;;
    77)
      skipped=$((skipped + 1))
      sed -n 's/^SKIP: //p' "$2" | tee -a "$reasons" | sed "s/^/$1: left out: /" ;;
    *) failed=$((failed + 1)); echo "$1: failed. The end of $2:"; tail -n 40 "$2" ;;
  esac
}

# lint_case NAME PROGRAM COMMAND...: a check of the sources, left out where PROGRAM is not there.
lint_case() {
  log=build/check-lint-$1.log name=$1
  if command -v "$2" >/dev/null; then
    shift 2
    "$@" >"$log" 2>&1
  else
    echo "SKIP: $2 is not installed" >"$log"
    (exit 77)
  fi
  count_case "lint, $name" "$log" $?
}

# What can be said of the sources without running them. Layers, tidy and docs take the build of dev.
run_lint() {
  say "lint"
  before=$failed
  lint_case layout sh sh cmake/format.sh --check
  # A line that clang-format would break says nothing new.
  [ "$failed" -gt "$before" ] || lint_case columns sh sh cmake/text.sh columns
  lint_case licence sh sh cmake/text.sh licence
  lint_case layers python3 python3 cmake/layers.py build/dev
  lint_case layers-planted python3 python3 cmake/layers.py --self-test
  lint_case tidy sh sh cmake/tidy.sh build/dev
  lint_case docs doxygen sh test/docs/run.sh build/dev
  sed -n '/^man uvdio_write:/,$p' build/check-lint-docs.log
}

# In the distribution's next release, with all that it brings: other versions of everything.
run_next() {
  say "next, the distribution's next release"
  suite=$(chroot_suite next)
  if [ -z "$suite" ]; then
    leave_out next "there is no next release, or its mirror can't be reached"
    return
  fi
  chroot_begin "$suite" || { leave_out next "$chroot_why"; return; }
  chroot_setup || { leave_out next "$chroot_why"; return; }
  echo "next is $suite"
  if ! chroot_run sh -c '. cmake/common.sh
    build_preset dev build/build.log -DUVDIO_TEST_SAMPLE=ON'; then
    failed=$((failed + 1))
    return
  fi
  count_tests next chroot_run ctest --preset dev -V -j "$(test_count)"
  chroot_run sh cmake/demo.sh >build/check-next-demo.log 2>&1
  count_case "next, demo.sh" build/check-next-demo.log $?
}

run_musl() {
  say "musl"
  sh test/musl/build.sh >build/check-musl-build.log 2>&1
  code=$?
  count_case "musl, build" build/check-musl-build.log "$code"
  [ "$code" -eq 0 ] || return
  # Its faults would reach the calls of a libuv that is linked statically, which ends the process
  # then.
  leave_out "musl, fault_sweep" "libuv is linked statically"
  # Its CMake package of libuv is the system's, whose headers are another C library's.
  leave_out "musl, package_libuv" "the libuv of musl has no CMake package"
  count_tests musl env PKG_CONFIG_LIBDIR="$PWD/build/musl/root/lib/pkgconfig" \
    ctest --test-dir build/musl/dev -V -j "$(test_count)" \
    -E '^(fault_sweep|package_libuv|crash|cli_copy|sim)'
}

# Compiles, and no more: there are no libraries to link with. All that is optional is taken as on
# this system.
run_m32() {
  say "m32"
  log=build/check-m32.log
  if ! can_link -m32; then
    leave_out m32 "the compiler makes no 32-bit programs (gcc-multilib)"
    return
  fi
  cmake -S . -B build/m32 -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS=-m32 \
    -DUVDIO_BUILD_TESTS=ON \
    -DCMAKE_C_LINK_EXECUTABLE=true >"$log" 2>&1 &&
    cmake --build build/m32 -j "$(job_count)" \
      --target uvdio_static uvdio_testlib uvdio_cli uvdio_bench >>"$log" 2>&1
  count_case "m32, library and programs compile" "$log" $?
}

# The bounds on instructions and system calls per operation, of optimised code: one test.
run_guard() {
  say "guard, optimised"
  log=build/check-guard-build.log
  if ! build_preset release $log -DUVDIO_BUILD_TESTS=OFF -DUVDIO_BUILD_DOCS=OFF; then
    failed=$((failed + 1))
    return
  fi
  if ! cmake --build --preset release -j "$(job_count)" --target uvdio_bench >>"$log" 2>&1; then
    failed=$((failed + 1))
    tail -n 60 "$log"
    return
  fi
  log=build/check-guard.log
  sh test/bench/guard.sh build/release/uvdio-bench build/guard Release >"$log" 2>&1
  code=$?
  [ "$code" -ne 0 ] || cat "$log"
  count_case guard "$log" "$code"
}

# A while of fuzzing, each target being one test.
run_fuzz() {
  for target in operations log cli; do
    log=build/check-fuzz-$target.log
    sh test/run.sh fuzz "$fuzz_seconds" $target >"$log" 2>&1
    case $? in
      0) passed=$((passed + 1)); grep -v '^LAYER' "$log" ;;
      77) leave_out fuzz "$(sed -n 's/^fuzz: left out: //p' "$log")" ;;
      *) failed=$((failed + 1)); tail -n 40 "$log" ;;
    esac
  done
}

# run_layer NAME: runs one of the long layers. Its output goes to a file, its table line to $layers.
run_layer() {
  layer=$1
  say "$layer (build/long-$layer.log)"
  sh test/run.sh "$layer" >"build/long-$layer.log" 2>&1 </dev/null
  code=$?
  grep ' left out: ' "build/long-$layer.log"
  [ "$code" -eq 0 ] || [ "$code" -eq 77 ] || tail -n 40 "build/long-$layer.log"
  line=$(sed -n "s/^LAYER $layer|//p" "build/long-$layer.log" | tail -n 1)
  # A layer that ended before it printed its line has failed.
  echo "$layer|${line:-nothing: it ended with $code||1}" >>"$layers"
  case $code in
    0) passed=$((passed + 1)) ;;
    77) skipped=$((skipped + 1)); echo "the layer $layer can't run here" >>"$reasons" ;;
    *) failed=$((failed + 1)) ;;
  esac
}

run_layers() {
  layers=build/long-layers.txt
  : >"$layers"
  export UVDIO_FUZZ_SECONDS="${UVDIO_FUZZ_SECONDS:-3600}"
  while read -r name _; do
    case $name in '' | '#'*) ;; *) run_layer "$name" ;; esac
  done <test/layers.txt
  say "Layers"
  awk -F '|' '
    BEGIN {
      row = "%-12s  %-9s  %s\n%-12s  %-9s  faults: %s\n"
      printf "%-12s  %-9s  %s\n", "layer", "failures", "amount"
    }
    { printf row, $1, $4, $2, "", "", $3 == "" ? "none" : $3 }' "$layers"
}

mkdir -p build
: >"$reasons"

say "Looking for what building and testing need"
if [ "$long" = yes ]; then
  sh cmake/setup.sh --long || finish
else
  sh cmake/setup.sh || finish
fi

run() {
  case $1 in
    lint | next | musl | m32 | guard | fuzz) "run_$1" ;;
    *) run_pass "$1" ;;
  esac
}

[ "$fuzz_seconds" -eq 0 ] || passes="$passes guard fuzz"
for pass_name in $passes; do
  began=$(date +%s)
  run "$pass_name"
  echo "$pass_name took $(($(date +%s) - began)) s"
done
[ "$long" = no ] || run_layers

if [ -s "$reasons" ]; then
  say "Why tests were skipped (count, reason)"
  sort "$reasons" | uniq -c | sort -rn
fi
finish
