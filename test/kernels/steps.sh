# SPDX-License-Identifier: MIT
# The tests under Debian's kernels, in qemu's software emulation.
#   sh test/run.sh kernels [--only PATTERN] [5.10] [6.1] [6.12]      default: all three
#
# For each kernel: builds static tests, packs a RAM disk, boots, and prints which backend an engine
# takes there and why, what failed, and the counts. PATTERN (of grep -E) chooses tests by name. All
# is kept in build/kernels for the next time; remove that folder to start afresh.

# shellcheck shell=sh disable=SC2034,SC2154 # variables that test/run.sh sets or reads

faults="dm-error, dm-flakey, dm-delay, full disks, system calls that fail"
only=.
options=--only default="5.10 6.1 6.12"

# In seconds: for a whole kernel, and for one test in it. Emulation is some twenty times slower than
# the machine.
kernel_limit=1800
test_limit=400

boot() {
  truncate -s 1G "$folder/$1/disk"
  truncate -s 512M "$folder/$1/polled"
  timeout --foreground "$kernel_limit" qemu-system-x86_64 -accel tcg -cpu max -smp 2 -m 2048 \
    -nographic -no-reboot -nic none \
    -kernel "$folder/$1/linux" -initrd "$folder/$1/initrd" \
    -append "console=ttyS0 quiet panic=-1 seconds=$test_limit only=$only" \
    -drive "file=$folder/$1/disk,format=raw,if=virtio,cache=unsafe" \
    -drive "file=$folder/$1/polled,format=raw,if=none,id=polled,cache=unsafe" \
    -device nvme,drive=polled,serial=polled </dev/null \
    >"$folder/$1.console" 2>&1
  tr -d '\r' <"$folder/$1.console" >"$2"
  rm -f "$folder/$1/disk" "$folder/$1/polled" "$folder/$1.console"
}

# Prints the guest's output about backends, from before its tests, and the complaints of its kernel.
print_guest() {
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
  results=$folder/$1.log
  boot "$1" "$results"
  print_guest "$results"
  count_log "Linux $1" "$results"
  print_reasons
  grep -q '^== end' "$results" || failed=$((failed + 1))
}

run_steps() {
  if ! command -v qemu-system-x86_64 >/dev/null; then
    leave_out kernels "qemu-system-x86_64 is not installed"
    return
  fi
  why=$(sh test/kernels/build.sh "$folder")
  case $? in
    0) ;;
    77) leave_out kernels "${why#SKIP: }"; return ;;
    *) echo "$why"; failed=1; return ;;
  esac
  each run_kernel
}
