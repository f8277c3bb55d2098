# SPDX-License-Identifier: MIT
# MC/DC (modified condition/decision coverage) of the request state machine and the engine, by clang
# 18 or later.
#   sh test/run.sh mcdc [FILE...]    of src/; default: engine.c order.c queue.c request.c
#
# Prints lines, branches and MC/DC pairs of each file; the annotated sources are in
# build/mcdc/report.txt.

# shellcheck shell=sh disable=SC2034,SC2154 # variables that test/run.sh sets or reads

parse() { files=${*:-engine.c order.c queue.c request.c}; }

# The last three columns of the table are the number of conditions, the number of those that no
# test has shown to matter, and the share of the others.
describe() {
  awk '/^TOTAL/ {
    print $(NF - 2) " conditions of the request state machine and the engine, " $NF \
      " shown to matter"
  }' "$folder/summary.txt"
}

build_with_clang() {
  if ! {
    cmake --preset dev -B "$folder" -DCMAKE_C_COMPILER="clang$version" \
      -DUVDIO_BUILD_CLI=OFF -DUVDIO_INSTALL=OFF -DUVDIO_WERROR=OFF \
      -DCMAKE_C_FLAGS="-fprofile-instr-generate -fcoverage-mapping -fcoverage-mcdc -DNDEBUG" &&
      cmake --build "$folder" -j "$(job_count)"
  } >"$folder/build.log" 2>&1; then
    tail -n 40 "$folder/build.log"
    return 1
  fi
}

# %m is one file per program, merged by the programs themselves; workers and children count as well.
run_tests() {
  rm -f "$folder"/*.profraw
  LLVM_PROFILE_FILE=$root/$folder/%m.profraw ctest --test-dir "$folder" -L '^(unit|contract)$' \
    -j "$(job_count)" >"$folder/ctest.log" 2>&1 && return
  echo "Some tests failed: $folder/ctest.log"
  return 1
}

report() {
  "llvm-profdata$version" merge -sparse "$folder"/*.profraw -o "$folder/all.profdata" || return
  set --
  for program in "$folder"/test/contract_* "$folder"/test/unit_* "$folder"/test/fault_*; do
    [ -x "$program" ] && [ -f "$program" ] && set -- "$@" -object "$program"
  done
  set -- "$@" -instr-profile="$folder/all.profdata"
  sources=
  for file in $files; do sources="$sources src/$file"; done
  # shellcheck disable=SC2086
  "llvm-cov$version" show "$@" --show-mcdc --sources $sources >"$folder/report.txt"
  # shellcheck disable=SC2086
  "llvm-cov$version" report "$@" --show-mcdc-summary --sources $sources >"$folder/summary.txt" &&
    cat "$folder/summary.txt"
}

run_steps() {
  found=$(clang_of_mcdc)
  if [ -z "$found" ]; then
    leave_out mcdc "clang 18 or later with llvm-cov is not installed"
    return
  fi
  version=${found#clang}
  : >"$folder/summary.txt"
  build_with_clang || { count_status 1; return; }
  run_tests
  code=$?
  report || code=1
  count_status "$code"
}
