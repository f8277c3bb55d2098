#!/bin/sh
# SPDX-License-Identifier: MIT
# The SONAME of the built library is what uvdio/version.h asks for: 0.MINOR before 1.0, then MAJOR.
#   soname.sh LIBRARY
# Exit status: 0 it is, 1 it is not, 77 nothing here reads it.
set -eu

header=$(cd "$(dirname "$0")/../../include/uvdio" && pwd)/version.h
part() { sed -n "s/^#define UVDIO_VERSION_$1 \([0-9]*\)$/\1/p" "$header"; }

command -v readelf >/dev/null || { echo "SKIP: readelf is not installed"; exit 77; }
wanted=libuvdio.so.$(part MAJOR)
[ "$(part MAJOR)" -gt 0 ] || wanted=libuvdio.so.0.$(part MINOR)
found=$(readelf -d "$1" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
if [ "$found" != "$wanted" ]; then
  echo "the SONAME is '$found'; by $header it is '$wanted'"
  exit 1
fi
echo "SONAME: $found"
