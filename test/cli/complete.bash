# SPDX-License-Identifier: MIT
# Prints what src/cli/completions/uvdio.bash offers for the words that are given, one a line: the
# last one is being typed.
#
#   bash test/cli/complete.bash FILE uvdio copy --
# shellcheck shell=bash
# shellcheck source=src/cli/completions/uvdio.bash
source "$1" || exit 2
shift
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
function=$(complete -p uvdio) || exit 2
function=${function#complete -F } # as it was registered
"${function% uvdio}"
printf '%s\n' "${COMPREPLY[@]}"
