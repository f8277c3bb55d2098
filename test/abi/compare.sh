#!/bin/sh
# SPDX-License-Identifier: MIT
# Compares the shared library's ABI with the dump of the last release, test/abi/uvdio.abi, by
# libabigail. Additions pass: functions, enumerators at the end, and fields at the end of a
# structure that carries its size. Everything else fails.
#   compare.sh LIBRARY DUMP SIZED        SIZED: a file, the names of the structures that may grow
#   compare.sh --self-test DUMP SIZED    compares the dump with copies that differ
#   compare.sh --dump LIBRARY            prints a dump, for a release (RELEASING.md)
# Exit status: 0 compatible, 1 not, 2 something went wrong, 77 nothing can be compared here.
set -eu

include=$(cd "$(dirname "$0")/../../include" && pwd)

skip() {
  echo "SKIP: $*"
  exit 77
}

# dump LIBRARY: what users see of it. Structures of libuv, of the C library and of the library's
# inside become names without contents, as they are in our headers.
dump() {
  public=$(grep -rhoE '^(typedef )?struct uvdio_[a-z_]+ \{' "$include" |
    sed 's/.*struct //; s/ {//' | tr '\n' ' ')
  abidw --no-corpus-path --no-comp-dir-path --no-show-locs --no-elf-needed --no-parameter-names \
    --no-write-default-sizes --exported-interfaces-only "$1" |
    awk -v names="$public" '
      function value(of) { # of an attribute of this line
        match($0, " " of "=\047[^\047]*")
        return substr($0, RSTART + length(of) + 3, RLENGTH - length(of) - 3)
      }
      function depth() { match($0, /^ */); return RLENGTH }
      BEGIN { count = split(names, list, " "); while (count) is_public[list[count--]] = 1 }
      is_inside { is_inside = depth() != outer || !/<\/class-decl>/; next }
      /<abi-instr / { sub(/ path=\047[^\047]*\/src\//, " path=\047src/") } # of no machine
      /<class-decl / && !/\/>$/ && !/is-anonymous/ && !(value("name") in is_public) {
        outer = depth()
        is_inside = 1
        printf "%*s<class-decl name=\047%s\047 is-struct=\047yes\047 visibility=\047default\047", \
          outer, "", value("name")
        printf " is-declaration-only=\047yes\047 id=\047%s\047/>\n", value("id")
        next
      }
      { print }
      NR == 1 { print "  <!-- SPDX-License-Identifier: MIT -->" }'
}

attribute() { sed -n "s/^<abi-corpus .* $1='\([^']*\)'.*/\1/p" "$2" | head -n 1; }

# cut OLD NEW: prints NEW with those structures that may grow cut off behind the fields of OLD.
cut() {
  awk '
    FILENAME == ARGV[1] { may_grow[$1] = 1; next }
    {
      match($0, /^ */)
      depth = RLENGTH
    }
    /<class-decl / && !/\/>$/ {
      name = $0
      sub(/.*<class-decl name=\047/, "", name)
      sub(/\047.*/, "", name)
      if (name in may_grow && (FILENAME == ARGV[2] || name in old_size)) {
        outer = depth
        is_inside = 1
        members = 0
        match($0, /size-in-bits=\047[0-9]*/)
        size = substr($0, RSTART + 14, RLENGTH - 14) + 0
        if (FILENAME == ARGV[2]) {
          old_size[name] = size
        } else if (size > old_size[name]) {
          sub(/size-in-bits=\047[0-9]*/, "size-in-bits=\047" old_size[name])
        }
      }
    }
    is_inside && depth == outer && /<\/class-decl>/ { is_inside = 0 }
    is_inside && depth == outer + 2 && /<data-member / { members++ }
    FILENAME == ARGV[2] { if (is_inside) old_members[name] = members; next }
    is_inside && depth > outer && members > old_members[name] { next }
    { print }' "$sized" "$1" "$2"
}

# differ OLD NEW: abidiff says 0 where nothing is left to tell, 4 and more where something is. The
# enumerator that counts the operations goes up with each.
differ() {
  cut "$1" "$2" >"$work/cut"
  printf '[suppress_type]\n  type_kind = enum\n  changed_enumerators = UVDIO_OP_COUNT\n' \
    >"$work/additions"
  status=0
  abidiff --no-added-syms --suppressions "$work/additions" "$1" "$work/cut" >"$work/report" \
    2>"$work/errors" || status=$?
  # It goes on after what it could not read, and ends well.
  if [ -s "$work/errors" ]; then
    cat "$work/errors"
    echo "abidiff did not read all of it"
    exit 2
  fi
  case $status in
    0) return 1 ;;
    4 | 8 | 12) return 0 ;;
    *) cat "$work/report"; echo "abidiff ended with $status"; exit 2 ;;
  esac
}

