#!/bin/sh
# SPDX-License-Identifier: MIT
# Checks the text of sources: no line has more than 100 columns, and each file names its licence.
#   sh cmake/text.sh columns | licence
#
# columns    prints "FILE: N lines over 100 columns" for each file that has some
# licence    prints the files without "SPDX-License-Identifier: MIT" in the first two lines
# Exit status: 0 where nothing was printed but the count of files, else 1.
set -u

cd "$(dirname "$0")/.." || exit 2
. cmake/common.sh

# Columns are characters: bytes that continue a character of UTF-8 don't count.
check_columns() {
  sources c h sh cmake py awk | LC_ALL=C xargs awk '
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
  sources c h sh cmake py awk | xargs awk '
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
  columns | licence) found=$("check_$1") ;;
  *) head_comment cmake/text.sh; exit 2 ;;
esac
if [ -z "$found" ]; then
  echo "$1: nothing found in $(sources c h sh cmake py awk | wc -l | tr -d ' ') files"
  exit 0
fi
echo "$found"
exit 1
