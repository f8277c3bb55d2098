#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs clang-tidy with the checks of .clang-tidy over every source that a build compiles.
#   sh cmake/tidy.sh [FOLDER]      FOLDER has compile_commands.json; build/dev by default
#
# CLANG_TIDY in the environment names the program. Exit status: 0 nothing found, 1 something was,
# 77 clang-tidy or python3 is not installed.
set -u

cd "$(dirname "$0")/.." || exit 2
. cmake/common.sh

folder=${1:-build/dev}
tidy=${CLANG_TIDY:-clang-tidy}
for program in "$tidy" python3; do
  command -v "$program" >/dev/null || { echo "SKIP: $program is not installed"; exit 77; }
done
[ -e "$folder/compile_commands.json" ] || { echo "$folder: no build"; exit 1; }

# Each source in C once, although some are compiled for several targets; none that a build makes.
# Tests in C++ ask for versions of the language that this clang may not have.
list_sources() {
  python3 -c 'if True:
    import json, os, sys
    commands = json.load(open(sys.argv[1] + "/compile_commands.json"))
    files = {os.path.relpath(entry["file"]) for entry in commands}
    ours = [name for name in files if name.startswith(("src/", "test/")) and name.endswith(".c")]
    print("\n".join(sorted(ours)))' "$1"
}

errors=$(mktemp) || exit 1
trap 'rm -f "$errors"' EXIT
if list_sources "$folder" |
  xargs -P "$(job_count)" -n 4 "$tidy" -p "$folder" --quiet 2>"$errors"; then
  echo "clang-tidy finds nothing in $(list_sources "$folder" | wc -l | tr -d ' ') files"
  exit 0
fi
# It counts on stderr what it suppressed. Anything else tells why it could not run.
grep -v 'warnings\{0,1\} generated\|^Suppressed\|^Use -header' "$errors"
exit 1
