# SPDX-License-Identifier: MIT
# The model test and the log's power cuts at length.
#   sh test/run.sh sim [--operations N] [--seed N]
#
# N operations (10^8) on simulated worlds, N / 500 of the same generator on ring and pool on each of
# here, tmpfs, ext4, xfs and btrfs, and N / 1000 power cuts of the log. The default seed is taken
# from the clock, and printed. The output has the command that repeats a failure. Builds the preset
# release.

# shellcheck shell=sh disable=SC2034,SC2154 # variables that test/run.sh sets or reads

faults="short transfers, delays, cancellations"
operations=100000000 seed=$(date +%s)
options="--operations --seed"

# figure NAME: the sum of a figure over all programs.
figure() { sum "^FIGURE \\([0-9]*\\) $1\$" "$folder/log.txt"; }

describe() {
  echo "$(figure operations) operations, $(figure 'sectors compared') sectors compared"
}

run_program() {
  program=$1
  shift
  say "$program $*"
  (cd "$folder" && "$root/build/release/test/$program" "$@") >"$folder/output.txt" 2>&1
  code=$?
  tee -a "$folder/log.txt" <"$folder/output.txt"
  count_status "$code"
}

run_steps() {
  : >"$folder/log.txt"
  build release || return
  run_program sim_model --seed "$seed" --operations "$operations"
  for filesystem in here tmpfs ext4 xfs btrfs; do
    for backend in ring aio pool; do
      run_program sim_model --backend $backend --filesystem $filesystem --seed "$seed" \
        --operations $((operations / 500))
    done
  done
  run_program log_cuts --seed "$seed" --cuts $((operations / 1000))
  injected="$(figure 'operations that failed') operations failed, $(figure 'power cuts') power cuts"
  faults="$injected, $faults"
}
