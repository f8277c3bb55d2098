#!/bin/sh
# SPDX-License-Identifier: MIT
# The target `coverage`: runs the tests of BUILD (preset coverage) and reports what of src/ they
# reached.
#   run.sh ROOT BUILD
set -u
root=$1 build=$2

for tool in gcovr python3; do
  command -v "$tool" >/dev/null || { echo "SKIP: $tool is not installed"; exit 77; }
done

find "$build" -name '*.gcda' -delete
umask 0 # Some tests go on as another user, who has to add to the counters as well.
ctest --test-dir "$build" -L '^(unit|contract|sim)$' -j "$(nproc)" >"$build/coverage.log" 2>&1
tests=$?
if [ "$tests" -ne 0 ]; then
  echo "Tests failed; the end of $build/coverage.log:"
  tail -n 30 "$build/coverage.log"
fi
python3 "$root/test/coverage/report.py" "$root" "$build" && [ "$tests" -eq 0 ]
