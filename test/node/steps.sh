# SPDX-License-Identifier: MIT
# The npm package under several versions of Node.js, which npm fetches (its packages `node`).
#   sh test/run.sh node [VERSION...]
#
# Versions are major ones; default: 18 20 22 24. One that can't be fetched is left out.

# shellcheck shell=sh disable=SC2034,SC2154 # variables that test/run.sh sets or reads

faults="SIGKILL, workers and processes that end with operations in flight"
default="18 20 22 24" choices="18 20 21 22 23 24 25"

describe() { echo "the npm package under Node.js ${ran:-none}: $passed tests passed"; }

# Prints the path of the executable; fails where it can't be had.
fetch_node() {
  mkdir -p "$folder/v$1"
  (cd "$folder/v$1" && npm install --no-audit --no-fund "node@$1") >"$folder/fetch-$1.log" 2>&1
  executable=$root/$folder/v$1/node_modules/node/bin/node
  "$executable" --version >/dev/null 2>&1 && echo "$executable"
}

test_version() {
  node=$(fetch_node "$1") || { leave_out "Node.js $1" "npm could not fetch it"; return; }
  log=$folder/log-$1.txt
  sh test/node/run.sh "$folder" "$node" >"$log" 2>&1
  status=$?
  grep -E '^not ok' "$log"
  passed=$((passed + $(grep -c '^ok' "$log")))
  failed=$((failed + $(grep -c '^not ok' "$log")))
  case $status in
    0) ran="$ran${ran:+, }$1" ;;
    77) leave_out "Node.js $1" "$(sed -n 's/^SKIP: //p' "$log")" ;;
    *) grep -q '^not ok' "$log" || { tail -n 20 "$log"; failed=$((failed + 1)); } ;;
  esac
}

run_steps() {
  command -v npm >/dev/null || { leave_out node "npm is not installed"; return; }
  each test_version
}
