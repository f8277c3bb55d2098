# SPDX-License-Identifier: MIT
# The contract tests, and random operations against a model (fsx), on every filesystem and every
# backend.
#   sh test/run.sh fsx [--operations N] [--seed N] [FILESYSTEM...]
#
# Filesystems: here tmpfs ext4 xfs btrfs fuse sectors blocks (test/README.md describes them);
# default: all but blocks. N operations per filesystem and backend, 200000 by default; half of them
# with few in flight, half with many. The default seed is 1. Builds the preset dev.

# shellcheck shell=sh disable=SC2034,SC2154 # variables that test/run.sh sets or reads

faults="full disks, shut-down filesystem, system calls that fail, cancellation"
operations=200000 seed=1 checkers=0
options="--operations --seed"
default="here tmpfs ext4 xfs btrfs fuse sectors" choices="$default blocks"

describe() {
  amount="$((operations * checkers)) operations of fsx; $passed tests passed"
  echo "$amount, $skipped skipped on $chosen"
}

# Each program with each backend that CTest has for it.
list_programs() {
  list_tests "$root/build/dev" '^contract$' | awk '$2 != "fsx" {
    for (i = 3; i < NF; i++) if ($i == "--backend" && !seen[$2, $(i + 1)]++) print $2, $(i + 1)
  }'
}

# Prints name, program and arguments of everything that is to run. Files of the memory backend are
# on no filesystem.
list_all() {
  list_programs | while read -r program backend; do
    for filesystem in $chosen; do
      case $backend in
        memory) echo "$program.memory $program --backend memory"; break ;;
        *)
          echo "$program.$backend.$filesystem $program --backend $backend" \
            "--filesystem $filesystem"
          ;;
      esac
    done
  done
  few="--operations $((operations / 2)) --seed $seed --jobs 4"
  many="--operations $((operations / 2)) --seed $((seed + 1)) --jobs 64"
  for filesystem in $chosen; do
    for backend in ring aio pool; do
      echo "fsx.$backend.$filesystem.few fsx --backend $backend --filesystem $filesystem $few"
      echo "fsx.$backend.$filesystem.many fsx --backend $backend --filesystem $filesystem $many"
    done
  done
  echo "fsx.memory.few fsx --backend memory $few"
  echo "fsx.memory.many fsx --backend memory $many"
}

# Runs what list.txt lists, in the layer's folder.
run_list() {
  number=0 total=$(wc -l <list.txt)
  run_test_output=$PWD/output.txt
  export CMOCKA_MESSAGE_OUTPUT=TAP
  while read -r test_name program arguments; do
    number=$((number + 1))
    # shellcheck disable=SC2086
    run_test "$number" "$total" "$test_name" 900 "$root/build/dev/test/$program" $arguments
  done <list.txt
}

run_steps() {
  . test/lib/run_test.sh
  build dev || return
  list_all >"$folder/list.txt"
  checkers=$(($(grep -c '^fsx' "$folder/list.txt") / 2))
  (cd "$folder" && run_list) >"$folder/log.txt"
  sed -n 's/^[0-9]*: fsx/fsx/p' "$folder/log.txt"
  count_log fsx "$folder/log.txt"
  print_reasons
}
