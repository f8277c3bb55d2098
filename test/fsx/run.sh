#!/bin/sh
# SPDX-License-Identifier: MIT
# The contract tests, and random operations against a model (fsx), on every filesystem and every
# backend.
#   sh test/fsx/run.sh [--operations N] [--seed N] [PLACE...]
#
# Places: here tmpfs ext4 xfs btrfs fuse sectors (test/lib/place.h tells what they are); default:
# all of them. N operations per place and backend, 200000 by default; half of them with few in
# flight, half with many. The seed is 1 unless told. Builds the preset dev. Exit status: 0 nothing
# failed, 1 something did, 77 nothing could run. The last line is for cmake/check.sh --long.
set -u

cd "$(dirname "$0")/../.." || exit 1
. cmake/common.sh
. test/lib/run_test.sh

operations=200000 seed=1 places=
while [ $# -gt 0 ]; do
  case $1 in
    --operations) operations=$2; shift ;;
    --seed) seed=$2; shift ;;
    -*) head_comment test/fsx/run.sh; exit 2 ;;
    *) places="${places}${places:+ }$1" ;;
  esac
  shift
done
[ -n "$places" ] || places="here tmpfs ext4 xfs btrfs fuse sectors"

folder=build/fsx
build=$PWD/build/dev
results=$folder/log.txt
reasons=$folder/reasons.txt
run_test_output=$PWD/$folder/output.txt
passed=0 failed=0 skipped=0

finish() {
  amount="$((operations * checkers)) operations of fsx; $passed tests passed"
  faults="full disks, shut-down filesystem, system calls that fail, cancellation"
  echo "LAYER filesystems|$amount, $skipped skipped on $places|$faults|$failed"
  [ "$failed" -eq 0 ] || exit 1
  [ "$passed" -gt 0 ] || exit 77
  exit 0
}

# Each program with each backend that CTest has for it.
list_programs() {
  list_tests "$build" '^contract$' | awk '$2 != "fsx" {
    for (i = 3; i < NF; i++) if ($i == "--backend" && !seen[$2, $(i + 1)]++) print $2, $(i + 1)
  }'
}

# Prints name, program and arguments of everything that is to run. Files in memory lie in no place.
list_all() {
  list_programs | while read -r program backend; do
    for place in $places; do
      case $backend in
        memory) echo "$program.memory $program --backend memory"; break ;;
        *) echo "$program.$backend.$place $program --backend $backend --place $place" ;;
      esac
    done
  done
  few="--operations $((operations / 2)) --seed $seed --jobs 4"
  many="--operations $((operations / 2)) --seed $((seed + 1)) --jobs 64"
  for place in $places; do
    for backend in ring pool; do
      echo "fsx.$backend.$place.few fsx --backend $backend --place $place $few"
      echo "fsx.$backend.$place.many fsx --backend $backend --place $place $many"
    done
  done
  echo "fsx.memory.few fsx --backend memory $few"
  echo "fsx.memory.many fsx --backend memory $many"
}

mkdir -p "$folder"
checkers=0
build_preset dev "$folder/build.log" || { failed=1; finish; }
list_all >"$folder/list.txt"
total=$(wc -l <"$folder/list.txt")
checkers=$(($(grep -c '^fsx' "$folder/list.txt") / 2))
here=0
cd "$folder" || exit 1
export CMOCKA_MESSAGE_OUTPUT=TAP
while read -r test_name program arguments; do
  here=$((here + 1))
  # shellcheck disable=SC2086
  run_test "$here" "$total" "$test_name" 900 "$build/test/$program" $arguments
done <list.txt >log.txt
cd ../.. || exit 1

grep -h '^[0-9]*: fsx' "$results" | sed 's/^[0-9]*: //'
: >"$reasons"
counts=$(awk -v pass=filesystems -v reasons="$reasons" -v log_name="$results" \
  -f cmake/count.awk "$results")
sort "$reasons" | uniq -c | sort -rn
echo "$counts" | sed '$d'
# The last line that count.awk prints is for us: three numbers.
# shellcheck disable=SC2046
set -- $(echo "$counts" | tail -n 1)
passed=$1 failed=$2 skipped=$3
finish
