#!/bin/sh
# SPDX-License-Identifier: MIT
# The tests under Debian's kernels, in qemu's software emulation.
#   sh test/kernels/run.sh [--only PATTERN] [5.10] [6.1] [6.12]      default: all three
#
# For each kernel: builds static tests, packs a RAM disk, boots, and prints which backend an engine
# takes there and why, what failed, and the counts. PATTERN (of grep -E) chooses tests by name. All
# is kept in build/kernels, for the next time; remove that folder to start afresh. Exit status: 0
# nothing failed, 1 something did, 77 no kernel could be had. The last line is for cmake/check.sh
# --long.
set -u

cd "$(dirname "$0")/../.." || exit 1
. cmake/common.sh
. test/lib/layer.sh

layer=kernels faults="dm-error, dm-flakey, dm-delay, full disks, system calls that fail"
folder=build/kernels
only=.
kernels=
while [ $# -gt 0 ]; do
  case $1 in
    --only) only=$2; shift ;;
    5.10 | 6.1 | 6.12) kernels="$kernels $1" ;;
    *) head_comment test/kernels/run.sh; exit 2 ;;
  esac
  shift
done
[ -n "$kernels" ] || kernels="5.10 6.1 6.12"

# In seconds: for a whole kernel, and for one test in it. Emulation is some twenty times slower than
# the machine.
kernel_limit=1800
test_limit=400

boot() {
  truncate -s 1G "$folder/$1/disk"
  timeout --foreground "$kernel_limit" qemu-system-x86_64 -accel tcg -cpu max -smp 2 -m 2048 \
    -nographic -no-reboot -nic none \
    -kernel "$folder/$1/linux" -initrd "$folder/$1/initrd" \
    -append "console=ttyS0 quiet panic=-1 seconds=$test_limit only=$only" \
    -drive "file=$folder/$1/disk,format=raw,if=virtio,cache=unsafe" </dev/null \
    >"$folder/$1.console" 2>&1
  tr -d '\r' <"$folder/$1.console" >"$2"
  rm -f "$folder/$1/disk" "$folder/$1.console"
}

# Prints what the guest said before its tests, about backends, and of its kernel's own complaints.
tell() {
  sed -n '/^== guest/,/^Limits/p' "$1" | sed '1d;$d'
  grep '^SKIP: the module' "$1"
  if sed -n '/^== kernel/,/^== end/p' "$1" | grep -v '^=='; then
    echo "The kernel complained."
  fi
  grep -q "^== end" "$1" || { echo "The guest did not come to its end:"; tail -n 5 "$1"; }
}

run_kernel() {
  why=$(sh test/kernels/pack.sh "$folder" "$1" 2>&1)
  case $? in
    0) ;;
    77) leave_out "$1" "$(echo "$why" | sed -n 's/^SKIP: //p' | tail -n 1)"; return ;;
    *) echo "$why" | tail -n 20; failed=$((failed + 1)); return ;;
  esac
  log=$folder/$1.log reasons=$folder/$1-reasons.txt
  : >"$reasons"
  boot "$1" "$log"
  tell "$log"
  count_log "Linux $1" "$log"
  tell_reasons
  grep -q '^== end' "$log" || failed=$((failed + 1))
}

if ! command -v qemu-system-x86_64 >/dev/null; then
  leave_out kernels "qemu-system-x86_64 is not installed"
  finish
fi
why=$(sh test/kernels/build.sh "$folder")
case $? in
  0) ;;
  77) leave_out kernels "${why#SKIP: }"; finish ;;
  *) echo "$why"; failed=1; finish ;;
esac
for kernel in $kernels; do
  printf '\n== Linux %s\n' "$kernel"
  run_kernel "$kernel"
done
echo
finish
