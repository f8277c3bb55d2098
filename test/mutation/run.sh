#!/bin/sh
# SPDX-License-Identifier: MIT
# Plants defects in the library and the command, one at a time, and looks whether the tests notice:
# see run.py. Takes some ten seconds for each; an interrupted run goes on where it stopped.
here=$PWD
cd "$(dirname "$0")" || exit 2
command -v python3 >/dev/null || { echo "SKIP: python3 is not installed"; exit 77; }
PYTHONDONTWRITEBYTECODE=1 exec nice -n 10 python3 run.py --here "$here" "$@"
