#!/bin/sh
# SPDX-License-Identifier: MIT
# MC/DC (modified condition/decision coverage) of the request state machine and the engine, by clang
# 18 or later.
#   sh test/coverage/mcdc.sh [FILE...]    of src/; engine.c, order.c, queue.c, request.c by default
# Prints lines, branches and MC/DC pairs of each; the annotated sources are in
# build/mcdc/report.txt. Exit status: 0 measured, 1 something failed, 77 no such compiler here. The
# last line is for cmake/check.sh --long.
set -u
cd "$(dirname "$0")/../.." || exit 2
. cmake/common.sh

files=${*:-engine.c order.c queue.c request.c}
found=$(clang_of_mcdc)
if [ -z "$found" ]; then
  echo "mcdc: left out: clang 18 or later with llvm-cov is not installed"
  exit 77
fi
version=${found#clang}

mkdir -p build
if ! {
  cmake --preset dev -B build/mcdc -DCMAKE_C_COMPILER="clang$version" \
    -DUVDIO_BUILD_CLI=OFF -DUVDIO_INSTALL=OFF -DUVDIO_WERROR=OFF \
    -DCMAKE_C_FLAGS="-fprofile-instr-generate -fcoverage-mapping -fcoverage-mcdc -DNDEBUG" &&
    cmake --build build/mcdc -j "$(job_count)"
} >build/mcdc-build.log 2>&1; then
  tail -n 40 build/mcdc-build.log
  exit 1
fi

rm -f build/mcdc/*.profraw
# %m: one file per program, merged by the programs themselves; workers and children count as well.
LLVM_PROFILE_FILE=$PWD/build/mcdc/%m.profraw ctest --test-dir build/mcdc -L '^(unit|contract)$' \
  -j "$(job_count)" >build/mcdc/ctest.log 2>&1
code=$?
[ "$code" -eq 0 ] || echo "Some tests failed: build/mcdc/ctest.log"
"llvm-profdata$version" merge -sparse build/mcdc/*.profraw -o build/mcdc/all.profdata || exit 1
set --
for program in build/mcdc/test/contract_* build/mcdc/test/unit_* build/mcdc/test/fault_*; do
  [ -x "$program" ] && [ -f "$program" ] && set -- "$@" -object "$program"
done
sources=
for file in $files; do sources="$sources src/$file"; done
# shellcheck disable=SC2086
"llvm-cov$version" show "$@" -instr-profile=build/mcdc/all.profdata --show-mcdc --sources $sources \
  >build/mcdc/report.txt
# shellcheck disable=SC2086
"llvm-cov$version" report "$@" -instr-profile=build/mcdc/all.profdata --show-mcdc-summary \
  --sources $sources >build/mcdc/summary.txt || exit 1
cat build/mcdc/summary.txt
# The last three columns: conditions, those that were not shown to matter, and the ref of the
# others.
amount=$(awk '/^TOTAL/ {
  print $(NF - 2) " conditions of the request state machine and the engine, " $NF " shown to matter"
}' build/mcdc/summary.txt)
echo "LAYER mcdc|$amount||$((code != 0))"
[ "$code" -eq 0 ]
