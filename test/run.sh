#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs one layer of tests: those that take long, or that need more than a build and CTest.
#   sh test/run.sh                       lists the layers
#   sh test/run.sh NAME [ARGUMENT...]    runs one
#   sh test/run.sh NAME --help           prints its arguments
#
# Logs and results are in build/NAME. Exit status: 0 nothing failed, 1 something failed, 2 wrong
# usage, 77 nothing could run here. The last line of the output is for cmake/check.sh --long, which
# runs all layers:
#   LAYER NAME|what ran, and how much of it|injected faults|failures

# test/layers.txt lists the layers. The steps of a layer are shell functions in test/NAME/steps.sh,
# which this script sources. That file begins with the help text and defines:
#   faults       text: the faults that the layer injects
#   run_steps    function: builds and runs the tests, and counts them by the functions below
#   describe     function, optional: prints what ran, and how much of it
#   parse, usage functions, optional: see below
#
# shellcheck disable=SC2034,SC2317 # the steps use these variables and functions
set -u

caller=$PWD
cd "$(dirname "$0")/.." || exit 2
. cmake/common.sh

root=$PWD faults='' passed=0 failed=0 skipped=0 ran=''

list_layers() {
  head_comment test/run.sh
  echo
  sed -n '/^[^#]/p' test/layers.txt
}

usage() { head_comment "test/$layer/steps.sh"; }

wrong_usage() {
  usage
  exit 2
}

# contains LIST WORD
contains() {
  case " $1 " in
    *" $2 "*) [ -n "$2" ] ;;
    *) return 1 ;;
  esac
}

# parse ARGUMENT...: sets the variable of each option that $options lists (--seed N sets $seed to
# N). The other arguments must be words of $choices, or of $default where $choices is empty. They go
# to $chosen, which is $default where there are none.
options='' choices='' default='' chosen=''
parse() {
  while [ $# -gt 0 ]; do
    if contains "$options" "$1" && [ $# -gt 1 ]; then
      eval "${1#--}=\$2"
      shift
    elif contains "${choices:-$default}" "$1"; then
      chosen="$chosen${chosen:+ }$1"
    else
      wrong_usage
    fi
    shift
  done
  chosen=${chosen:-$default}
}

# build PRESET: a build that fails is a failure of the layer.
build() {
  build_preset "$1" "$folder/build-$1.log" && return
  failed=$((failed + 1))
  return 1
}

# each FUNCTION: calls it with each word of $chosen, under a heading.
each() {
  for word in $chosen; do
    say "$word"
    "$1" "$word"
  done
}

# leave_out NAME REASON: NAME can't be tested on this machine.
leave_out() {
  echo "$1: left out: $2"
  skipped=$((skipped + 1))
}

# count_status STATUS: counts a program by its exit status.
count_status() {
  case $1 in
    0) passed=$((passed + 1)) ;;
    77) skipped=$((skipped + 1)) ;;
    *) failed=$((failed + 1)) ;;
  esac
}

# count_log NAME LOG: prints and adds the counts of a run whose LOG has the form of `ctest -V`.
count_log() {
  counts=$(awk -v pass="$1" -v reasons="$folder/reasons.txt" -v log_name="$2" \
    -f cmake/count.awk "$2")
  echo "$counts" | sed '$d'
  ran="$ran${ran:+, }$1"
  # The last line of count.awk's output are three numbers.
  # shellcheck disable=SC2046
  set -- $(echo "$counts" | tail -n 1)
  passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}

# Prints the reasons of the skips that count_log has met since the last call, with their numbers.
print_reasons() {
  sort "$folder/reasons.txt" | uniq -c | sort -rn
  : >"$folder/reasons.txt"
}

# sum PATTERN FILE: adds up the numbers that the first group of PATTERN (of sed) matches.
sum() { sed -n "s/$1/\\1/p" "$2" | awk '{ n += $1 } END { printf "%.0f", n }'; }

describe() { echo "${ran:-nothing}: $passed passed, $skipped skipped"; }

# Prints the line for check.sh and exits.
finish() {
  echo
  if [ $((passed + failed)) -eq 0 ]; then
    echo "LAYER $layer|left out: nothing can run here||0"
    exit 77
  fi
  echo "LAYER $layer|$(describe)|$faults|$failed"
  [ "$failed" -eq 0 ]
  exit
}

case ${1:-} in
  '' | -h | --help) list_layers; exit 0 ;;
esac
layer=$1 folder=build/$1
shift
if [ ! -f "test/$layer/steps.sh" ]; then
  echo "run.sh: there is no layer $layer; sh test/run.sh lists them" >&2
  exit 2
fi
# shellcheck source=/dev/null
. "test/$layer/steps.sh"
case ${1:-} in
  -h | --help) usage; exit 0 ;;
esac
parse "$@"
mkdir -p "$folder"
: >"$folder/reasons.txt"
run_steps "$@"
finish
