#!/bin/sh
# SPDX-License-Identifier: MIT
# The model test and the log's power cuts at length.
#   sh test/sim/run.sh [--operations N] [--seed N]
#
# N operations (10^8) on simulated worlds, N / 500 of the same generator on ring and pool on each of
# here, tmpfs, ext4, xfs and btrfs, and N / 1000 power cuts of the log. The first seed is taken from
# the clock unless told; it is printed. Builds the preset release. Exit status: 0 nothing failed, 1
# something did (the output has the command that repeats it). The last line is for cmake/check.sh
# --long.
set -u

cd "$(dirname "$0")/../.." || exit 1
. cmake/common.sh

operations=100000000 seed=$(date +%s)
while [ $# -gt 0 ]; do
  case $1 in
    --operations) operations=$2; shift ;;
    --seed) seed=$2; shift ;;
    *) head_comment test/sim/run.sh; exit 2 ;;
  esac
  shift
done

folder=build/model
log=$folder/log.txt
failed=0

# figure WHAT: the sum of a figure over what has run.
figure() {
  sed -n "s/^FIGURE \([0-9]*\) $1\$/\1/p" "$log" | awk '{ n += $1 } END { printf "%.0f", n }'
}

finish() {
  amount="$(figure operations) operations, $(figure 'sectors compared') sectors compared"
  faults="$(figure 'operations that failed') operations failed, $(figure 'power cuts') power cuts"
  echo "LAYER model|$amount|$faults, short transfers, delays, cancellations|$failed"
  [ "$failed" -eq 0 ] || exit 1
  exit 0
}

# run_program ARGUMENTS...: a program that can't run here, and says so, has not failed.
run_program() {
  say "$*"
  (cd "$folder" && "$@") >"$folder/output.txt" 2>&1
  code=$?
  tee -a "$log" <"$folder/output.txt"
  [ "$code" -eq 0 ] || [ "$code" -eq 77 ] || failed=$((failed + 1))
}

mkdir -p "$folder"
: >"$log"
build_preset release "$folder/build.log" || { failed=1; finish; }
programs=$PWD/build/release/test
run_program "$programs/sim_model" --seed "$seed" --operations "$operations"
for place in here tmpfs ext4 xfs btrfs; do
  for backend in ring pool; do
    run_program "$programs/sim_model" --backend $backend --place $place --seed "$seed" \
      --operations $((operations / 500))
  done
done
run_program "$programs/log_cuts" --seed "$seed" --cuts $((operations / 1000))
finish
