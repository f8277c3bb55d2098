#!/bin/sh
# SPDX-License-Identifier: MIT
# Fuzzes the library and the command for a while.
#   sh test/fuzz/run.sh [--afl] [SECONDS [TARGET...]]
#
#   SECONDS   of each target; 60 where not told. Hours: sh test/fuzz/run.sh 14400
#   TARGET    operations, cli; both where not told
#   --afl     by AFL++ instead of clang's libFuzzer
#
# What is interesting gathers in build/fuzz/corpus-TARGET (with --afl in build/fuzz-afl) and is the
# start of the next run. What broke something is kept in findings-TARGET next to it; to see it
# again: build/fuzz/test/fuzz_TARGET FILE UVDIO_FUZZ_BACKEND=ring or pool takes another backend than
# memory, for operations; files are then in the build directory. Exit status: 0 nothing found, 1
# something, 77 no fuzzer here.
set -u
cd "$(dirname "$0")/../.." || exit 2
. cmake/common.sh

afl=no
[ "${1:-}" != --afl ] || { afl=yes; shift; }
seconds=${1:-60}
[ $# -eq 0 ] || shift
targets=${*:-operations cli}

skip() { echo "SKIP: $1"; exit 77; }

if [ "$afl" = yes ]; then
  directory=build/fuzz-afl
  command -v afl-clang-fast >/dev/null && command -v afl-fuzz >/dev/null ||
    skip "AFL++ is not installed"
  mkdir -p build
  { cmake --preset fuzz -B $directory -DCMAKE_C_COMPILER=afl-clang-fast -DUVDIO_SANITIZE= &&
    cmake --build $directory -j "$(job_count)" --target fuzz_operations fuzz_cli; } \
    >build/fuzz-afl.log 2>&1 ||
    { tail -n 40 build/fuzz-afl.log; exit 1; }
else
  directory=build/fuzz
  probe=$(mktemp -d)
  echo 'int LLVMFuzzerTestOneInput(const char* b, unsigned long n) { return b == 0 && n > 1; }' \
    >"$probe/probe.c"
  clang -fsanitize=fuzzer,address,undefined "$probe/probe.c" -o "$probe/probe" 2>/dev/null
  status=$?
  rm -rf "$probe"
  [ $status -eq 0 ] || skip "clang with libFuzzer is not installed"
  build_preset fuzz build/fuzz-build.log || exit 1
fi

# Kernels with much address space randomisation break the sanitizers of older compilers at start-up.
quietly() {
  if setarch "$(uname -m)" -R true 2>/dev/null; then setarch "$(uname -m)" -R "$@"; else "$@"; fi
}

# with_libfuzzer TARGET: prints what it did; 1 where it found something.
with_libfuzzer() {
  mkdir -p "corpus-$1" "findings-$1"
  if ! quietly "test/fuzz_$1" -max_total_time="$seconds" -max_len=1024 -timeout=20 \
    -artifact_prefix="findings-$1/" "corpus-$1" "../../test/fuzz/corpus/$1" >"fuzz-$1.log" 2>&1
  then
    tail -n 40 "fuzz-$1.log"
    return 1
  fi
  grep '^Done' "fuzz-$1.log"
}

with_afl() {
  AFL_SKIP_CPUFREQ=1 AFL_NO_COLOR=1 AFL_NO_UI=1 AFL_AUTORESUME=1 \
    AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 afl-fuzz -V "$seconds" \
    -i "../../test/fuzz/corpus/$1" -o "findings-$1" -- "test/fuzz_$1" >"fuzz-$1.log" 2>&1 ||
    { tail -n 20 "fuzz-$1.log"; return 1; }
  sed -n 's/^\(execs_done\|saved_crashes\|saved_hangs\) *: /\1 /p' \
    "findings-$1/default/fuzzer_stats"
  ! ls "findings-$1/default/crashes/"id* >/dev/null 2>&1
}

found=0
cd "$directory" || exit 1
for target in $targets; do
  say "fuzz_$target, $seconds s"
  case $afl in
    no) with_libfuzzer "$target" ;;
    yes) with_afl "$target" ;;
  esac || { echo "fuzz_$target found something: $directory/findings-$target"; found=1; }
done
exit $found
