# SPDX-License-Identifier: MIT
# Plants defects in the library and the command, one at a time, and checks that a test fails. A
# defect takes some ten seconds; an interrupted run continues where it stopped.
#   sh test/run.sh mutation                  the list test/mutation/mutants.txt, and a sample of 400
#                                            generated defects: those that have no result yet
#   sh test/run.sh mutation ARGUMENT...      runs test/mutation/run.py with these arguments

# shellcheck shell=sh disable=SC2034,SC2154 # variables that test/run.sh sets or reads

faults="planted defects"

plant() {
  PYTHONDONTWRITEBYTECODE=1 nice -n 10 python3 test/mutation/run.py --here "$caller" "$@"
}

usage() {
  head_comment test/mutation/steps.sh
  command -v python3 >/dev/null && plant --help
}

parse() { :; }

describe() { grep ' caught (' "$folder/log.txt" | tr '\n' ' '; }

run_steps() {
  command -v python3 >/dev/null || { leave_out mutation "python3 is not installed"; return; }
  if [ $# -gt 0 ]; then
    plant "$@"
    exit
  fi
  plant --list "$root/test/mutation/mutants.txt" >"$folder/log.txt" 2>&1
  code=$?
  # 1: too many survived, which the sample does not depend on.
  [ "$code" -gt 1 ] || plant --sample 400 >>"$folder/log.txt" 2>&1 || code=$?
  cat "$folder/log.txt"
  count_status "$code"
}
