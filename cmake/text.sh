#!/bin/sh
# SPDX-License-Identifier: MIT
# Checks the text of sources: no line has more than 100 columns, and each file names its licence.
#   sh cmake/text.sh columns | licence
#
# columns    prints "FILE: N lines over 100 columns" for each file that has some; in Markdown only
#            prose counts, no tables and nothing that is fenced
# licence    prints the files without "SPDX-License-Identifier: MIT" in the first two lines
# Exit status: 0 where nothing was printed but the count of files, else 1.
set -u

cd "$(dirname "$0")/.." || exit 2
. cmake/common.sh

code="c h cpp hpp sh bash zsh fish cmake py awk bt js mjs ts"

# Columns are characters: bytes that continue a character of UTF-8 don't count.
check_columns() {
  sources $code md | LC_ALL=C xargs awk '
    FNR == 1 { is_fenced = 0; is_markdown = FILENAME ~ /\.md$/ }
    is_markdown && /^ *```/ { is_fenced = !is_fenced }
    is_markdown && (is_fenced || /^ *\|/) { next }
    { gsub(/[\200-\277]/, "") }
    length($0) > 100 { over[FILENAME]++ }
    END {
      for (file in over) {
        print file ": " over[file] " lines over 100 columns"
        bad = 1
      }
      exit bad
    }' | LC_ALL=C sort
}

check_licence() {
  sources $code | xargs awk '
    FNR == 1 { found[FILENAME] = 0 }
    FNR <= 2 && /SPDX-License-Identifier: MIT/ { found[FILENAME] = 1 }
    END {
      for (file in found) {
        if (!found[file]) {
          print file ": no SPDX line in the first two"
          bad = 1
        }
      }
      exit bad
    }' | LC_ALL=C sort
}

case ${1:-} in
  columns) kinds="$code md" ;;
  licence) kinds=$code ;;
  *) head_comment cmake/text.sh; exit 2 ;;
esac
found=$("check_$1")
if [ -z "$found" ]; then
  echo "$1: nothing found in $(sources $kinds | wc -l | tr -d ' ') files"
  exit 0
fi
echo "$found"
exit 1
