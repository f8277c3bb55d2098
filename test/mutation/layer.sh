#!/bin/sh
# SPDX-License-Identifier: MIT
# The layer `mutation` of check.sh --long: plants the list by hand and a sample of generated
# defects, what of them has no result yet, and ends with its line of the table.
cd "$(dirname "$0")/../.." || exit 2
mkdir -p build
sh test/mutation/run.sh --list test/mutation/mutants.txt >build/mutation.log 2>&1
code=$?
[ $code -ne 0 ] && [ $code -ne 1 ] ||
  sh test/mutation/run.sh --sample 400 >>build/mutation.log 2>&1 || code=$?
cat build/mutation.log
[ $code -eq 77 ] && { echo "mutation: left out: python3 is not installed"; exit 77; }
amount=$(grep ' caught (' build/mutation.log | tr '\n' ' ')
echo "LAYER mutation|$amount|planted defects|$((code != 0))"
exit $code
