# SPDX-License-Identifier: MIT
# What the long layers of whole test runs share: they add up the counts of several runs, tell what
# is left out, and print the line for cmake/check.sh --long. To be sourced in the project's root.
# shellcheck shell=sh disable=SC2154 # set by the script
#
#   layer=NAME faults=WHICH    set by the script: its name, the faults it injects,
#   reasons=FILE               and where the reasons of skips go
#   leave_out WHAT WHY         says that something can't be tested here
#   count_log NAME LOG         prints what the tests of a run came to, and adds it to the totals
#   tell_reasons               prints the reasons of skips, and how often each came
#   finish                     prints the line and exits: 0 nothing failed, 1 something did,
#                              77 nothing ran

passed=0 failed=0 skipped=0 ran=

leave_out() {
  echo "$1: left out: $2"
  skipped=$((skipped + 1))
}

count_log() {
  counts=$(awk -v pass="$1" -v reasons="$reasons" -v log_name="$2" -f cmake/count.awk "$2")
  echo "$counts" | sed '$d'
  ran="$ran${ran:+, }$1"
  # The last line that count.awk prints is for us: three numbers.
  # shellcheck disable=SC2046
  set -- $(echo "$counts" | tail -n 1)
  passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}

tell_reasons() {
  sort "$reasons" | uniq -c | sort -rn
}

finish() {
  echo "LAYER $layer|${ran:-none}: $passed passed, $skipped skipped|$faults|$failed"
  [ "$failed" -eq 0 ] || exit 1
  [ -n "$ran" ] || exit 77
  exit 0
}
