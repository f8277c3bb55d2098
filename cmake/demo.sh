#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds uvdio and shows it at work: a benchmark of this disk, then a verified copy of a real file.
#   sh cmake/demo.sh
# Needs nothing but a shell and the system's package manager. Everything it makes lies in build/,
# and what is temporary is removed at the end.
set -eu

cd "$(dirname "$0")/.."
. cmake/common.sh

case ${1:-} in
  "") ;;
  -h | --help) head_comment cmake/demo.sh; exit 0 ;;
  *) echo "usage: sh cmake/demo.sh" >&2; exit 2 ;;
esac

say "Looking for what the build needs"
sh cmake/setup.sh --no-tests

say "Building (optimised; log in build/demo.log)"
build_preset release build/demo.log -DUVDIO_BUILD_TESTS=OFF -DUVDIO_BUILD_DOCS=OFF
uvdio=build/release/uvdio
echo "Built $uvdio, $(uname -s) $(uname -m)."

# Below build/ and not in /tmp, which is often kept in memory and then knows no direct I/O.
work=$(mktemp -d build/demo.XXXXXX)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM

say "What direct I/O is on this disk: uvdio probe"
"$uvdio" probe "$work"

say "How fast it is: uvdio bench"
"$uvdio" bench "$work"

# The odd bytes at the end are what direct I/O can't do by itself: the last block is a partial one.
# Random data, so that neither a hole nor a stale block could pass for it.
source=$work/source.bin
target=$work/copy.bin
size=$((64 * 1024 * 1024 + 12345))
say "Copying a file of $size bytes and verifying it: uvdio copy --verify"
head -c "$size" /dev/urandom >"$source"
"$uvdio" copy --verify "$source" "$target"
# Once more by somebody else, who reads through the page cache.
if [ "$(cksum <"$source")" != "$(cksum <"$target")" ]; then
  echo "cksum disagrees: the copy differs from its source" >&2
  exit 1
fi
echo "cksum agrees: both files have the same $size bytes."

say "Done"
echo "The command stays here: $uvdio --help"