compare() {
  readelf -S "$1" 2>/dev/null | grep -q '\.debug_info' || skip "$1 has no debug information"
  dump "$1" >"$work/new.abi"
  for of in architecture soname; do
    old=$(attribute $of "$dumped") new=$(attribute $of "$work/new.abi")
    [ "$old" = "$new" ] || skip "the dump of the ABI is of $old, this is $new"
  done
  if differ "$dumped" "$work/new.abi"; then
    cat "$work/report"
    echo "A program that was built for the last release does not run with this library."
    exit 1
  fi
  echo "ABI: as in the last release, but for additions"
}

# identifier KIND NAME: by which the dump refers to a type.
identifier() { sed -n "s/.*<$1 name='$2' .*id='\([^']*\)'.*/\1/p" "$dumped" | head -n 1; }

# expect pass|fail NAME OLD NEW
expect() {
  result=pass
  ! differ "$3" "$4" || result=fail
  if [ "$result" != "$1" ] || cmp -s "$3" "$4"; then
    cat "$work/report"
    echo "self-test: $2: wanted $1, got $result"
    exit 1
  fi
  echo "self-test: $2: $result"
}

# change NAME AWK_PROGRAM: a copy of the dump, $work/NAME.
change() { awk "$2" "$dumped" >"$work/$1"; }

self_test() {
  change fewer '
    /name=.uvdio_strerror. type=/ { next }
    /<function-decl name=.uvdio_strerror./ { is_gone = 1 }
    !is_gone { print }
    /<\/function-decl>/ { is_gone = 0 }'
  expect fail "a function that is gone" "$dumped" "$work/fewer"
  expect pass "a new function" "$work/fewer" "$dumped"
  change parameter '
    /<function-decl name=.uvdio_strerror./ { is_there = 1 }
    is_there && /<parameter / { is_there = 0; next }
    { print }'
  expect fail "a function with other parameters" "$dumped" "$work/parameter"
  insert='function add(at) {
      printf "      <data-member access=\047public\047 layout-offset-in-bits=\047%d\047>", at
      print "<var-decl name=\047new\047 type-id=\047" type "\047 visibility=\047default\047/>"
      print "      </data-member>"
    }
    /<class-decl name=.uvdio_arena_info_s./ {
      is_there = 1
      sub(/size-in-bits=.256/, "size-in-bits=\047320")
    }
    is_there && /<var-decl/ {
      type = $0
      sub(/.* type-id=\047/, "", type)
      sub(/\047.*/, "", type)
    }'
  change end "$insert"'
    is_there && /<\/class-decl>/ { add(256); is_there = 0 }
    { print }'
  expect pass "a field at the end of a structure that carries its size" "$dumped" "$work/end"
  change middle "$insert"'
    is_there && /layout-offset-in-bits=.192/ { sub(/=.192/, "=\047256"); add(192); is_there = 0 }
    { print }'
  expect fail "a field before others" "$dumped" "$work/middle"
  sed "/<class-decl name='uvdio_arena_info_s'/,/class-decl>/ {
    s/frames_out' type-id='[^']*'/frames_out' type-id='$(identifier type-decl int)'/
  }" "$work/end" >"$work/both"
  expect fail "the same, with a field of another type" "$dumped" "$work/both"
  expect fail "a structure that is shorter" "$work/end" "$dumped"
  change enumerator '
    /<enumerator name=.UVDIO_ALIGN_STATX./ { sub(/value=.1/, "value=\0477") }
    { print }'
  expect fail "an enumerator of another value" "$dumped" "$work/enumerator"
}

command -v abidw >/dev/null && command -v abidiff >/dev/null || skip "abidiff is not installed"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 2' HUP INT TERM
case ${1:-} in
  --dump) dump "$2" ;;
  --self-test) dumped=$2 sized=$3; self_test ;;
  *) dumped=$2 sized=$3; compare "$1" ;;
esac
