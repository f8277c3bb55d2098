# SPDX-License-Identifier: MIT
# Many power cuts and kills, on every filesystem and backend.
#   sh test/run.sh crash [--rounds N] [--seed N] [ext4] [xfs] [btrfs]      default: all three
#
# N rounds (100) of each of eight works, each with a power cut and with a kill, on each filesystem
# and backend: with the defaults 14400 rounds, which take an hour or two. The default seed is taken
# from the clock. The log has the seed, and the command that repeats a failure. Builds the
# preset release.

# shellcheck shell=sh disable=SC2034,SC2154 # variables that test/run.sh sets or reads

faults="power cuts (also while a filesystem recovers), SIGKILL, SIGTERM"
rounds=100 seed=$(date +%s)
options="--rounds --seed" default="ext4 xfs btrfs"

describe() {
  promised=$(sum '^# seeds.*: \([0-9]*\) acknowledged.*' "$folder/log.txt")
  lost=$(sum '^# seeds.*cache \([0-9]*\) KiB lost' "$folder/log.txt")
  amount="$passed series of $rounds rounds passed, $skipped filesystems skipped"
  echo "$amount; $promised promises of durability, $lost KiB lost in caches"
}

# run_filesystem FILESYSTEM BACKEND
run_filesystem() {
  say "$2 on $1, from seed $seed"
  build/release/test/crash/crash --filesystem "$1" --backend "$2" --rounds "$rounds" \
    --seed "$seed" --uvdio build/release/uvdio >"$folder/output.txt" 2>&1
  code=$?
  tee -a "$folder/log.txt" <"$folder/output.txt"
  good=$(grep -c '^ok ' "$folder/output.txt")
  bad=$(grep -c '^not ok ' "$folder/output.txt")
  [ "$code" -ne 77 ] || skipped=$((skipped + 1))
  # A program that ended before it reported a failure has failed.
  [ "$code" -eq 0 ] || [ "$code" -eq 77 ] || [ "$bad" -gt 0 ] || bad=1
  passed=$((passed + good)) failed=$((failed + bad))
}

run_steps() {
  : >"$folder/log.txt"
  build release || return
  if [ ! -x build/release/test/crash/crash ]; then
    leave_out crash "libfuse 3 was not found when it was configured"
    return
  fi
  for filesystem in $chosen; do
    for backend in ring aio pool; do
      run_filesystem "$filesystem" $backend
    done
  done
}
