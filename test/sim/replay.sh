#!/bin/sh
# SPDX-License-Identifier: MIT
# Two processes with one seed write the same trace, wherever their memory lies; another seed writes
# another one.
#   replay.sh LOG_CUTS FOLDER
set -eu

program=$1
work=$2
mkdir -p "$work"
trap 'rm -rf "$work"' EXIT

"$program" --trace --seed 11 --cuts 50 >"$work/first"
MALLOC_PERTURB_=85 "$program" --trace --seed 11 --cuts 50 >"$work/second"
"$program" --trace --seed 12 --cuts 50 >"$work/other"

lines=$(wc -l <"$work/first")
[ "$lines" -gt 1000 ] || { echo "the trace has $lines lines only"; exit 1; }
cmp "$work/first" "$work/second" || { echo "one seed, two traces"; exit 1; }
! cmp -s "$work/first" "$work/other" || { echo "two seeds, one trace"; exit 1; }
echo "one seed, one trace: $lines lines"
