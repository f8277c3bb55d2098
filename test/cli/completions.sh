#!/bin/sh
# SPDX-License-Identifier: MIT
# The completions of the command `uvdio`, in each shell that is here: they offer the subcommands,
# the options of each, and the values of options, as the usage texts have them, and nothing else.
#
#   test/cli/completions.sh PATH/TO/uvdio SCRATCH
#
# SCRATCH and what is printed: see tap.sh.
set -u
here=$(cd "$(dirname "$0")" && pwd)
completions=$here/../../src/cli/completions
# shellcheck source=test/cli/tap.sh
. "$here/tap.sh"
uvdio=$program

# ask SHELL WORD...: what it offers for the last word; a line is made of the words.
ask() {
  shell=$1
  shift
  case $shell in
    bash) bash "$here/complete.bash" "$completions/uvdio.bash" "$@" ;;
    zsh) zsh -f "$here/complete.zsh" "$work/dump" "$completions/_uvdio" "$*" ;;
    fish)
      # shellcheck disable=SC2016 # $argv is fish's
      HOME=$work XDG_CONFIG_HOME=$work fish -c 'source $argv[1]; complete -C "$argv[2..-1]"' \
        "$completions/uvdio.fish" "$*" | sed 's/	.*//'
      ;;
  esac 2>"$err" </dev/null | LC_ALL=C sort -u | tr '\n' ' ' | sed 's/^ *//; s/ *$//'
}

# offers WANTED WORD...: each shell offers just the words of WANTED, in any order.
offers() {
  wanted=$(echo "$1" | tr ' ' '\n' | LC_ALL=C sort -u | tr '\n' ' ' | sed 's/^ *//; s/ *$//')
  shift
  for shell in $shells; do
    offered=$(ask "$shell" "$@")
    if [ "$offered" = "$wanted" ]; then
      ok "$shell: $*<TAB>"
    else
      echo "$offered" >"$out"
      not_ok "$shell: $*<TAB>" "wanted: $wanted"
    fi
  done
}

shells=
for shell in bash zsh fish; do
  if command -v "$shell" >/dev/null 2>&1; then
    shells="$shells $shell"
  else
    skip "the completions of $shell" "$shell is not installed"
  fi
done

# What the usage texts have.
subcommands=$("$uvdio" --help | sed -n 's/^  \([a-z]*\)  *[A-Z[].*/\1/p')
options=$("$uvdio" --help | sed -n 's/^  *uvdio \(--help.*\)/\1/p' | tr -d '|')
options_of() {
  "$uvdio" "$1" --help | sed -n 's/^  \(-[a-z]\), \(--[a-z-]*\).*/\1 \2/p
    s/^  \(--[a-z-]*\).*/\1/p'
}
# What stands for an option's value: "FILE", or nothing.
placeholder_of() { "$uvdio" "$1" --help | sed -n "s/^  $2 \([A-Z][^ ]*\)  *.*/\1/p"; }
# The values of an option that has a list of them.
values_of() {
  case $2 in
    --sparse) "$uvdio" "$1" --help | sed -n '/--sparse/,/--verify/p' |
      grep -o '[a-z]*\( (the default)\)*:' | sed 's/[ :].*//' ;;
    *) "$uvdio" "$1" --help | sed -n "s/^  $2 [^ ]*  *\(.*\) (.*/\1/p" |
      sed 's/,//g; s/ or / /g' ;;
  esac
}
# A text that is read wrongly would leave nothing to be compared with nothing.
told="$(echo "$subcommands" | tr '\n' ' ')$(values_of bench --operation)"
check "the usage texts are read" test "$told" = "probe copy bench write verify random-read"

# Where files are offered it is this one.
mkdir files
touch files/afile
cd files || exit 2
offers "$subcommands" uvdio ""
offers "$options" uvdio -
offers "" uvdio frobnicate -
for sub in $subcommands; do
  offers "$(options_of "$sub")" uvdio "$sub" -
  offers afile uvdio "$sub" ""
  for option in $(options_of "$sub" | grep -v -e --help); do
    case $(placeholder_of "$sub" "$option") in
      "" | FILE) values=afile ;;
      WHEN | B | 'B['* | 'O['*) values=$(values_of "$sub" "$option") ;;
      *) values= ;;
    esac
    offers "$values" uvdio "$sub" "$option" ""
  done
done
# A list goes on behind a comma; fish offers the whole word, and what is there already as well.
shells_there=$shells
shells=$(echo "$shells_there" | tr ' ' '\n' | grep -x bash)
offers "ring,aio" uvdio bench --backend ring,a
shells=$(echo "$shells_there" | tr ' ' '\n' | grep -x zsh)
offers "aio" uvdio bench --backend ring,a
shells=$(echo "$shells_there" | tr ' ' '\n' | grep -x fish)
offers "ring,aio" uvdio bench --backend ring,ai
# As bash takes --backend=r apart.
shells=$(echo "$shells_there" | tr ' ' '\n' | grep -x bash)
offers ring uvdio copy --backend = r
offers "auto ring aio pool" uvdio copy --backend =

echo "1..$count"
[ $failures -eq 0 ]
