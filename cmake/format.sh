#!/bin/sh
# SPDX-License-Identifier: MIT
# Lays out the C sources as .clang-format says.
#   sh cmake/format.sh [--check]
#     --check   changes nothing, prints what would change, and ends with 1 where anything would
#
# The result of clang-format 14 (Debian 12) counts. Version 19 (Debian 13) gives the same; others
# may differ in details. CLANG_FORMAT in the environment names the program.
# Exit status: 77 where clang-format is not installed, or is older than version 14.
set -u

cd "$(dirname "$0")/.." || exit 2
. cmake/common.sh

check=no
case ${1:-} in
  "") ;;
  --check) check=yes ;;
  *) head_comment cmake/format.sh; exit 2 ;;
esac

# The version whose result counts comes first.
formatter=${CLANG_FORMAT:-}
for candidate in clang-format-14 clang-format clang-format-19; do
  [ -n "$formatter" ] || ! command -v "$candidate" >/dev/null || formatter=$candidate
done
[ -n "$formatter" ] || { echo "SKIP: clang-format is not installed"; exit 77; }
major=$("$formatter" --version | sed -n 's/.*version \([0-9]*\).*/\1/p')
case ${major:-0} in
  14 | 19) ;;
  [0-9] | 1[0-3]) echo "SKIP: clang-format is older than version 14"; exit 77 ;;
  *) echo "clang-format $major was never tried; where it differs from 14, 14 is right" >&2 ;;
esac

if [ "$check" = no ]; then
  sources c h cpp hpp | xargs "$formatter" -i
  exit
fi
differing=0
for source in $(sources c h cpp hpp); do
  "$formatter" "$source" | diff -u --label "$source" --label "$source, laid out" "$source" - ||
    differing=$((differing + 1))
done
[ "$differing" -eq 0 ] && echo "clang-format $major changes nothing" && exit
echo "clang-format $major changes $differing files: sh cmake/format.sh"
exit 1
