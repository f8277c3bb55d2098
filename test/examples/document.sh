#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs what a page of src/docs/ shows, in a new directory.
#   document.sh PAGE DIRECTORY N PROGRAM        the N-th C program of the page: it succeeds, and
#                                               prints what the block of text behind it says
#   document.sh PAGE DIRECTORY commands FOLDER  its shell commands, with the programs of FOLDER
set -eu

page=$1 directory=$2 number=$3
rm -rf "$directory"
mkdir -p "$directory"
cd "$directory"

if [ "$number" = commands ]; then
  PATH=$4:$PATH
  export PATH
  # shellcheck disable=SC2016
  sed -n '/^```sh$/,/^```$/p' "$page" | grep -v '^```' >commands.sh
  [ -s commands.sh ] || { echo "$page has no commands" >&2; exit 1; }
  sh -eux commands.sh
  exit
fi

if [ "${UVDIO_BACKEND:-}" = memory ]; then
  echo "SKIP: programs of the guide open their files again, which end with their engine in memory"
  exit 77
fi
"$4" >printed.txt || { echo "$page: program $number ended with $?" >&2; exit 1; }
awk -v number="$number" '
  /^```c$/ { count++ }
  /^```$/ { is_text = 0 }
  is_text
  /^```text$/ { is_text = count == number }' "$page" >expected.txt
diff expected.txt printed.txt || {
  echo "$page: program $number prints something else than the page says" >&2
  exit 1
}
