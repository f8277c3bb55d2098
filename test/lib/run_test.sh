# SPDX-License-Identifier: MIT
# Read by scripts that run tests without CTest: under another kernel, on another processor, in other
# filesystems. They tell of them in the form of `ctest -V`, which cmake/count.awk counts.
#
#   run_test NUMBER COUNT NAME SECONDS COMMAND...
#
# The output goes through the file that the caller names in $run_test_output; SECONDS is the limit.
# shellcheck shell=sh

run_test_seconds() { cut -d. -f1 /proc/uptime; }

# Prints the exit code of a command, or "stuck" where even SIGKILL does not end it: a kernel may
# keep it for ever.
run_test_code() {
  rm -f "$run_test_output.code"
  (
    timeout -s KILL "$limit" "$@" >"$run_test_output" 2>&1 </dev/null
    echo $? >"$run_test_output.code"
  ) >/dev/null 2>&1 &
  until [ -s "$run_test_output.code" ]; do
    sleep 0.05
    [ $(($(run_test_seconds) - begun)) -lt $((limit + 20)) ] || { echo stuck; return; }
  done
  cat "$run_test_output.code"
}

run_test() {
  number=$1 count=$2 name=$3 limit=$4
  shift 4
  echo "    Start $number: $name"
  begun=$(run_test_seconds)
  code=$(run_test_code "$@")
  case $code in
    0) outcome="   Passed" ;;
    77) outcome="***Skipped" ;;
    137) outcome="***Timeout" ;;
    stuck) outcome="***Stuck in the kernel" ;;
    *) outcome="***Failed" ;;
  esac
  sed "s/^/$number: /" "$run_test_output"
  echo "$number/$count Test #$number: $name ...$outcome  $(($(run_test_seconds) - begun)).00 sec"
}

# list_tests BUILD LABELS: name, program and arguments of each test that CTest has with these labels
# (a pattern of its own). Programs are named without their folder.
list_tests() {
  ctest --test-dir "$1" -N -V -L "$2" |
    awk '/Test command: / { sub(/.*Test command: [^ ]*\//, ""); gsub(/"/, ""); command = $0 }
      /^ *Test +#[0-9]+: / { print $NF, command }'
}
