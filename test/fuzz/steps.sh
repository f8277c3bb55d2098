# SPDX-License-Identifier: MIT
# Fuzzes the library, the files of its log, and the command.
#   sh test/run.sh fuzz [--afl] [SECONDS [TARGET...]]
#
#   SECONDS   of each target; default: UVDIO_FUZZ_SECONDS in the environment, else 60
#   TARGET    operations, on the memory backend; operations-aio and -ring, -polled, -pool, on real
#             files in the build directory; log; cli. Default: operations operations-aio log cli
#   --afl     by AFL++ instead of clang's libFuzzer
#
# Inputs that reach new code gather in build/fuzz/corpus-TARGET (with --afl in build/fuzz-afl), from
# which the next run starts. Inputs that break something are kept in findings-TARGET beside it; to
# repeat one: build/fuzz/test/fuzz_operations FILE, with UVDIO_FUZZ_BACKEND=aio and so on in the
# environment for the other backends.

# shellcheck shell=sh disable=SC2034,SC2154 # variables that test/run.sh sets or reads

faults="bad arguments, closes and cancels at any moment; forged files of logs, power cuts"
amount=

parse() {
  has_afl=no
  [ "${1:-}" != --afl ] || { has_afl=yes folder=build/fuzz-afl; shift; }
  seconds=${1:-${UVDIO_FUZZ_SECONDS:-60}}
  [ $# -eq 0 ] || shift
  targets=${*:-operations operations-aio log cli}
}

describe() { echo "$amount"; }

# Prints what is lacking for the fuzzer; nothing where it can run.
fuzzer_obstacle() {
  if [ "$has_afl" = yes ]; then
    command -v afl-clang-fast >/dev/null && command -v afl-fuzz >/dev/null ||
      echo "AFL++ is not installed"
    return
  fi
  probe=$folder/probe
  echo 'int LLVMFuzzerTestOneInput(const char* b, unsigned long n) { return b == 0 && n > 1; }' \
    >"$probe.c"
  clang -fsanitize=fuzzer,address,undefined "$probe.c" -o "$probe" 2>/dev/null ||
    echo "clang with libFuzzer is not installed"
  rm -f "$probe" "$probe.c"
}

build_fuzzers() {
  [ "$has_afl" = yes ] || { build fuzz; return; }
  log=$folder/build.log
  { cmake --preset fuzz -B "$folder" -DCMAKE_C_COMPILER=afl-clang-fast -DUVDIO_SANITIZE= &&
    cmake --build "$folder" -j "$(job_count)" --target fuzz_operations fuzz_log fuzz_cli
  } >"$log" 2>&1 &&
    return
  tail -n 40 "$log"
  failed=1
  return 1
}

# with_libfuzzer TARGET: returns 1 where it found something. The figures go to $figures.
with_libfuzzer() {
  mkdir -p "$folder/corpus-$1" "$folder/findings-$1"
  (cd "$folder" && without_aslr "test/fuzz_${1%-*}" -max_total_time="$seconds" -max_len=1024 \
    -timeout=20 -artifact_prefix="findings-$1/" "corpus-$1" "$root/test/fuzz/corpus/${1%-*}") \
    >"$log" 2>&1 || return
  figures=$(grep '^Done' "$log")
}

with_afl() {
  (cd "$folder" && AFL_SKIP_CPUFREQ=1 AFL_NO_COLOR=1 AFL_NO_UI=1 AFL_AUTORESUME=1 \
    AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 afl-fuzz -V "$seconds" \
    -i "$root/test/fuzz/corpus/${1%-*}" -o "findings-$1" -- "test/fuzz_${1%-*}") \
    >"$log" 2>&1 || return
  figures=$(sed -n 's/^\(execs_done\|saved_crashes\|saved_hangs\) *: /\1 /p' \
    "$folder/findings-$1/default/fuzzer_stats")
  ! ls "$folder/findings-$1/default/crashes/"id* >/dev/null 2>&1
}

run_target() {
  log=$folder/fuzz-$1.log figures=
  case $1 in
    *-*) UVDIO_FUZZ_BACKEND=${1#*-} && export UVDIO_FUZZ_BACKEND ;;
    *) unset UVDIO_FUZZ_BACKEND ;;
  esac
  say "fuzz_$1, $seconds s"
  case $has_afl in
    no) with_libfuzzer "$1" ;;
    yes) with_afl "$1" ;;
  esac
  code=$?
  [ -z "$figures" ] || echo "$figures"
  if [ "$code" -ne 0 ]; then
    tail -n 40 "$log"
    echo "fuzz_$1 found something: $folder/findings-$1"
  fi
  amount="$amount$(echo "$figures" | tr '\n' ' ')"
  count_status "$code"
}

run_steps() {
  why=$(fuzzer_obstacle)
  [ -z "$why" ] || { leave_out fuzz "$why"; return; }
  build_fuzzers || return
  for target in $targets; do
    run_target "$target"
  done
}
