#!/bin/sh
# SPDX-License-Identifier: MIT
# The layer `coverage` of check.sh --long: builds, runs the target, and ends with its line of the
# table.
cd "$(dirname "$0")/../.." || exit 2
. cmake/common.sh
command -v gcovr >/dev/null || { echo "coverage: left out: gcovr is not installed"; exit 77; }
build_preset coverage build/coverage-build.log || exit 1
cmake --build --preset coverage --target coverage >build/coverage-table.log 2>&1
code=$?
cat build/coverage-table.log
echo "LAYER coverage|$(sed -n 's/^lines: /lines: /p' build/coverage-table.log)||$((code != 0))"
exit $code
