#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the target docs and looks at the man pages: each function, type, callback and constant of
# the public headers has one, and so has what the library exports; a header for C++ has one with
# its classes; the sections are there; what a function returns is a sentence; what is named is
# installed; no page has a warning of groff, or of mandoc. Then man(1) shows uvdio_write.
#   run.sh BUILD_DIR [LIBRARY]
# Exit status: 77 where doxygen, python3 or a formatter for man pages is missing.
set -eu

cd "$(dirname "$0")/../.."
build=$1 library=${2:-}
man=$build/docs/man
faults=0

skip() {
  echo "SKIP: $*"
  exit 77
}

fault() {
  echo "docs: $*" >&2
  faults=$((faults + 1))
}

command -v doxygen >/dev/null || skip "no man pages: doxygen is not installed"
command -v python3 >/dev/null || skip "no man pages: python3 is not installed"
${CMAKE:-cmake} --build "$build" --target docs

# What the headers declare: functions, types and callbacks; constants.
headers=$(find include -name '*.h' ! -name private.h)
# shellcheck disable=SC2086
cat $headers >"$build/docs/headers.txt"
awk '
  is_split && match($0, /uvdio_[a-z0-9_]+\(/) { print substr($0, RSTART, RLENGTH - 1) }
  { is_split = 0 }
  /^(UVDIO_EXTERN|static inline) / {
    is_split = !match($0, /uvdio_[a-z0-9_]+\(/)
    if (!is_split) {
      print substr($0, RSTART, RLENGTH - 1)
    }
  }
  /^} uvdio_[a-z0-9_]+;/ { print substr($2, 1, length($2) - 1) }
  /^typedef / && match($0, /\(\*uvdio_[a-z0-9_]+\)/) { print substr($0, RSTART + 2, RLENGTH - 3) }
  /^typedef struct uvdio_[a-z0-9_]+ uvdio_[a-z0-9_]+;/ { print substr($4, 1, length($4) - 1) }
  /^#define UVDIO_/ {
    name = $2
    sub(/\(.*/, "", name)
    if (name !~ /(_|_H)$/) {
      print name
    }
  }' "$build/docs/headers.txt" >"$build/docs/names.txt"
if [ -n "$library" ] && command -v nm >/dev/null; then
  nm -D --defined-only "$library" | awk '$3 ~ /^uvdio_[a-z]/ { print $3 }' >>"$build/docs/names.txt"
fi
sort -u "$build/docs/names.txt" -o "$build/docs/names.txt"
[ "$(wc -l <"$build/docs/names.txt")" -gt 300 ] || fault "hardly any name was found in the headers"

while read -r name; do
  [ -s "$man/man3/$name.3" ] || fault "$name has no man page"
done <"$build/docs/names.txt"

awk '
  FNR == 1 { link[FILENAME] = $1 == ".so" ? $2 : "" }
  /^\.SH "?(NAME|SYNOPSIS|DESCRIPTION|SEE ALSO)"?$/ { sections[FILENAME]++ }
  END {
    for (file in link) {
      if (link[file] == "" && sections[file] < 4) {
        print file " lacks one of NAME, SYNOPSIS, DESCRIPTION, SEE ALSO"
      }
    }
  }' "$man"/man3/* >"$build/docs/sections.txt"
[ ! -s "$build/docs/sections.txt" ] || { head "$build/docs/sections.txt"; fault "no section"; }
sed -n 's/^\.so //p' "$man"/man3/UVDIO* | sort -u >"$build/docs/links.txt"
while read -r target; do
  [ -s "$man/$target" ] || fault "a link leads to $target, which is not there"
done <"$build/docs/links.txt"

# What a function returns: no declaration as doxygen writes it, and of an int a value.
awk '
  FNR == 1 {
    name = FILENAME
    gsub(/.*\/|\.3$/, "", name)
    section = ""
  }
  /^\.SH / { section = $0; next }
  section ~ /SYNOPSIS/ && /^int\\?.uvdio/ { is_int[FILENAME] = 1 }
  section ~ /RETURN VALUE/ {
    text[FILENAME] = text[FILENAME] " " $0
    if (index($0, name " (")) {
      print FILENAME ": its declaration stands in RETURN VALUE"
    }
  }
  END {
    for (file in is_int) {
      if (text[file] !~ /[01]|length/) {
        print file ": RETURN VALUE tells no value:" text[file]
      }
    }
  }' "$man"/man3/uvdio* >"$build/docs/returned.txt"
[ ! -s "$build/docs/returned.txt" ] || { cat "$build/docs/returned.txt"; fault "RETURN VALUE"; }

for page in src/docs/*.md; do
  stem=$(basename "$page" .md | tr _ -)
  case $stem in
    uvdio) stem=man7/uvdio.7 ;;
    command) stem=man1/uvdio.1 ;;
    *) stem=man7/uvdio-$stem.7 ;;
  esac
  [ -s "$man/$stem" ] || fault "$page is no man page: $stem"
done

# A header for C++ is one page, with its public classes and functions.
for header in include/*.hpp include/uvdio/*.hpp; do
  stem=$(basename "$header" .hpp)
  page=$man/man7/uvdio-$stem-hpp.7
  [ "$stem" != uvdio ] || page=$man/man7/uvdio-hpp.7
  [ -s "$page" ] || { fault "$header has no man page"; continue; }
  class='^class \(\[\[nodiscard\]\] \)\{0,1\}'
  for name in $(sed -n "s/$class\([a-z_]\{1,\}\).*{\$/\2/p" "$header"); do
    case $name in awaited | taker | request | plain | notice | last_notice) ;; # nobody's names
      *) grep -q "^.SH \"uvdio::$name\"" "$page" || fault "uvdio::$name is not in $page" ;;
    esac
  done
done

# Who has the library installed has neither the folders of the sources nor the README.
sources='(^|[^a-z/])(src/(README|docs|examples|log)|test/[a-z]+)'
# shellcheck disable=SC2086
! grep -nE "$sources" "$man"/man[137]/* $headers || fault "a file is named that is not installed"

# References from page to page.
grep -ho '\\fBuvdio[a-z0-9_\\-]*\\fP([137])' "$man"/man[137]/* | sort -u |
  sed 's/\\fB//; s/\\fP(/ /; s/)//; s/\\//g' >"$build/docs/references.txt"
while read -r name section; do
  [ -s "$man/man$section/$name.$section" ] || fault "a page refers to $name($section)"
done <"$build/docs/references.txt"

formatter=
if command -v groff >/dev/null; then
  formatter=groff
  groff -man -ww -z -Tutf8 "$man"/man[17]/* "$man"/man3/uvdio* >"$build/docs/groff.txt" 2>&1
  [ ! -s "$build/docs/groff.txt" ] || { head "$build/docs/groff.txt"; fault "groff warns"; }
fi
if command -v mandoc >/dev/null; then
  formatter="$formatter mandoc"
  mandoc -T lint -W warning "$man"/man[17]/* "$man"/man3/uvdio* >"$build/docs/mandoc.txt" || true
  [ ! -s "$build/docs/mandoc.txt" ] || { head "$build/docs/mandoc.txt"; fault "mandoc warns"; }
fi
[ -n "$formatter" ] || echo "docs: no groff and no mandoc: the pages were not formatted"

echo "docs: $(wc -l <"$build/docs/names.txt") names, $faults faults"
[ "$faults" -eq 0 ] || exit 1
if command -v man >/dev/null; then
  echo "man uvdio_write:"
  MANWIDTH=80 MANPAGER=cat man -M "$man" 3 uvdio_write
else
  echo "docs: there is no man(1) to show uvdio_write"
fi
