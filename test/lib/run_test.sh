# Read by scripts that run tests without CTest: under another kernel, on another processor, in other places. They tell of
# them in the form of `ctest -V`, which cmake/count.awk counts.
#
#   run_test NUMBER COUNT NAME SECONDS COMMAND...
#
# The output goes through the file $run_test_output; SECONDS is the limit.
# shellcheck shell=sh

run_test_seconds() { cut -d. -f1 /proc/uptime; }

run_test() {
  number=$1 count=$2 name=$3 limit=$4
  shift 4
  echo "    Start $number: $name"
  begun=$(run_test_seconds)
  timeout -s KILL "$limit" "$@" >"$run_test_output" 2>&1 </dev/null
  case $? in
    0) outcome="   Passed" ;;
    77) outcome="***Skipped" ;;
    137) outcome="***Timeout" ;;
    *) outcome="***Failed" ;;
  esac
  sed "s/^/$number: /" "$run_test_output"
  echo "$number/$count Test #$number: $name ...$outcome  $(($(run_test_seconds) - begun)).00 sec"
}

# list_tests BUILD LABELS: name, program and arguments of each test that CTest has with these labels (a pattern of its own).
# Programs are named without their folder.
list_tests() {
  ctest --test-dir "$1" -N -V -L "$2" |
    awk '/Test command: / { sub(/.*Test command: [^ ]*\//, ""); gsub(/"/, ""); command = $0 }
      /^ *Test +#[0-9]+: / { print $NF, command }'
}
