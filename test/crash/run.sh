#!/bin/sh
# SPDX-License-Identifier: MIT
# Many power cuts and kills, on every filesystem and backend.
#   sh test/crash/run.sh [--rounds N] [--seed N] [PLACE...]
#
# Places: ext4 xfs btrfs; default: all of them. N rounds (100) of each of five works, each with a
# power cut and with a kill, on each place and backend: with the defaults 6000 rounds, which take
# half an hour to an hour. The first seed is taken from the clock unless told. Builds the preset
# release. Exit status: 0 nothing failed, 1 something did (the log has the seed, and the command
# that repeats it), 77 nothing could run.
set -u

cd "$(dirname "$0")/../.." || exit 1
. cmake/common.sh

rounds=100 seed=$(date +%s) places=
while [ $# -gt 0 ]; do
  case $1 in
    --rounds) rounds=$2; shift ;;
    --seed) seed=$2; shift ;;
    -*) head_comment test/crash/run.sh; exit 2 ;;
    *) places="${places}${places:+ }$1" ;;
  esac
  shift
done
[ -n "$places" ] || places="ext4 xfs btrfs"

folder=build/crash
log=$folder/log.txt
passed=0 failed=0 skipped=0

finish() {
  promised=$(sed -n 's/^# seeds.*: \([0-9]*\) acknowledged.*/\1/p' "$log" |
    awk '{ n += $1 } END { print n + 0 }')
  lost=$(sed -n 's/^# seeds.*cache \([0-9]*\) KiB lost/\1/p' "$log" |
    awk '{ n += $1 } END { print n + 0 }')
  amount="$passed series of $rounds rounds passed, $skipped places skipped"
  amount="$amount; $promised promises of durability, $lost KiB lost in caches"
  faults="power cuts (also while a filesystem recovers), SIGKILL, SIGTERM"
  echo "LAYER crash|$amount|$faults|$failed"
  [ "$failed" -eq 0 ] || exit 1
  [ "$passed" -gt 0 ] || exit 77
  exit 0
}

mkdir -p "$folder"
: >"$log"
build_preset release "$folder/build.log" || { failed=1; finish; }
crash=build/release/test/crash/crash
if [ ! -x "$crash" ]; then
  echo "crash left out: libfuse 3 was not found when it was configured"
  skipped=1
  finish
fi
for place in $places; do
  for backend in ring pool; do
    say "$backend on $place, from seed $seed"
    "$crash" --place "$place" --backend "$backend" --rounds "$rounds" --seed "$seed" \
      --uvdio build/release/uvdio >"$folder/output.txt" 2>&1
    code=$?
    tee -a "$log" <"$folder/output.txt"
    good=$(grep -c '^ok ' "$folder/output.txt")
    bad=$(grep -c '^not ok ' "$folder/output.txt")
    [ "$code" -ne 77 ] || skipped=$((skipped + 1))
    # What broke down before it could say so has failed.
    [ "$code" -eq 0 ] || [ "$code" -eq 77 ] || [ "$bad" -gt 0 ] || bad=1
    passed=$((passed + good)) failed=$((failed + bad))
  done
done
finish
