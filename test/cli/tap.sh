# SPDX-License-Identifier: MIT
# What the scripts of this folder share with test/bench/run.sh; each of them reads it first, with
# its own arguments.
#
#   SCRIPT PATH/TO/PROGRAM SCRATCH [simple]
#
# `simple` ends with the first that is not ok. SCRATCH is a directory on a filesystem with direct
# I/O; what is made in it is removed. Prints TAP: "ok N - what", "not ok N - what" with what the
# command said, "ok N # SKIP what: why", and the plan at the end. Exits with 1 when something was
# not ok.
# shellcheck shell=sh
export LC_ALL=C
umask 022
unset UVDIO_BACKEND

if [ $# -lt 2 ]; then
  echo "usage: $0 PATH/TO/PROGRAM SCRATCH [simple]" >&2
  exit 2
fi
case $1 in
  */*) program=$(cd "$(dirname "$1")" && pwd)/$(basename "$1") ;;
  *) program=$(command -v "$1") ;;
esac
mkdir -p "$2" || exit 2
work=$(cd "$2" && pwd)/uvdio-cli.$$
mkdir "$work" && mkdir "$work/d" || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP
cd "$work" || exit 2
out=$work/stdout
err=$work/stderr
mode=${3-whole}
limit=
seconds=120
[ "$mode" != simple ] || seconds=30
command -v timeout >/dev/null 2>&1 && limit="timeout $seconds"

count=0
failures=0

ok() {
  count=$((count + 1))
  echo "ok $count - $1"
}

not_ok() {
  count=$((count + 1))
  failures=$((failures + 1))
  echo "not ok $count - $1"
  echo "# $2"
  sed 's/^/# stdout: /' "$out" 2>/dev/null
  sed 's/^/# stderr: /' "$err" 2>/dev/null
  [ "$mode" != simple ] || exit 1
}

skip() {
  count=$((count + 1))
  echo "SKIP: $2"
  echo "ok $count # SKIP $1: $2"
}

# A program under strace can't look for leaks: LeakSanitizer stops programs in the same way.
strace() {
  ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0" command strace "$@"
}

# check WHAT CONDITION...: the condition is a command.
check() {
  what=$1
  shift
  if "$@"; then ok "$what"; else not_ok "$what" "false: $*"; fi
}

# run CODE WHAT ARGUMENT...: runs the program with the arguments, and expects that exit code.
run() {
  wanted=$1
  what=$2
  shift 2
  $limit "$program" "$@" >"$out" 2>"$err" </dev/null
  got=$?
  if [ $got -eq "$wanted" ]; then
    ok "$what"
  else
    not_ok "$what" "exit code $got instead of $wanted"
  fi
}

# The last run said it, where it should, as a basic regular expression.
says() {
  if grep -q -e "$2" "$out"; then ok "$1"; else not_ok "$1" "not on stdout: $2"; fi
}

warns() {
  if grep -q -e "$2" "$err"; then ok "$1"; else not_ok "$1" "not on stderr: $2"; fi
}

# A file of pseudo-random bytes, different for each size.
make_file() {
  if [ -r /dev/urandom ]; then
    head -c "$2" /dev/urandom >"$1"
  else
    dd if="$program" of="$1" bs="$2" count=1 2>/dev/null
  fi
}

size_of() { wc -c <"$1" | tr -d ' '; }
is_size() { [ "$(size_of "$1")" -eq "$2" ]; }
absent() { [ ! -e "$1" ]; }
lines_with() { [ "$(grep -c -e "$2" "$1")" -eq "$3" ]; }
directory_empty() { [ -z "$(ls -A "$1")" ]; }
alone() { [ "$(ls -A "$(dirname "$1")")" = "$(basename "$1")" ]; }
identical() { cmp -s "$1" "$2"; }

# wait_for COMMAND...: up to ten seconds.
wait_for() {
  tries=0
  until "$@"; do
    tries=$((tries + 1))
    [ $tries -ge 200 ] && return 1
    sleep 0.05
  done
}

# halt PID CONDITION: stops the process (SIGSTOP) in a moment in which the condition, a command,
# holds, however slow this script is beside it: the process runs for some milliseconds at a time,
# and stands still while the condition is looked at. False if it ended before.
halt() {
  tries=0
  while kill -s STOP "$1" 2>/dev/null; do
    ! sh -c "$2" >/dev/null 2>&1 || return 0
    kill -s CONT "$1"
    tries=$((tries + 1))
    [ $tries -lt 5000 ] || return 1
    sleep 0.005
  done
  return 1
}

# start_halted CONDITION ARGUMENT...: starts the program with the arguments in the background, and
# halts it. It is $process then, and `resume` lets it go on and waits for its end.
start_halted() {
  condition=$1
  shift
  "$program" "$@" >"$out" 2>"$err" </dev/null &
  process=$!
  halt $process "$condition"
}

resume() {
  kill -s CONT $process 2>/dev/null
  wait $process
}

# run_until SIGNAL CONDITION ARGUMENT...: runs the program with the arguments, and sends it the
# signal where it was halted. The exit code is in $got. It runs in the foreground: a program that a
# shell puts into the background ignores SIGINT.
run_until() {
  signal=$1
  condition=$2
  shift 2
  rm -f process
  {
    wait_for test -s process && halt "$(cat process)" "$condition"
    kill -s "$signal" "$(cat process)"
    kill -s CONT "$(cat process)"
  } >/dev/null 2>&1 &
  sh -c 'echo $$ >process; exec "$@"' sh "$program" "$@" >"$out" 2>"$err" </dev/null
  got=$?
  wait
}

# Where these tests run in the background themselves, SIGINT is ignored and stays so: then it is
# SIGTERM.
# shellcheck disable=SC2034 # for the scripts that read this
interrupt=INT
ended=130
[ -z "$(sh -c 'kill -s INT $$; echo ignored')" ] || interrupt=TERM ended=143
