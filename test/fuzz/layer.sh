#!/bin/sh
# SPDX-License-Identifier: MIT
# The layer `fuzz` of check.sh --long: an hour of each target, and its line of the table.
cd "$(dirname "$0")/../.." || exit 2
sh test/fuzz/run.sh "${UVDIO_FUZZ_SECONDS:-3600}" >build/fuzz-layer.log 2>&1
code=$?
cat build/fuzz-layer.log
[ $code -eq 77 ] && { sed -n 's/^SKIP: /fuzz: left out: /p' build/fuzz-layer.log; exit 77; }
amount=$(grep '^Done' build/fuzz-layer.log | tr '\n' ' ')
echo "LAYER fuzz|$amount|bad arguments, closes and cancels at any moment|$((code != 0))"
exit $code
