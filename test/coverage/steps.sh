# SPDX-License-Identifier: MIT
# Reports which lines and branches of src/ the unit, contract, fault and simulation tests reach, and
# fails where test/coverage/exceptions.txt does not allow a gap.
#   sh test/run.sh coverage [BUILD]
#
# BUILD is a build directory of the preset coverage; default: build/coverage, which is built first.
# The target `coverage` of that preset runs this layer.

# shellcheck shell=sh disable=SC2034,SC2154 # variables that test/run.sh sets or reads

parse() {
  is_built=no
  [ $# -gt 0 ] || return 0
  folder=$(cd "$caller" && cd "$1" && pwd) || wrong_usage
  is_built=yes
}

describe() { sed -n '/^lines: /p' "$folder/coverage-table.txt"; }

run_steps() {
  for tool in gcovr python3; do
    command -v "$tool" >/dev/null || { leave_out coverage "$tool is not installed"; return; }
  done
  [ "$is_built" = yes ] || build coverage || return
  find "$folder" -name '*.gcda' -delete
  umask 0 # Some tests go on as another user, who has to add to the counters as well.
  ctest --test-dir "$folder" -L '^(unit|contract|sim)$' -j "$(job_count)" \
    >"$folder/coverage.log" 2>&1
  code=$?
  if [ "$code" -ne 0 ]; then
    echo "Tests failed; the end of $folder/coverage.log:"
    tail -n 30 "$folder/coverage.log"
  fi
  python3 test/coverage/report.py "$root" "$folder" >"$folder/coverage-table.txt" 2>&1 ||
    code=1
  cat "$folder/coverage-table.txt"
  count_status "$code"
}
