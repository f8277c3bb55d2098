#!/bin/sh
# The layer `mutation` of check.sh --long: plants what has no result yet, and ends with its line of the table.
cd "$(dirname "$0")/../.." || exit 2
mkdir -p build
sh test/mutation/run.sh >build/mutation.log 2>&1
code=$?
cat build/mutation.log
[ $code -eq 77 ] && { echo "mutation: left out: python3 is not installed"; exit 77; }
echo "LAYER mutation|$(grep ' caught (' build/mutation.log | tail -n 1)|planted defects|$((code != 0))"
exit $code
